// Chat completions with the runtime's own fetch until standard input ends, each compared with the expected text: steady.mjs TEXT. With a
// second argument only one. For Bun and Deno, whose connections no script can turn: the server's name is localhost. Reports as steady.py does.
import process from "node:process";

const url = `https://localhost:${process.env.OBSERVER_TEST_PORT}/v1/chat/completions`;
const [expected, once] = process.argv.slice(2);
const body = JSON.stringify({ model: "gpt-4o-mini", messages: [{ role: "user", content: "What is the answer?" }] });

async function call() {
  const answer = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body });
  return (await answer.json()).choices[0].message.content;
}

async function untilEnd() {
  let ended = false;
  process.stdin.on("end", () => (ended = true)).resume();
  const wrong = [];
  let calls = 0;
  console.log("ready");
  for (; !ended; calls += 1) {
    const text = await call().catch((error) => `call ${calls + 1}: ${error}`);
    if (text !== expected) wrong.push(text);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  console.log(JSON.stringify({ pid: process.pid, calls: { fetch: calls }, wrong }));
}

if (once) console.log(await call());
else await untilEnd();
process.exit(0);
