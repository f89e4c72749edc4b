"""Chat completions over plain HTTP by hand: `--port P`, `--to ADDRESS` (several), `--calls N` on each connection,
`--prompt-bytes N` (several: of the first, second call), each request in pieces of 64 KiB or in `--one-call`; with `--peek` each answer is
looked at before it is read. With `--wait` the connections are made first, then `ready` is said and a line awaited."""

import argparse
import socket
import sys
import time

import raw

arguments = argparse.ArgumentParser()
arguments.add_argument("--port", type=int, required=True)
arguments.add_argument("--to", nargs="+", required=True)
arguments.add_argument("--calls", type=int, default=1)
arguments.add_argument("--prompt-bytes", type=int, nargs="+", default=[20])
arguments.add_argument("--one-call", action="store_true")
arguments.add_argument("--peek", action="store_true")
arguments.add_argument("--wait", action="store_true")
options = arguments.parse_args()


def connect(address):
    """Keeps the family that the address has: an IPv6 socket for a mapped IPv4 address, too."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM)
    connection.connect((address, options.port))
    return connection


connections = [connect(address) for address in options.to]
if options.wait:
    print("ready", flush=True)
    sys.stdin.readline()
for address, connection in zip(options.to, connections):
    for number in range(options.calls):
        size = options.prompt_bytes[min(number, len(options.prompt_bytes) - 1)]
        request = raw.chat("llm.example.com", "my-own-model", "word " * (size // 5))
        piece = len(request) if options.one_call else 65536
        for at in range(0, len(request), piece):
            connection.sendall(request[at : at + piece])
        if options.peek:
            for most in (1, 4096):
                connection.recv(most, socket.MSG_PEEK)
        status, value = raw.read_answer(connection)
        # A person would think for longer.
        time.sleep(0.05)
        raw.report(
            to=address,
            status=status,
            id=value["id"],
            input_tokens=value["usage"]["prompt_tokens"],
            local_port=connection.getsockname()[1],
        )
    connection.close()
