"""Alone in a network namespace, with a resolv.conf that names 127.0.0.1: a name server and servers on port 443 (processes of their
own), and a client that does what each line of its input says, a JSON object, and answers with a line.

With `--once ADDRESS` it only connects, and says what came of it."""

import ctypes
import errno
import json
import os
import socket
import ssl
import subprocess
import sys

# Type A and AAAA by name.
NAMES = {
    "api.anthropic.com": (["127.0.0.2", "127.0.0.4"], ["fd00::2"]),
    "api.mistral.ai": (["127.0.0.5"], []),
    "api.cohere.com": (["127.0.0.6"], []),
    "api.deepseek.com": (["127.0.0.7"], []),
    "www.example.org": (["127.0.0.7"], []),
}


def serve_names(ready):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))
    os.write(ready, b"x")
    while True:
        question, peer = server.recvfrom(2048)
        end = question.index(b"\0", 12) + 1
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1 : at + 1 + question[at]].decode().lower())
            at += 1 + question[at]
        v4, v6 = NAMES.get(".".join(labels), ([], []))
        kind = question[end : end + 2]
        family, found = {b"\0\x01": (socket.AF_INET, v4), b"\0\x1c": (socket.AF_INET6, v6)}.get(kind, (0, []))
        records = b""
        for address in found:
            data = socket.inet_pton(family, address)
            records += b"\xc0\x0c" + kind + b"\0\x01\0\0\x02\x58" + len(data).to_bytes(2, "big") + data
        head = question[:2] + b"\x81\x80\0\x01" + len(found).to_bytes(2, "big") + b"\0\0\0\0"
        server.sendto(head + question[12 : end + 4] + records, peer)


def serve_nothing(ready, family, address):
    """Accepts and reads, and never answers."""
    listener = socket.create_server((address, 443), family=family)
    os.write(ready, b"x")
    held = []
    while True:
        held.append(listener.accept()[0])


def apart(work, *args):
    """Runs it in a process of its own; gives its id when it is ready."""
    mine, its = os.pipe()
    child = os.fork()
    if child == 0:
        # PR_SET_PDEATHSIG of prctl(2): it ends with the client, however that ends.
        ctypes.CDLL(None).prctl(1, 9)
        work(its, *args)
    os.read(mine, 1)
    return child


def outcome(work):
    try:
        work()
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    return "ok"


def tcp(to):
    with socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET) as client:
        client.settimeout(5)
        client.connect((to, 443))


def udp(to, port, connected):
    with socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET, socket.SOCK_DGRAM) as client:
        if connected:
            client.connect((to, port))
        else:
            client.sendto(b"\xc0" + b"\0" * 1199, (to, port))


def hello(to, name, wait):
    """Sends a ClientHello with this name, and waits so many seconds for what the server does not say."""
    made = ssl.MemoryBIO()
    session = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), made, server_hostname=name)
    try:
        session.do_handshake()
    except ssl.SSLWantReadError:
        pass
    with socket.create_connection((to, 443)) as client:
        client.settimeout(wait)
        client.sendall(made.read())
        try:
            client.recv(1)
        except TimeoutError:
            return


def run(argv, uid):
    done = subprocess.run(argv, user=uid, capture_output=True, text=True, timeout=20)
    return done.stdout.strip() or done.stderr.strip() or f"exit {done.returncode}"


def do(what):
    match what["do"]:
        case "resolve":
            return sorted({found[4][0] for found in socket.getaddrinfo(what["name"], None)})
        case "tcp":
            return outcome(lambda: tcp(what["to"]))
        case "udp":
            return outcome(lambda: udp(what["to"], what.get("port", 443), what["connected"]))
        case "hello":
            return outcome(lambda: hello(what["to"], what["name"], what["wait"]))
        case "run":
            return run(what["argv"], what.get("uid"))


if "--once" in sys.argv:
    print(outcome(lambda: tcp(sys.argv[-1])))
    sys.exit()
servers = [
    apart(serve_names),
    apart(serve_nothing, socket.AF_INET, "0.0.0.0"),
    apart(serve_nothing, socket.AF_INET6, "::"),
]
try:
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(do(json.loads(line))), flush=True)
finally:
    for server in servers:
        os.kill(server, 9)
