"""One handle of OpenSSL for connections one after the other: cleared, never freed, so that its end is not told."""

import ctypes
import ctypes.util
import json
import os
import socket

import raw

SET_HOST_NAME = 55
LIBRARY = ctypes.CDLL(ctypes.util.find_library("ssl"))
for function, arguments in {
    "TLS_client_method": [],
    "SSL_CTX_new": [ctypes.c_void_p],
    "SSL_new": [ctypes.c_void_p],
    "SSL_ctrl": [ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_char_p],
}.items():
    getattr(LIBRARY, function).argtypes = arguments
    getattr(LIBRARY, function).restype = ctypes.c_void_p
for function in ("SSL_set_fd", "SSL_connect", "SSL_write", "SSL_read", "SSL_clear"):
    getattr(LIBRARY, function).argtypes = {
        "SSL_set_fd": [ctypes.c_void_p, ctypes.c_int],
        "SSL_write": [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int],
        "SSL_read": [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int],
    }.get(function, [ctypes.c_void_p])


class Connection:
    """Reads as a socket does."""

    def __init__(self, handle):
        self.handle = handle

    def recv(self, size):
        """Plaintext; empty at the end."""
        buffer = ctypes.create_string_buffer(size)
        read = LIBRARY.SSL_read(self.handle, buffer, size)
        return buffer.raw[: max(read, 0)]


handle = LIBRARY.SSL_new(LIBRARY.SSL_CTX_new(LIBRARY.TLS_client_method()))
# The first is a service that is not AI, so that nothing of what belongs to it is looked at.
for host in ("www.example.org", "api.openai.com", "api.mistral.ai"):
    connection = socket.create_connection(("127.0.0.1", raw.PORT))
    LIBRARY.SSL_ctrl(handle, SET_HOST_NAME, 0, host.encode())
    LIBRARY.SSL_set_fd(handle, connection.fileno())
    if LIBRARY.SSL_connect(handle) != 1:
        raise SystemExit(f"no handshake with {host}")
    if host == "www.example.org":
        # Longer than what is delivered of such a connection.
        request = f"GET /{'x' * 6000} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    else:
        request = raw.chat(host, "gpt-4o-mini")
    LIBRARY.SSL_write(handle, request, len(request))
    if host == "www.example.org":
        Connection(handle).recv(65536)
    else:
        status, value = raw.read_answer(Connection(handle))
        raw.report(
            host=host, status=status, id=value["id"], local_port=connection.getsockname()[1]
        )
    connection.close()
    LIBRARY.SSL_clear(handle)
print(json.dumps({"pid": os.getpid(), "host": "end"}), flush=True)
