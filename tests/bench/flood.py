"""One chat completion with an endless prompt: writes of 4,000 bytes, each one chunk, on one TLS connection.

Each line on standard input is a number of writes; the answer is one line of JSON.
"""

import json
import os
import socket
import ssl
import sys
import time

HOST = "api.openai.com"
SIZE = 4000
PORT = int(os.environ["OBSERVER_TEST_PORT"])
HEAD = (
    f"POST /v1/chat/completions HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
    "Transfer-Encoding: chunked\r\n\r\n"
).encode()
START = b'{"model":"gpt-flood","messages":[{"role":"user","content":"'
END = b'"}]}'
LINE = b"The quick brown fox jumps over the lazy dog, and then it does so again.\\n"

context = ssl.create_default_context()


def chunk(body):
    """One chunk."""
    return b"%x\r\n%s\r\n" % (len(body), body)


def flood(writes):
    """Sends it and says what was sent and how long that took."""
    tcp = socket.create_connection(("127.0.0.1", PORT))
    connection = context.wrap_socket(tcp, server_hostname=HOST)
    # Framing of a chunk: three digits and two line ends.
    body = (LINE * (SIZE // len(LINE) + 1))[: SIZE - 7]
    if body.endswith(b"\\"):
        body = body[:-1] + b" "
    piece = chunk(body)
    assert len(piece) == SIZE
    start_piece, end_piece = chunk(START), chunk(END) + b"0\r\n\r\n"
    connection.sendall(HEAD + start_piece)
    send = connection.sendall
    wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
    for _ in range(writes):
        send(piece)
    cpu, wall = time.thread_time_ns() - cpu, time.perf_counter_ns() - wall
    connection.sendall(end_piece)
    answer = connection.recv(65536)
    connection.close()
    return {
        "sent": len(HEAD) + len(start_piece) + writes * SIZE + len(end_piece),
        "wall_ns": wall,
        "cpu_ns": cpu,
        "status": int(answer.split()[1]),
        "pid": os.getpid(),
    }


print("ready", flush=True)
for line in sys.stdin:
    print(json.dumps(flood(int(line))), flush=True)
