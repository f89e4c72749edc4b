"""Calls that look like AI, some hundred a second, on one connection until standard input ends: `forge.py MODEL`. Says `ready` after the
first one, and reports how many there were."""

import sys
import threading
import time

import raw

HOST = "api.openai.com"
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
connection = raw.connect(HOST)
calls = 0
while not ended.is_set():
    connection.sendall(raw.chat(HOST, sys.argv[1]))
    raw.read_answer(connection)
    calls += 1
    if calls == 1:
        print("ready", flush=True)
    time.sleep(0.002)
raw.report(calls=calls)
