// An agent and its server in Node, whose pipes to a child are pairs of sockets. Node's own order of keys: method first, number last.
//
// mcp_node.mjs TEXT: asks twice before it reads an answer, and is asked by the server in between. Prints {"pid", "server_pid"}.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const say = (stream, message) => stream.write(JSON.stringify({ ...message, jsonrpc: "2.0" }) + "\n");

if (process.argv[2] === "--server") serve();
else agent(process.argv[2]);

function serve() {
  process.stdout.write("hand-made server, no message\n");
  const call = (id, text) =>
    process.stdout.write(JSON.stringify({ result: { content: [{ type: "text", text }] }, jsonrpc: "2.0", id }) + "\n");
  createInterface({ input: process.stdin }).on("line", (line) => {
    const { id, method, params } = JSON.parse(line);
    if (method === "initialize") {
      const result = { protocolVersion: params.protocolVersion, capabilities: {}, serverInfo: { name: "by hand", version: "0.1" } };
      process.stdout.write(JSON.stringify({ result, jsonrpc: "2.0", id }) + "\n");
    } else if (method === "tools/call") {
      if (params.name === "late") {
        say(process.stdout, { method: "roots/list", id: "r-1" });
        setTimeout(() => call(id, "late " + params.arguments.text), 100);
      } else call(id, String(process.pid));
    }
  });
}

function agent(text) {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), "--server"], { stdio: ["pipe", "pipe", "inherit"] });
  let answers = 0, server;
  createInterface({ input: child.stdout }).on("line", (line) => {
    if (!line.startsWith("{")) return;
    const { id, method, result } = JSON.parse(line);
    if (method === "roots/list") say(child.stdin, { result: { roots: [] }, id });
    else if (id === 0) {
      say(child.stdin, { method: "notifications/initialized" });
      say(child.stdin, { method: "tools/call", params: { name: "late", arguments: { text } }, id: 1 });
      say(child.stdin, { method: "tools/call", params: { name: "pid", arguments: {} }, id: 2 });
    } else {
      if (id === 2) server = Number(result.content[0].text);
      if (++answers === 2) {
        child.stdin.end();
        child.on("exit", () => console.log(JSON.stringify({ pid: process.pid, server_pid: server })));
      }
    }
  });
  const clientInfo = { name: "node-agent", version: "3" };
  say(child.stdin, { method: "initialize", params: { protocolVersion: "2025-06-18", capabilities: {}, clientInfo }, id: 0 });
}
