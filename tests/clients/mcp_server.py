"""A server of the MCP SDK, over standard input and output, or over HTTP on the port of loopback that it is given."""

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
    if len(sys.argv) > 1:
        server.run("streamable-http", port=int(sys.argv[1]))
    else:
        server.run("stdio")
