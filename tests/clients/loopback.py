"""Sends every connection to the local endpoint, whatever its name, and leaves names, TLS and headers as they are.

The environment says where: OBSERVER_TEST_PORT. Importing this module is enough. Certificates come from SSL_CERT_FILE
(httpx, aiohttp, ssl) and REQUESTS_CA_BUNDLE (requests), set by whoever starts the client.
"""

import json
import os
import socket
import sys

PORT = int(os.environ["OBSERVER_TEST_PORT"])


def _getaddrinfo(host, port, family=0, type=0, proto=0, flags=0):
    del host, port, family, proto, flags
    kind = socket.SocketKind(type) if type else socket.SOCK_STREAM
    return [(socket.AF_INET, kind, socket.IPPROTO_TCP, "", ("127.0.0.1", PORT))]


socket.getaddrinfo = _getaddrinfo


def fake_key(prefix):
    """A key in the provider's form. Put together here, so that no file holds one."""
    return prefix + "".join(chr(ord("a") + (n * 7) % 26) for n in range(40))


def report(**fields):
    """One line of JSON on standard output: what the client itself knows of its call."""
    fields.setdefault("pid", os.getpid())
    # One write, so that lines of several processes do not mix.
    os.write(1, (json.dumps(fields) + "\n").encode())


def wait_for_go():
    """Says that everything is loaded and waits for a line on standard input."""
    print("ready", flush=True)
    sys.stdin.readline()
