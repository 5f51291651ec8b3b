"""Python SDK 1.x: legacy only."""

from contextlib import asynccontextmanager

import common
from mcp import ClientSession, StdioServerParameters, types
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client


@asynccontextmanager
async def connect(target, plan, recorder):
    if target.url:
        transport = streamablehttp_client(target.url, headers=target.headers)
    else:
        transport = stdio_client(StdioServerParameters(command=target.command[0], args=target.command[1:]))
    callbacks = common.handlers(plan.answer, recorder, types)
    async with transport as (read, write, *_), ClientSession(read, write, **callbacks) as client:
        started = await client.initialize()
        yield common.Session(
            client,
            types,
            protocol=started.protocolVersion,
            server=started.serverInfo,
            instructions=started.instructions,
            capabilities=started.capabilities,
        )


common.main("py1", connect)
