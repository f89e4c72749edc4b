"""Writes to a TLS connection by GnuTLS or by NSS and NSPR, and says how long each batch took: `hits.py STACK`. Each line on standard input is a
number of writes; the answer is one line of JSON. The connection's name is in nobody's catalogue and its first request is an upload, so that
an observer decides that it is not AI."""

import ctypes
import json
import os
import socket
import sys
import time

HOST = "hits.bench.example.net"
PORT = int(os.environ["OBSERVER_TEST_PORT"])
SIZE = 4000
BATCH = 250
# Time for an observer to decide about the first request.
DECISION = 0.5


def by_gnutls():
    gnutls = ctypes.CDLL("libgnutls.so.30")
    session, credentials = ctypes.c_void_p(), ctypes.c_void_p()
    gnutls.gnutls_init(ctypes.byref(session), 2)
    gnutls.gnutls_certificate_allocate_credentials(ctypes.byref(credentials))
    gnutls.gnutls_credentials_set(session, 1, credentials)
    gnutls.gnutls_set_default_priority(session)
    gnutls.gnutls_server_name_set(session, 1, HOST.encode(), ctypes.c_size_t(len(HOST)))
    connection = socket.create_connection(("127.0.0.1", PORT))
    gnutls.gnutls_transport_set_int2(session, connection.fileno(), connection.fileno())
    while (status := gnutls.gnutls_handshake(session)) != 0:
        if gnutls.gnutls_error_is_fatal(status):
            sys.exit(f"gnutls_handshake: {status}")
    send = gnutls.gnutls_record_send
    send.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
    send.restype = ctypes.c_ssize_t
    kept = (connection, credentials)
    return lambda data: send(session, data, len(data)) + 0 * len(kept)


def by_nspr():
    sys.argv[1:] = []
    sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "clients"))
    import nss

    nss.start()
    descriptor = nss.connect(HOST)
    write = nss.nspr.PR_Write
    return lambda data: write(descriptor, data, len(data))


def measure(connect, writes):
    write, data = connect(), b"\x00" * SIZE
    total = writes // BATCH * BATCH * SIZE
    head = f"PUT /upload HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: image/png\r\nContent-Length: {total}\r\n\r\n".encode()
    write(head)
    time.sleep(DECISION)
    cpu = []
    for _ in range(writes // BATCH):
        start = time.thread_time_ns()
        for _ in range(BATCH):
            if write(data) != SIZE:
                sys.exit("not all was taken")
        cpu.append((time.thread_time_ns() - start) / BATCH)
    return {"cpu_ns": cpu, "bytes": total}


way = {"gnutls": by_gnutls, "nspr": by_nspr}[sys.argv[1]]
measure(way, BATCH)
print("ready", flush=True)
for line in sys.stdin:
    print(json.dumps(measure(way, int(line))), flush=True)
