// One AI call with one of Node's ways or one npm package. Usage: node_client.mjs NAME. Also run by Bun and Deno.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const MODEL = "gpt-4o-mini";
const URL_ = "https://api.openai.com/v1/chat/completions";
const messages = [{ role: "user", content: "What is the answer?" }];
const body = JSON.stringify({ model: MODEL, messages });
// In a provider's form, put together here so that no file holds one.
const key = "sk-" + Array.from({ length: 40 }, (_, n) => String.fromCharCode(97 + ((n * 7) % 26))).join("");
const headers = { "content-type": "application/json", authorization: `Bearer ${key}` };
const textOf = (answer) => answer.choices[0].message.content;

// Packages are in the folder that OBSERVER_NODE_MODULES names, not beside this file.
async function load(name) {
  const require = createRequire(pathToFileURL(process.env.OBSERVER_NODE_MODULES + "/"));
  const module = await import(pathToFileURL(require.resolve(name)));
  return module.default?.default ?? module.default ?? module;
}

async function http2Call(count) {
  const http2 = await import("node:http2");
  const session = http2.connect("https://api.openai.com");
  const call = () =>
    new Promise((resolve, reject) => {
      const stream = session.request({ ":method": "POST", ":path": "/v1/chat/completions", ...headers });
      let text = "";
      stream.setEncoding("utf8");
      stream.on("data", (part) => (text += part));
      stream.on("end", () => resolve(textOf(JSON.parse(text))));
      stream.on("error", reject);
      stream.end(body);
    });
  session.on("error", (error) => {
    throw error;
  });
  const results = await Promise.all(Array.from({ length: count }, call));
  session.close();
  return results.join(" ");
}

const calls = {
  async fetch() {
    return textOf(await (await fetch(URL_, { method: "POST", headers, body })).json());
  },
  async https() {
    const https = await import("node:https");
    return new Promise((resolve, reject) => {
      const request = https.request(URL_, { method: "POST", headers }, (answer) => {
        let text = "";
        answer.setEncoding("utf8");
        answer.on("data", (part) => (text += part));
        answer.on("end", () => resolve(textOf(JSON.parse(text))));
      });
      request.on("error", reject);
      request.end(body);
    });
  },
  http2: () => http2Call(1),
  http2_three: () => http2Call(3),
  async worker() {
    const { Worker } = await import("node:worker_threads");
    const code = `const { parentPort, workerData } = require("node:worker_threads");
      fetch(workerData.url, workerData.options).then((answer) => answer.json()).then((value) => parentPort.postMessage(value));`;
    const one = () =>
      new Promise((resolve, reject) => {
        const worker = new Worker(code, {
          eval: true,
          workerData: { url: URL_, options: { method: "POST", headers, body } },
        });
        worker.on("message", (value) => resolve(textOf(value)));
        worker.on("error", reject);
      });
    return (await Promise.all([one(), one()])).join(" ");
  },
  async openai() {
    const OpenAI = await load("openai");
    const answer = await new OpenAI({ apiKey: key, maxRetries: 0 }).chat.completions.create({ model: MODEL, messages });
    return textOf(answer);
  },
  async openai_stream() {
    const OpenAI = await load("openai");
    const client = new OpenAI({ apiKey: key, maxRetries: 0 });
    let text = "";
    for await (const chunk of await client.chat.completions.create({ model: MODEL, messages, stream: true })) {
      text += chunk.choices[0]?.delta?.content ?? "";
    }
    return text;
  },
  async anthropic() {
    const Anthropic = await load("@anthropic-ai/sdk");
    const client = new Anthropic({ apiKey: key, maxRetries: 0 });
    const answer = await client.messages.create({ model: "claude-sonnet-4-6", max_tokens: 100, messages });
    return answer.content[0].text;
  },
  async genai() {
    const module = await load("@google/genai");
    const client = new module.GoogleGenAI({ apiKey: key });
    return (await client.models.generateContent({ model: "gemini-2.5-flash", contents: messages[0].content })).text;
  },
  async ollama() {
    const module = await load("ollama");
    const client = module.Ollama ? new module.Ollama() : module;
    return (await client.chat({ model: "llama3.2", messages })).message.content;
  },
};

const text = await calls[process.argv[2]]();
console.log(text);
if (!text) process.exit(1);
