"""Asks the proxy at this port for a tunnel, gets it, and goes away: `asks_proxy.py PORT HOST`."""

import json
import os
import socket
import sys

connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
connection.sendall(f"CONNECT {sys.argv[2]}:443 HTTP/1.1\r\nHost: {sys.argv[2]}:443\r\n\r\n".encode())
print(json.dumps({"answer": connection.recv(100).decode(), "pid": os.getpid()}), flush=True)
connection.close()
