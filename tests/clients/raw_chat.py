"""Chat completions on one connection with nothing but the standard library: a client that lives a tenth of a second, or for `COUNT` calls."""

import sys

import raw

HOST = "api.openai.com"
with raw.connect(HOST) as connection:
    for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 1):
        connection.sendall(raw.chat(HOST, "gpt-4o-mini"))
        raw.report_answer(HOST, *raw.read_answer(connection))
