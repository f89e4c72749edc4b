"""Alone in a network namespace, with a resolv.conf that names 127.0.0.1: a name server (a process of its own), a server
on port 443 that says nothing, and a client that resolves, then opens TLS without a name, and QUIC.

With `--wait` a connection to port 443 is made first, then `ready` is said and a line awaited, then bytes are sent on it."""

import json
import os
import socket
import ssl  # noqa: F401 - a library that can be read: what is not seen here is older than the daemon, or nameless
import struct
import sys
import threading

import hello_bytes

ADDRESSES = {b"\x03api\x09anthropic\x03com\0": "127.0.0.2", b"\x03www\x07example\x03org\0": "127.0.0.3",
             b"\x03api\x06openai\x03com\0": "127.0.0.4"}


def serve_names():
    """A records for the names above, and no AAAA records."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))
    os.write(WRITE, b"x")
    while True:
        question, peer = server.recvfrom(2048)
        end = question.index(b"\0", 12) + 1
        name, kind = question[12:end].lower(), question[end : end + 2]
        records = b""
        if kind == b"\0\x01" and name in ADDRESSES:
            records = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04" + socket.inet_aton(ADDRESSES[name])
        head = question[:2] + b"\x81\x80" + struct.pack(">HHHH", 1, 1 if records else 0, 0, 0)
        server.sendto(head + question[12 : end + 4] + records, peer)


def serve_nothing(listener):
    """Reads, and never answers."""
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=connection.recv, args=(65536,), daemon=True).start()


def ask_by_hand(name):
    """As musl's resolver does: a socket without a peer of its own."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asks:
        asks.bind(("0.0.0.0", 0))
        question = struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + name + b"\0\x01\0\x01"
        asks.sendto(question, ("127.0.0.1", 53))
        return socket.inet_ntoa(asks.recvfrom(2048)[0][-4:])


READ, WRITE = os.pipe()
server = os.fork()
if server == 0:
    serve_names()
os.read(READ, 1)
listener = socket.create_server(("0.0.0.0", 443))
threading.Thread(target=serve_nothing, args=(listener,), daemon=True).start()

ports = {}
if "--wait" in sys.argv:
    old = socket.create_connection(("127.0.0.9", 443))
    ports["old"] = old.getsockname()[1]
    print("ready", flush=True)
    sys.stdin.readline()
    old.sendall(b"\x17\x03\x03\0\x05hello")
    old.close()
for name in ["api.anthropic.com", "www.example.org"]:
    address = socket.getaddrinfo(name, 443, type=socket.SOCK_STREAM)[0][4][0]
    connection = socket.create_connection((address, 443))
    connection.sendall(hello_bytes.NAMELESS)
    ports[name] = connection.getsockname()[1]
    connection.close()
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.connect((address, 443))
    ports[name + " quic"] = datagrams.getsockname()[1]
    datagrams.send(b"\xc0" + b"\0" * 1199)
address = ask_by_hand(b"\x03api\x06openai\x03com\0")
with socket.create_connection((address, 443)) as connection:
    connection.sendall(hello_bytes.NAMELESS)
    ports["by hand"] = connection.getsockname()[1]
print(json.dumps({"pid": os.getpid(), **ports}), flush=True)
os.kill(server, 9)
