// Chat completions with Node's own fetch. Every connection goes to the local endpoint, whatever its name;
// names, TLS and headers stay as they are. NODE_EXTRA_CA_CERTS names the certificate authority.
"use strict";

const net = require("node:net");

const port = Number(process.env.OBSERVER_TEST_PORT);
const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...args) {
  // Either (options, callback) or node's own normalised [[options, callback]].
  const normalised = Array.isArray(args[0]);
  const options = normalised ? args[0][0] : args[0];
  const changed = { ...options, host: "127.0.0.1", port, lookup: undefined };
  if (normalised) {
    // Node marks its normalised array with a symbol; keep the array and change its first part.
    args[0][0] = changed;
  } else {
    args[0] = changed;
  }
  return connect.apply(this, args);
};

function option(name, otherwise) {
  const index = process.argv.indexOf(`--${name}`);
  return index < 0 ? otherwise : process.argv[index + 1];
}

const model = option("model", "gpt-4o-mini");
const prompt = option("prompt", "What is the answer?");
const base = option("base-url", "https://api.openai.com/v1");
const count = Number(option("count", "1"));
const stream = process.argv.includes("--stream");
// A key in the provider's form, put together here so that no file holds one.
const key = "sk-" + Array.from({ length: 40 }, (_, n) => String.fromCharCode(97 + ((n * 7) % 26))).join("");

// Calls without a pause until standard input ends, each compared with this text.
const steady = option("steady", "");

async function call() {
  const body = { model, messages: [{ role: "user", content: prompt }] };
  if (stream) {
    body.stream = true;
    body.stream_options = { include_usage: true };
  }
  const answer = await fetch(`${base}/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
    body: JSON.stringify(body),
  });
  const text = await answer.text();
  if (steady) return JSON.parse(text).choices[0].message.content;
  const facts = { pid: process.pid, status: answer.status };
  const values = stream
    ? text.split("\n").filter((line) => line.startsWith("data: {")).map((line) => JSON.parse(line.slice(6)))
    : [JSON.parse(text)];
  for (const value of values) {
    facts.id = value.id;
    facts.model = value.model;
    if (value.usage) {
      facts.input_tokens = value.usage.prompt_tokens;
      facts.output_tokens = value.usage.completion_tokens;
    }
  }
  console.log(JSON.stringify(facts));
}

async function untilEnd() {
  let ended = false;
  process.stdin.on("end", () => (ended = true)).resume();
  const wrong = [];
  let calls = 0;
  console.log("ready");
  for (; !ended; calls += 1) {
    const text = await call().catch((error) => `call ${calls + 1}: ${error}`);
    if (text !== steady) wrong.push(text);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  console.log(JSON.stringify({ pid: process.pid, calls: { fetch: calls }, wrong }));
}

(async () => {
  if (steady) return untilEnd();
  for (let n = 0; n < count; n += 1) await call();
})().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
