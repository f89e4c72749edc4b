"""An agent of the MCP SDK that starts the server of mcp_server.py and calls its tools.

mcp_client.py [--handshake] [--shell] [--http] TEXT: --handshake speaks the versions before 2026-07-28, --shell starts the server through
one, --http speaks to it over HTTP.
Prints {"pid", "server_pid"}.
"""

import asyncio
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

from mcp import ClientSession, StdioServerParameters
from mcp.client.client import Client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

SERVER = str(pathlib.Path(__file__).with_name("mcp_server.py"))


def text_of(result):
    return result.content[0].text


async def use(session, text):
    await session.list_tools()
    server = text_of(await session.call_tool("who", {}))
    await session.call_tool("forecast", {"city": text})
    await session.call_tool("fails", {})
    print(json.dumps({"pid": os.getpid(), "server_pid": int(server)}), flush=True)


def start_http():
    """A server on a free port of loopback: the process and its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, SERVER, str(port)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return server, f"http://127.0.0.1:{port}/mcp"
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise SystemExit("the server did not listen in time")


async def main():
    options, text = sys.argv[1:-1], sys.argv[-1]
    if "--http" in options:
        server, address = start_http()
        try:
            await speak(streamable_http_client(address), "--handshake" in options, text)
        finally:
            server.terminate()
            server.wait()
        return
    command, args = sys.executable, [SERVER]
    if "--shell" in options:
        # Not the last command, so that the shell stays.
        command, args = "/bin/sh", ["-c", '"$0" "$1"; true', sys.executable, SERVER]
    transport = stdio_client(StdioServerParameters(command=command, args=args, env=dict(os.environ)))
    await speak(transport, "--handshake" in options, text)


async def speak(transport, handshake, text):
    """Calls all tools, in the version of the protocol that is asked for."""
    if handshake:
        async with transport as (read, write), ClientSession(read, write) as session:
            await session.initialize()
            await use(session, text)
    else:
        async with Client(transport) as client:
            await use(client, text)


asyncio.run(main())
