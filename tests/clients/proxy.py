"""A proxy that knows CONNECT, and leads every tunnel to the local endpoint. Says its port. With the file of a certificate and its key it
is spoken to over TLS."""

import os
import socket
import socketserver
import ssl
import sys
import threading

PORT = int(os.environ["OBSERVER_TEST_PORT"])


def pump(source, target):
    """Passes on what comes, to its end."""
    try:
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


class Tunnel(socketserver.BaseRequestHandler):
    """One tunnel."""

    def setup(self):
        """TLS, where there is a certificate."""
        if len(sys.argv) > 1:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(sys.argv[1])
            self.request = context.wrap_socket(self.request, server_side=True)

    def handle(self):
        """Head, answer, tunnel."""
        head = b""
        while b"\r\n\r\n" not in head:
            piece = self.request.recv(4096)
            if not piece:
                return
            head += piece
        server = socket.create_connection(("127.0.0.1", PORT))
        self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        back = threading.Thread(target=pump, args=(server, self.request), daemon=True)
        back.start()
        pump(self.request, server)
        back.join()
        server.close()


socketserver.ThreadingTCPServer.daemon_threads = True
with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tunnel) as tunnels:
    print(tunnels.server_address[1], flush=True)
    tunnels.serve_forever()
