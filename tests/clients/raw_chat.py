"""One chat completion with nothing but the standard library: a client that lives a tenth of a second."""

import raw

HOST = "api.openai.com"
with raw.connect(HOST) as connection:
    connection.sendall(raw.chat(HOST, "gpt-4o-mini"))
    raw.report_answer(HOST, *raw.read_answer(connection))
