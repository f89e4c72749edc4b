"""An agent of the MCP SDK that starts the server of mcp_server.py and calls its tools.

mcp_client.py [--handshake] [--shell] TEXT: --handshake speaks the versions before 2026-07-28, --shell starts the server through one.
Prints {"pid", "server_pid"}.
"""

import asyncio
import json
import os
import pathlib
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.client import Client
from mcp.client.stdio import stdio_client

SERVER = str(pathlib.Path(__file__).with_name("mcp_server.py"))


def text_of(result):
    return result.content[0].text


async def use(session, text):
    await session.list_tools()
    server = text_of(await session.call_tool("who", {}))
    await session.call_tool("forecast", {"city": text})
    await session.call_tool("fails", {})
    print(json.dumps({"pid": os.getpid(), "server_pid": int(server)}), flush=True)


async def main():
    options, text = sys.argv[1:-1], sys.argv[-1]
    command, args = sys.executable, [SERVER]
    if "--shell" in options:
        # Not the last command, so that the shell stays.
        command, args = "/bin/sh", ["-c", '"$0" "$1"; true', sys.executable, SERVER]
    transport = stdio_client(StdioServerParameters(command=command, args=args, env=dict(os.environ)))
    if "--handshake" in options:
        async with transport as (read, write), ClientSession(read, write) as session:
            await session.initialize()
            await use(session, text)
    else:
        async with Client(transport) as client:
            await use(client, text)


asyncio.run(main())
