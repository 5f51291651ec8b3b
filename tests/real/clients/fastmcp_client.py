"""FastMCP 4: modern first with a fallback to legacy, unless the plan's era says otherwise."""

from contextlib import asynccontextmanager

import common
import mcp_types as types
from fastmcp import Client
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport


class Session(common.Session):
    progress = "progress_handler"


def handlers(answer, recorder):
    async def sample(messages, _params, _context):
        recorder.asked("sampling/createMessage", messages[0].content.text)
        return common.sampled(answer, types)

    async def elicit(message, _response_type, _params, _context):
        recorder.asked("elicitation/create", message)
        return answer["elicitation"]

    return {
        "sampling_handler": sample if "sampling" in answer else None,
        "elicitation_handler": elicit if "elicitation" in answer else None,
        "roots": answer.get("roots"),
    }


@asynccontextmanager
async def connect(target, plan, recorder):
    if target.url:
        transport = StreamableHttpTransport(target.url, headers=target.headers)
    else:
        # keep_alive would leave the server running for a next connection that never comes.
        transport = StdioTransport(target.command[0], target.command[1:], keep_alive=False)
    async with Client(transport, mode=plan.mode, **handlers(plan.answer, recorder)) as client:
        yield Session(
            client,
            types,
            "_mcp",
            protocol=client.protocol_version,
            server=client.server_info,
            instructions=client.instructions,
            capabilities=client.server_capabilities,
        )


common.main("fastmcp", connect)
