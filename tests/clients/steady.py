"""Calls without a pause until standard input ends, in several ways at once, and compares every answer with the expected
one: `steady.py TEXT`. Reports at the end how many calls each way made and which answers were wrong."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time

import raw

HOST = "api.openai.com"
TEXT = sys.argv[1]
PAUSE = 0.02
BODY = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]})
ended = threading.Event()
calls = {}
wrong = []


def answer_text(value):
    return value["choices"][0]["message"]["content"]


def on_one_connection():
    connection = raw.connect(HOST)
    while True:
        connection.sendall(raw.chat(HOST, "gpt-4o-mini"))
        yield raw.read_answer(connection)[1]


def on_new_connections():
    while True:
        with raw.connect(HOST) as connection:
            connection.sendall(raw.chat(HOST, "gpt-4o-mini"))
            yield raw.read_answer(connection)[1]


def by_curl():
    command = ["curl", "--silent", "--show-error", "--max-time", "20", "--cacert", os.environ["SSL_CERT_FILE"],
               "--connect-to", f"::127.0.0.1:{raw.PORT}", "--header", "Content-Type: application/json",
               "--data", BODY, f"https://{HOST}/v1/chat/completions"]
    while True:
        yield json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def by_wget():
    """GnuTLS in Debian. It cannot be told where a name is, so it asks for the endpoint's other name."""
    command = ["wget", "--quiet", "--timeout=20", "--tries=1", "--output-document=-", f"--ca-certificate={os.environ['SSL_CERT_FILE']}",
               "--header=Content-Type: application/json", f"--post-data={BODY}",
               f"https://localhost:{raw.PORT}/v1/chat/completions"]
    while True:
        yield json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def run(way):
    name = way.__name__
    calls[name] = 0
    try:
        for value in way():
            if answer_text(value) != TEXT:
                wrong.append(f"{name}: another answer")
            calls[name] += 1
            if ended.is_set():
                return
            time.sleep(PAUSE)
    except Exception as error:  # whatever it is: nothing may fail
        wrong.append(f"{name}, call {calls[name] + 1}: {error!r}")


ways = [on_one_connection, on_new_connections, by_curl] + ([by_wget] if shutil.which("wget") else [])
threads = [threading.Thread(target=run, args=[way]) for way in ways]
for thread in threads:
    thread.start()
print("ready", flush=True)
sys.stdin.read()
ended.set()
for thread in threads:
    thread.join()
raw.report(calls=calls, wrong=wrong)
