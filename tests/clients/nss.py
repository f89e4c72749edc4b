"""One chat completion by NSS and NSPR, without Python's own TLS; beside it the same bytes go into a file through the same
NSPR function, which nobody may take for traffic."""

import ctypes
import json
import os
import sys
import tempfile

PORT = int(os.environ["OBSERVER_TEST_PORT"])
NO_TIMEOUT = 0xFFFFFFFF
PR_AF_INET = 2
PR_WRONLY_CREATE = 0x02 | 0x08

nspr = ctypes.CDLL("libnspr4.so")
nss = ctypes.CDLL("libnss3.so")
ssl3 = ctypes.CDLL("libssl3.so")
nspr.PR_OpenTCPSocket.restype = ctypes.c_void_p
nspr.PR_Open.restype = ctypes.c_void_p
ssl3.SSL_ImportFD.restype = ctypes.c_void_p


class Address(ctypes.Structure):
    """PRNetAddr with an IPv4 address; the union is larger."""

    _fields_ = [
        ("family", ctypes.c_uint16),
        ("port", ctypes.c_uint16),
        ("ip", ctypes.c_uint32),
        ("rest", ctypes.c_char * 112),
    ]


# The certificate of the local endpoint is nothing that this test is about.
ACCEPT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int)(lambda *_: 0)


def check(status, what):
    if status != 0:
        sys.exit(f"{what} failed: NSPR error {nspr.PR_GetError()}")


def connect(host):
    socket = nspr.PR_OpenTCPSocket(PR_AF_INET)
    address = Address(PR_AF_INET, int.from_bytes(PORT.to_bytes(2, "big"), "little"), 0x0100007F)
    check(nspr.PR_Connect(ctypes.c_void_p(socket), ctypes.byref(address), NO_TIMEOUT), "PR_Connect")
    descriptor = ctypes.c_void_p(ssl3.SSL_ImportFD(None, ctypes.c_void_p(socket)))
    check(ssl3.SSL_AuthCertificateHook(descriptor, ACCEPT, None), "SSL_AuthCertificateHook")
    check(ssl3.SSL_SetURL(descriptor, host.encode()), "SSL_SetURL")
    check(ssl3.SSL_ResetHandshake(descriptor, 0), "SSL_ResetHandshake")
    return descriptor


def local_port(descriptor):
    address = Address()
    check(nspr.PR_GetSockName(descriptor, ctypes.byref(address)), "PR_GetSockName")
    return int.from_bytes(address.port.to_bytes(2, "little"), "big")


def write(descriptor, data):
    while data:
        n = nspr.PR_Write(descriptor, data, len(data))
        if n <= 0:
            sys.exit(f"PR_Write failed: NSPR error {nspr.PR_GetError()}")
        data = data[n:]


def read_all(descriptor):
    data, buffer = b"", ctypes.create_string_buffer(65536)
    while (n := nspr.PR_Read(descriptor, buffer, len(buffer))) > 0:
        data += buffer.raw[:n]
    return data


def start():
    check(nss.NSS_NoDB_Init(None), "NSS_NoDB_Init")
    check(ssl3.NSS_SetDomesticPolicy(), "NSS_SetDomesticPolicy")


def main():
    host, model = sys.argv[1:3]
    start()
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "What is the answer?"}]})
    request = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()
    with tempfile.TemporaryDirectory() as folder:
        file = ctypes.c_void_p(nspr.PR_Open(f"{folder}/copy".encode(), PR_WRONLY_CREATE, 0o600))
        write(file, request)
        nspr.PR_Close(file)
    descriptor = connect(host)
    port = local_port(descriptor)
    write(descriptor, request)
    answer = read_all(descriptor)
    nspr.PR_Close(descriptor)
    value = json.loads(answer.partition(b"\r\n\r\n")[2])
    usage = value["usage"]
    print(json.dumps({"pid": os.getpid(), "local_port": port, "id": value["id"], "input_tokens": usage["prompt_tokens"],
                      "output_tokens": usage["completion_tokens"]}))


if __name__ == "__main__":
    main()
