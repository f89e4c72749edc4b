"""A gateway: takes calls in clear on a free port of loopback and asks the service behind it, over TLS.

relay.py MODE [CERTIFICATE]: `as-is` hands bodies through; `renamed` gives answers numbers of its own and passes the caller's heads on; `prompt` adds
nothing, passes no heads on and renames too, so that the prompt alone ties the two; `another` asks something else.
With a certificate (PEM, key included) it is asked over TLS, too. Prints the port, then serves until its input ends.
"""

import http.client
import http.server
import json
import ssl
import sys
import threading

import loopback

MODE = sys.argv[1]
PASSED_ON = ("x-request-id", "traceparent")


class Relay(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if MODE == "another":
            asked["messages"] = [{"role": "user", "content": "something else"}]
        heads = {"content-type": "application/json"}
        if MODE == "renamed":
            asked["messages"].insert(0, {"role": "system", "content": "be brief"})
            heads.update({name: self.headers[name] for name in PASSED_ON if name in self.headers})
        behind = http.client.HTTPSConnection("api.openai.com", context=ssl.create_default_context(), timeout=60)
        behind.request("POST", "/v1/chat/completions", json.dumps(asked), heads)
        answer = json.loads(behind.getresponse().read())
        behind.close()
        if MODE != "as-is":
            answer["id"] = "chatcmpl-of-the-relay"
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Relay)
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2])
    server.socket = context.wrap_socket(server.socket, server_side=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
