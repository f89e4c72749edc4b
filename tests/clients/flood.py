"""Floods one flow: after a real handshake, calls of the TLS library without an end, whose bytes go nowhere. Says `ready` once it is
at full speed, goes on until standard input ends, and reports how many bytes of a prompt it handed to the library."""

import socket
import ssl
import sys
import threading

import raw

HOST = "api.openai.com"
PIECE = b"the quick brown fox jumps over the lazy dog " * 1489  # 64 KiB


def handshake(tls, incoming, outgoing, connection):
    """Over the real connection, which so becomes that of the flow."""
    while True:
        try:
            tls.do_handshake()
            connection.sendall(outgoing.read())
            return
        except ssl.SSLWantReadError:
            connection.sendall(outgoing.read())
            incoming.write(connection.recv(65536))


ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
tls = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=HOST)
connection = socket.create_connection(("127.0.0.1", raw.PORT))
handshake(tls, incoming, outgoing, connection)
tls.write(raw.head(HOST, 1 << 40))
tls.write(b'{"model": "gpt-4o-flood", "messages": [{"role": "user", "content": "')
sent = 0
while not ended.is_set():
    tls.write(PIECE)
    outgoing.read()
    sent += len(PIECE)
    if sent == 512 * len(PIECE):
        print("ready", flush=True)
raw.report(sent=sent)
