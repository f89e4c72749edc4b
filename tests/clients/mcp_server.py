"""A server of the MCP SDK, over standard input and output."""

import os
import sys

from mcp.server.mcpserver import MCPServer

server = MCPServer("weather", version="1.4")


@server.tool()
def forecast(city: str) -> str:
    return f"12 degrees in {city}"


@server.tool()
def who() -> str:
    return str(os.getpid())


@server.tool()
def fails() -> str:
    raise ValueError("no such city")


if __name__ == "__main__":
    # What a server prints beside its messages.
    print("weather server " + ("starting" * 3), file=sys.stderr)
    server.run("stdio")
