"""HTTP over a TLS socket by hand, for what well-behaved clients never do."""

import json
import os
import socket
import ssl

PORT = int(os.environ["OBSERVER_TEST_PORT"])


def connect(host, context=None):
    """A TLS connection to the local endpoint under this name."""
    context = context or ssl.create_default_context()
    return context.wrap_socket(socket.create_connection(("127.0.0.1", PORT)), server_hostname=host)


def head(host, length=None, path="/v1/chat/completions", extra=""):
    """Head of a POST."""
    size = "" if length is None else f"Content-Length: {length}\r\n"
    return (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{size}{extra}\r\n"
    ).encode()


def chat(host, model, prompt="What is the answer?"):
    """A whole chat completion request."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": prompt}]}).encode()
    return head(host, len(body)) + body


def read_answer(connection):
    """One answer with a Content-Length: its status and its JSON."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            raise EOFError("the connection ended before the answer")
        data += piece
    top, _, body = data.partition(b"\r\n\r\n")
    fields = dict(
        line.split(": ", 1) for line in top.decode().lower().split("\r\n")[1:]
    )
    length = int(fields["content-length"])
    while len(body) < length:
        piece = connection.recv(65536)
        if not piece:
            raise EOFError("the connection ended in the answer")
        body += piece
    return int(top.split()[1]), json.loads(body)


def report(**fields):
    """One line of JSON on standard output."""
    fields.setdefault("pid", os.getpid())
    # One write, so that lines of several processes do not mix.
    os.write(1, (json.dumps(fields) + "\n").encode())


def report_answer(host, status, value):
    """The facts of an answer."""
    usage = value.get("usage") or {}
    report(
        host=host,
        status=status,
        id=value.get("id"),
        model=value.get("model"),
        input_tokens=usage.get("prompt_tokens"),
        output_tokens=usage.get("completion_tokens"),
    )
