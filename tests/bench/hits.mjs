// Writes to a TLS connection by Node's or Bun's own TLS; otherwise as hits.py.
import process from "node:process";
import readline from "node:readline";
import tls from "node:tls";

const HOST = "hits.bench.example.net";
const SIZE = 4000;
const BATCH = 250;
const DECISION = 500;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function measure(writes) {
  const port = Number(process.env.OBSERVER_TEST_PORT);
  const socket = tls.connect({ host: "127.0.0.1", port, servername: HOST, rejectUnauthorized: false });
  await new Promise((resolve, reject) => socket.once("secureConnect", resolve).once("error", reject));
  // One write after the other: what waits would be joined.
  const write = (data) => new Promise((resolve, reject) => socket.write(data, (error) => (error ? reject(error) : resolve())));
  const data = Buffer.alloc(SIZE);
  const bytes = Math.floor(writes / BATCH) * BATCH * SIZE;
  await write(`PUT /upload HTTP/1.1\r\nHost: ${HOST}\r\nContent-Type: image/png\r\nContent-Length: ${bytes}\r\n\r\n`);
  await pause(DECISION);
  const cpu = [];
  for (let batch = 0; batch < Math.floor(writes / BATCH); batch += 1) {
    const start = process.cpuUsage();
    for (let n = 0; n < BATCH; n += 1) await write(data);
    const used = process.cpuUsage(start);
    cpu.push(((used.user + used.system) * 1000) / BATCH);
  }
  socket.destroy();
  return { cpu_ns: cpu, bytes };
}

await measure(BATCH);
console.log("ready");
for await (const line of readline.createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await measure(Number(line))));
}
