"""Workers forked from a parent that has loaded everything, so that their TLS handles have the same addresses.

Each worker opens its connection after the fork and makes its calls at the same time as the others.
"""

import argparse
import os
import ssl
import sys

import raw

parser = argparse.ArgumentParser()
parser.add_argument("--workers", type=int, default=4)
parser.add_argument("--calls", type=int, default=5)
parser.add_argument("--prompt-bytes", type=int, default=200)
args = parser.parse_args()

context = ssl.create_default_context()
start_read, start_write = os.pipe()
pids = []
for worker in range(args.workers):
    pid = os.fork()
    if pid == 0:
        os.close(start_write)
        os.read(start_read, 1)  # ends when the parent closes its side
        connection = raw.connect("api.openai.com", context)
        prompt = f"worker {worker} " + "x" * args.prompt_bytes
        lines = []
        for _ in range(args.calls):
            connection.sendall(raw.chat("api.openai.com", f"worker-of-{worker}", prompt))
            status, value = raw.read_answer(connection)
            raw.report_answer("api.openai.com", status, value)
        connection.close()
        sys.stdout.flush()
        os._exit(0)
    pids.append(pid)
os.close(start_write)
failed = [pid for pid in pids if os.waitpid(pid, 0)[1] != 0]
sys.exit(1 if failed else 0)
