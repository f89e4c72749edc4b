"""Messages with the official anthropic package."""

import argparse

import anthropic
import loopback

parser = argparse.ArgumentParser()
parser.add_argument("--base-url", default="https://api.anthropic.com")
parser.add_argument("--model", default="claude-sonnet-4-6")
parser.add_argument("--prompt", default="What is the answer?")
parser.add_argument("--stream", action="store_true")
parser.add_argument("--count", type=int, default=1)
args = parser.parse_args()

client = anthropic.Anthropic(api_key=loopback.fake_key("sk-ant-"), base_url=args.base_url, max_retries=0)
request = {"model": args.model, "max_tokens": 256, "messages": [{"role": "user", "content": args.prompt}]}

for _ in range(args.count):
    try:
        if args.stream:
            with client.messages.stream(**request) as stream:
                for _text in stream.text_stream:
                    pass
                answer = stream.get_final_message()
        else:
            answer = client.messages.create(**request)
        loopback.report(
            status=200,
            id=answer.id,
            model=answer.model,
            input_tokens=answer.usage.input_tokens,
            output_tokens=answer.usage.output_tokens,
        )
    except anthropic.APIStatusError as error:
        loopback.report(status=error.status_code)
