"""Writes to a TLS connection whose two ends are in this process, and says how long each write took.

No socket and no peer: what is measured is `SSL_write_ex` and whatever is attached to it. Each line on standard input is
a number of writes; the answer is one line of JSON. Each answer comes from a connection of its own, whose name is in
nobody's catalogue and whose first request is an upload, so that an observer decides that it is not AI once enough of it was seen.
"""

import json
import ssl
import sys
import time

HOST = "gate.bench.example.net"
SIZE = 4000
BATCH = 250
# Time for an observer to decide about the first request, and how many writes of it come before that.
DECISION = 0.5
LEAD = 32

certificate = sys.argv[1]
server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
server_context.load_cert_chain(certificate)
client_context = ssl.create_default_context(cafile=certificate)


def connect():
    """A client whose handshake is done, and where its records come out. The server's end is kept with it."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=HOST)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    open_ends = [client, server]
    while open_ends:
        for end in list(open_ends):
            try:
                end.do_handshake()
                open_ends.remove(end)
            except ssl.SSLWantReadError:
                pass
    return client, to_server, server


def measure(writes):
    """Nanoseconds of each batch, divided by its writes: on this thread's CPU clock and on the wall."""
    client, out, server = connect()
    data = b"\x00" * SIZE
    total = writes // BATCH * BATCH * SIZE
    head = f"PUT /upload HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: image/png\r\nContent-Length: {LEAD * SIZE + total}\r\n\r\n"
    client.write(head.encode())
    for _ in range(LEAD):
        client.write(data)
    time.sleep(DECISION)
    out.read()
    cpu, wall = [], []
    write = client.write
    for _ in range(writes // BATCH):
        wall_start, start = time.perf_counter_ns(), time.thread_time_ns()
        for _ in range(BATCH):
            write(data)
        end, wall_end = time.thread_time_ns(), time.perf_counter_ns()
        out.read()
        cpu.append((end - start) / BATCH)
        wall.append((wall_end - wall_start) / BATCH)
    del server
    return {"cpu_ns": cpu, "wall_ns": wall, "bytes": total}


print("ready", flush=True)
for line in sys.stdin:
    print(json.dumps(measure(int(line))), flush=True)
