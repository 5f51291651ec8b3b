"""Python SDK 2.x: modern first with a fallback to legacy, unless the plan's era says otherwise."""

from contextlib import asynccontextmanager

import common
import httpx2
import mcp_types as types
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client


@asynccontextmanager
async def connect(target, plan, recorder):
    if target.url:
        http = httpx2.AsyncClient(headers=target.headers, timeout=httpx2.Timeout(30, read=300))
        server = streamable_http_client(target.url, http_client=http)
    else:
        server = StdioServerParameters(command=target.command[0], args=target.command[1:])
    async with Client(server, mode=plan.mode, **common.handlers(plan.answer, recorder, types)) as client:
        yield common.Session(
            client,
            types,
            protocol=client.protocol_version,
            server=client.server_info,
            instructions=client.instructions,
            capabilities=client.server_capabilities,
        )


common.main("py2", connect)
