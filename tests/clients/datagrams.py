"""Datagrams to port 443 of loopback addresses where nobody listens: from a connected socket, and from one that is not."""

import json
import os
import socket
import time

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
