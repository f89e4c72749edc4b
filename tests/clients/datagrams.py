"""Datagrams to port 443 of loopback addresses where nobody listens: from a connected socket, and from one that is not.

With a number, instead: so many sockets one after the other, of which the kernel uses the memory again."""

import json
import os
import socket
import sys
import time

if len(sys.argv) > 1:
    for number in range(int(sys.argv[1])):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.connect((f"127.0.44.{number + 1}", 443))
            one.send(b"\xc0" + b"\0" * 1199)
        time.sleep(0.05)
    time.sleep(0.3)
    raise SystemExit

CONNECTED, FREE = "127.0.43.1", "127.0.43.2"
connected = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
connected.connect((CONNECTED, 443))
free = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(3):
    try:
        connected.send(b"\xc0" + b"\0" * 1199)
    except ConnectionRefusedError:
        connected.send(b"\xc0" + b"\0" * 1199)
    free.sendto(b"\xc0" + b"\0" * 1199, (FREE, 443))
time.sleep(0.3)
print(json.dumps({"pid": os.getpid(), "connected": CONNECTED, "free": FREE}), flush=True)
