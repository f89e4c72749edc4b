"""Threads of one process, each with a keep-alive connection of its own, calling at full speed."""

import argparse
import http.client
import json
import os
import pathlib
import ssl
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "clients"))
import loopback

parser = argparse.ArgumentParser()
parser.add_argument("--threads", type=int, default=8)
parser.add_argument("--calls", type=int, default=20)
parser.add_argument("--prompt-bytes", type=int, default=2000)
args = parser.parse_args()

barrier = threading.Barrier(args.threads)
failures = []


def work(number):
    try:
        connection = http.client.HTTPSConnection("api.openai.com", context=ssl.create_default_context())
        connection.connect()
        prompt = f"thread {number} " + "x" * args.prompt_bytes
        body = json.dumps({"model": f"thread-{number}", "messages": [{"role": "user", "content": prompt}]})
        barrier.wait()
        ids = []
        for _ in range(args.calls):
            connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
            ids.append(json.loads(connection.getresponse().read())["id"])
        connection.close()
        for answer in ids:
            loopback.report(id=answer)
    except Exception as error:
        failures.append(error)
        barrier.abort()


threads = [threading.Thread(target=work, args=(n,)) for n in range(args.threads)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for failure in failures:
    print(failure, file=sys.stderr)
sys.stdout.flush()
os._exit(1 if failures else 0)
