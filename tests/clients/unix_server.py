"""Answers one chat completion after the other on a unix socket: `unix_server.py PATH`. Says `ready`."""

import http.server
import json
import socketserver
import sys


class Answer(http.server.BaseHTTPRequestHandler):
    """The same answer for everybody."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        """A chat completion."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        message = {"role": "assistant", "content": "from a unix socket"}
        body = json.dumps(
            {
                "id": "chatcmpl-unix",
                "object": "chat.completion",
                "model": asked["model"],
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
            }
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        """Peers of unix sockets have no address."""
        return "unix"

    def log_message(self, *_):
        """Nothing on standard error."""


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """One thread for each connection."""

    daemon_threads = True


with Server(sys.argv[1], Answer) as server:
    print("ready", flush=True)
    server.serve_forever()
