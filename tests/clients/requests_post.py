"""A POST with the requests package: JSON to an AI service, or any number of bytes to any URL."""

import argparse

import loopback
import requests

parser = argparse.ArgumentParser()
parser.add_argument("--url", default="https://api.openai.com/v1/chat/completions")
parser.add_argument("--model", default="gpt-4o-mini")
parser.add_argument("--prompt", default="What is the answer?")
parser.add_argument("--upload-bytes", type=int, help="send so many bytes of nothing special instead of a prompt")
parser.add_argument("--count", type=int, default=1, help="calls on the same session")
args = parser.parse_args()

session = requests.Session()
for _ in range(args.count):
    if args.upload_bytes is None:
        body = {"model": args.model, "messages": [{"role": "user", "content": args.prompt}]}
        headers = {"Authorization": "Bearer " + loopback.fake_key("sk-")}
        answer = session.post(args.url, json=body, headers=headers, timeout=60)
    else:
        payload = (b"0123456789abcdef" * (args.upload_bytes // 16 + 1))[: args.upload_bytes]
        headers = {"Content-Type": "application/octet-stream"}
        answer = session.post(args.url, data=payload, headers=headers, timeout=60)
    value = answer.json()
    usage = value.get("usage") or {}
    loopback.report(
        status=answer.status_code,
        id=value.get("id"),
        model=value.get("model"),
        input_tokens=usage.get("prompt_tokens"),
        output_tokens=usage.get("completion_tokens"),
        received=value.get("received"),
    )
