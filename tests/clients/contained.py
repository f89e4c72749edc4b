"""A client for a container: standard library only, reaches the endpoint by its address, checks its certificate.

`--list` prints the files that it needs, so that a root file system can be made of them.
"""

import argparse
import json
import os
import socket
import ssl
import sys
import time

HOST = "api.openai.com"


def needed():
    """The interpreter, the modules that are loaded, and the libraries that are mapped."""
    files = {os.path.realpath(sys.executable)}
    files |= {file for module in sys.modules.values() if (file := getattr(module, "__file__", None))}
    with open("/proc/self/maps", encoding="utf-8") as maps:
        files |= {line.split(maxsplit=5)[5].strip() for line in maps if "/" in line}
    return sorted(file for file in files if os.path.isabs(file) and os.path.isfile(file))


def call(address, port, model):
    """One chat completion; the id of the answer."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "What is the answer?"}]})
    request = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
        f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )
    context = ssl.create_default_context(cafile="/ca.pem")
    with socket.create_connection((address, port)) as plain:
        with context.wrap_socket(plain, server_hostname=HOST) as connection:
            connection.sendall(request.encode())
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
    return json.loads(answer.partition(b"\r\n\r\n")[2])["id"]


def serve():
    """An MCP server over standard input and output that answers every request the same."""
    for line in sys.stdin:
        request = json.loads(line)
        content = [{"type": "text", "text": "contained"}]
        print(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": {"content": content}}), flush=True)


def lived_ms():
    """How long this process has been running."""
    with open("/proc/self/stat", encoding="utf-8") as stat:
        start = int(stat.read().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    return int((time.clock_gettime(time.CLOCK_BOOTTIME) - start) * 1000)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--address")
    parser.add_argument("--port", type=int)
    parser.add_argument("--model", default="gpt-4o-mini")
    parser.add_argument("--serve", action="store_true", help="answer MCP requests instead of calling")
    parser.add_argument("--wait", action="store_true", help="say `ready`, then wait for a line before the call")
    parser.add_argument("--sleep-ms", type=int, default=0, help="before the call")
    args = parser.parse_args()
    if args.list:
        import encodings.idna  # noqa: F401  (loaded with the first host name)

        ssl.create_default_context()
        print("\n".join(needed()))
        return
    if args.wait:
        print("ready", flush=True)
        sys.stdin.readline()
    if args.serve:
        serve()
        return
    time.sleep(args.sleep_ms / 1000)
    answer = call(args.address, args.port, args.model)
    print(json.dumps({"id": answer, "pid": os.getpid(), "lived_ms": lived_ms()}), flush=True)


if __name__ == "__main__":
    main()
