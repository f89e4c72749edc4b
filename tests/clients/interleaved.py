"""Two connections on one thread: their requests are written in turns, byte range by byte range, and so are the reads."""

import raw

HOSTS = ["api.openai.com", "llm.example.com"]
ROUNDS = 5
PIECE = 40

connections = [raw.connect(host) for host in HOSTS]
for number in range(ROUNDS):
    requests = [
        raw.chat(host, f"model-{index}", f"{host} asks for the {number}th time " + "and on " * (10 + index * 20))
        for index, host in enumerate(HOSTS)
    ]
    offset = 0
    while any(offset < len(request) for request in requests):
        for connection, request in zip(connections, requests):
            if offset < len(request):
                connection.sendall(request[offset : offset + PIECE])
        offset += PIECE
    for host, connection in zip(HOSTS, connections):
        raw.report_answer(host, *raw.read_answer(connection))
