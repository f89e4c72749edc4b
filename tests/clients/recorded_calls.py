"""Sends recorded calls again, each with its own fields and body: a file of them, one JSON object a line.

`h1` is requests for every other call and httpx for the rest; `h2` is httpx with HTTP/2, some calls at the same time.
Bodies of answers are read as they come, so no content coding is too much for the client.
"""

import argparse
import base64
import concurrent.futures
import json
import os
import ssl

import loopback  # noqa: F401  (leads every connection to the endpoint)
import httpx
import requests

AT_A_TIME = 4

parser = argparse.ArgumentParser()
parser.add_argument("version", choices=["h1", "h2"])
parser.add_argument("file")
args = parser.parse_args()

with open(args.file, encoding="utf-8") as file:
    calls = [json.loads(line) for line in file]
for call in calls:
    call["body"] = base64.b64decode(call["body"])


def with_requests(session, call):
    request = requests.Request(call["method"], call["url"], data=call["body"]).prepare()
    # As recorded: nothing that the package would say of itself.
    request.url = call["url"]
    request.headers.clear()
    request.headers.update([(name, value.encode("latin-1")) for name, value in call["headers"]])
    if call["body"] or call["method"] == "POST":
        request.headers["Content-Length"] = str(len(call["body"]))
    answer = session.send(request, stream=True, allow_redirects=False, timeout=60)
    answer.raw.read(decode_content=False)
    return answer.status_code


def with_httpx(client, call):
    request = httpx.Request(call["method"], call["url"], headers=call["headers"], content=call["body"])
    answer = client.send(request, stream=True)
    for _ in answer.iter_raw():
        pass
    answer.close()
    return answer.status_code


def checked(call, status):
    if status != call["status"]:
        raise SystemExit(f"call {call['number']}: status {status}, recorded {call['status']}")


trust = ssl.create_default_context()
if args.version == "h1":
    with requests.Session() as session, httpx.Client(verify=trust, timeout=60) as client:
        session.verify = os.environ["REQUESTS_CA_BUNDLE"]
        for call in calls:
            send = (with_requests, session) if call["number"] % 2 else (with_httpx, client)
            checked(call, send[0](send[1], call))
else:
    with httpx.Client(http1=False, http2=True, verify=trust, timeout=60) as client:
        with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as threads:
            list(threads.map(lambda call: checked(call, with_httpx(client, call)), calls))
