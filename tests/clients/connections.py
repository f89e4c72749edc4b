"""Opens connections, makes a call on each and keeps all of them open until standard input ends: `connections.py COUNT MODEL`. Says
`ready` when all are there, and reports how many answers there were."""

import resource
import ssl
import sys

import raw

HOST = "api.openai.com"
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
context = ssl.create_default_context()
kept = []
answers = 0
for _ in range(int(sys.argv[1])):
    connection = raw.connect(HOST, context)
    connection.sendall(raw.chat(HOST, sys.argv[2]))
    answers += raw.read_answer(connection)[0] == 200
    kept.append(connection)
print("ready", flush=True)
sys.stdin.read()
raw.report(answers=answers)
