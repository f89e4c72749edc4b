"""First bytes of TLS clients that no library makes, one connection for each, to the local endpoint.

Each line on standard output: what was sent, and the local port of its connection. No TLS library is loaded."""

import json
import os
import socket
import struct
import time

PORT = int(os.environ["OBSERVER_TEST_PORT"])


def server_name(name):
    """The extension with this name (RFC 6066), its lengths true as far as they go."""
    entry = b"\0" + struct.pack(">H", len(name) & 0xFFFF) + name
    entries = struct.pack(">H", len(entry) & 0xFFFF) + entry
    return struct.pack(">HH", 0, len(entries) & 0xFFFF) + entries


def hello(extensions):
    """A ClientHello with these extensions, in records of at most 16 KiB."""
    body = b"\x03\x03" + b"\x07" * 32 + b"\0" + b"\0\x02\x13\x01" + b"\x01\0"
    body += struct.pack(">H", len(extensions) & 0xFFFF) + extensions
    message = b"\x01" + struct.pack(">I", len(body))[1:] + body
    parts = [message[at : at + 16384] for at in range(0, len(message), 16384)]
    return b"".join(b"\x16\x03\x01" + struct.pack(">H", len(part)) + part for part in parts)


def send(kind, pieces):
    """Sends the pieces, each in a call of its own."""
    connection = socket.create_connection(("127.0.0.1", PORT))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    port = connection.getsockname()[1]
    try:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(0.0005)
        connection.settimeout(0.2)
        connection.recv(100)
    except OSError:
        pass  # The endpoint refuses most of these.
    connection.close()
    print(json.dumps({"kind": kind, "local_port": port, "pid": os.getpid()}), flush=True)


named = hello(server_name(b"api.openai.com"))
send("whole", [named])
send("head first", [named[:5]] + [named[at : at + 1] for at in range(5, len(named))])
send("byte by byte", [named[at : at + 1] for at in range(len(named))])
send("no name", [hello(b"")])
send("control characters", [hello(server_name(b"evil\x1b[31m.example\n"))])
send("64 KiB", [hello(server_name(b"\x1ba" * 32750))])
send("not ai", [hello(server_name(b"www.example.org"))])
