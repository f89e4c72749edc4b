"""Everything that a client should not send, each on a connection of its own."""

import gzip
import os
import ssl

import raw

HOST = "api.openai.com"


def send(name, *pieces, read=True):
    """Sends the pieces, reads what comes back, if anything, and goes away."""
    received = 0
    try:
        connection = raw.connect(HOST)
        connection.settimeout(10)
        for piece in pieces:
            connection.sendall(piece)
        while read:
            data = connection.recv(65536)
            if not data:
                break
            received += len(data)
        connection.close()
    except (OSError, ssl.SSLError):
        pass  # the server may well refuse to go on
    raw.report(case=name, received=received)


whole = raw.chat(HOST, "gpt-4o-mini")
top, _, body = whole.partition(b"\r\n\r\n")

send("noise", os.urandom(100_000))
send("zeros", bytes(100_000))
send("half a head", top[: len(top) // 2], read=False)
send("half a body", whole[: len(whole) - len(body) // 2], read=False)
send("nothing", read=False)
send("absurd length", raw.head(HOST, "99999999999999999999999"), body, read=False)
send("negative length", raw.head(HOST, "-1"), body)
send("two lengths", raw.head(HOST, "5", extra="Content-Length: 6\r\n"), body)
send("absurd chunk", raw.head(HOST, extra="Transfer-Encoding: chunked\r\n"), b"ffffffffffffffffff\r\n" + body, read=False)
send("chunk without end", raw.head(HOST, extra="Transfer-Encoding: chunked\r\n"), b"5;" + b"a" * 100_000, read=False)
send("huge head", raw.head(HOST, "0", extra="".join(f"X-Field-{n}: {'v' * 100}\r\n" for n in range(5_000))))
send("one huge field", raw.head(HOST, "0", extra="X-Field: " + "v" * 1_000_000 + "\r\n"))
deep = b'{"model":"gpt-4o-mini","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
send("deep JSON", raw.head(HOST, len(deep), extra="Connection: close\r\n"), deep)
bomb = gzip.compress(b'{"model":"gpt-4o-mini","messages":[' + bytes(256 << 20))
send("request bomb", raw.head(HOST, len(bomb), extra="Content-Encoding: gzip\r\nConnection: close\r\n"), bomb)
asks = raw.chat(HOST, "bomb").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
send("response bomb", asks)
smuggled = raw.head(HOST, len(body), extra="Transfer-Encoding: chunked\r\n")
send("length and chunks", smuggled, b"0\r\n\r\n" + body, read=False)
