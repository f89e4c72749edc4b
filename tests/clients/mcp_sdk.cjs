// An agent and its server with the MCP SDK for Node.
//
// mcp_sdk.cjs TEXT: starts itself with --server, calls its tools, and prints {"pid", "server_pid"}.
const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
const { StdioClientTransport } = require("@modelcontextprotocol/sdk/client/stdio.js");
const { McpServer } = require("@modelcontextprotocol/sdk/server/mcp.js");
const { StdioServerTransport } = require("@modelcontextprotocol/sdk/server/stdio.js");
const { z } = require("zod");

const text = (text) => ({ content: [{ type: "text", text }] });

async function serve() {
  const server = new McpServer({ name: "weather", version: "1.4" });
  server.registerTool("forecast", { inputSchema: { city: z.string() } }, ({ city }) => text(`12 degrees in ${city}`));
  server.registerTool("who", {}, () => text(String(process.pid)));
  server.registerTool("fails", {}, () => {
    throw new Error("no such city");
  });
  await server.connect(new StdioServerTransport());
}

async function agent(city) {
  const client = new Client({ name: "node-sdk-agent", version: "7" });
  await client.connect(new StdioClientTransport({ command: process.execPath, args: [__filename, "--server"], env: process.env }));
  await client.listTools();
  const who = await client.callTool({ name: "who", arguments: {} });
  await client.callTool({ name: "forecast", arguments: { city } });
  await client.callTool({ name: "fails", arguments: {} });
  console.log(JSON.stringify({ pid: process.pid, server_pid: Number(who.content[0].text) }));
  await client.close();
}

process.argv[2] === "--server" ? serve() : agent(process.argv[2]);
