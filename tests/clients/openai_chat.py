"""Chat completions, responses or embeddings with the official openai package."""

import argparse
import sys

import loopback
import openai

parser = argparse.ArgumentParser()
parser.add_argument("--base-url", default="https://api.openai.com/v1")
parser.add_argument("--api", choices=["chat", "responses", "embeddings"], default="chat")
parser.add_argument("--model", default="gpt-4o-mini")
parser.add_argument("--prompt", default="What is the answer?")
parser.add_argument("--prompt-file", help="read the prompt from here; - is standard input")
parser.add_argument("--stream", action="store_true")
parser.add_argument("--no-usage", action="store_true", help="do not ask for usage in a stream")
parser.add_argument("--tool", help="offer a tool of this name")
parser.add_argument("--count", type=int, default=1, help="calls on the same client, one after the other")
parser.add_argument("--wait", action="store_true", help="load everything, then wait for a line before the first call")
args = parser.parse_args()

prompt = args.prompt
if args.prompt_file == "-":
    prompt = sys.stdin.read()
elif args.prompt_file:
    with open(args.prompt_file, encoding="utf-8") as file:
        prompt = file.read()

client = openai.OpenAI(api_key=loopback.fake_key("sk-"), base_url=args.base_url, max_retries=0)
if args.wait:
    loopback.wait_for_go()


def chat():
    options = {}
    if args.tool:
        options["tools"] = [{"type": "function", "function": {"name": args.tool, "parameters": {"type": "object"}}}]
    messages = [{"role": "user", "content": prompt}]
    if not args.stream:
        answer = client.chat.completions.create(model=args.model, messages=messages, **options)
        usage = answer.usage
        return {
            "id": answer.id,
            "model": answer.model,
            "input_tokens": usage and usage.prompt_tokens,
            "output_tokens": usage and usage.completion_tokens,
        }
    if not args.no_usage:
        options["stream_options"] = {"include_usage": True}
    facts = {"chunks": 0, "input_tokens": None, "output_tokens": None}
    for chunk in client.chat.completions.create(model=args.model, messages=messages, stream=True, **options):
        facts["id"], facts["model"] = chunk.id, chunk.model
        if chunk.choices and chunk.choices[0].delta.content:
            facts["chunks"] += 1
        if chunk.usage:
            facts["input_tokens"] = chunk.usage.prompt_tokens
            facts["output_tokens"] = chunk.usage.completion_tokens
    return facts


def responses():
    if not args.stream:
        answer = client.responses.create(model=args.model, input=prompt)
    else:
        for event in client.responses.create(model=args.model, input=prompt, stream=True):
            if event.type == "response.completed":
                answer = event.response
    return {
        "id": answer.id,
        "model": answer.model,
        "input_tokens": answer.usage.input_tokens,
        "output_tokens": answer.usage.output_tokens,
    }


def embeddings():
    answer = client.embeddings.create(model=args.model, input=[prompt])
    return {"id": "", "model": answer.model, "input_tokens": answer.usage.prompt_tokens, "output_tokens": None}


call = {"chat": chat, "responses": responses, "embeddings": embeddings}[args.api]
for _ in range(args.count):
    try:
        loopback.report(status=200, **call())
    except openai.APIStatusError as error:
        loopback.report(status=error.status_code, error=error.type)
