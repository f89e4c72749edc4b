"""One AI call with one Python library, as a program of a user would make it. Usage: python_client.py NAME"""

import asyncio
import json
import sys

MODEL = "gpt-4o-mini"
CLAUDE = "claude-sonnet-4-6"
GEMINI = "gemini-2.5-flash"
MISTRAL = "mistral-small-latest"
PROMPT = "What is the answer?"
URL = "https://api.openai.com/v1/chat/completions"
MESSAGES = [{"role": "user", "content": PROMPT}]
BODY = {"model": MODEL, "messages": MESSAGES}
# In a provider's form, put together here so that no file holds one.
KEY = "sk-" + "".join(chr(97 + n * 7 % 26) for n in range(40))
HEADERS = {"content-type": "application/json", "authorization": "Bearer " + KEY}


def text_of(answer):
    return answer["choices"][0]["message"]["content"]


def urllib_():
    import urllib.request

    request = urllib.request.Request(URL, json.dumps(BODY).encode(), HEADERS)
    with urllib.request.urlopen(request) as answer:
        return text_of(json.load(answer))


def requests_():
    import requests

    return text_of(requests.post(URL, json=BODY, headers=HEADERS, timeout=20).json())


def httpx_(**options):
    import httpx

    with httpx.Client(**options) as client:
        return text_of(client.post(URL, json=BODY, headers=HEADERS).json())


def httpx_h2():
    return httpx_(http2=True)


async def httpx_async_h2():
    import httpx

    async with httpx.AsyncClient(http2=True) as client:
        answers = await asyncio.gather(*[client.post(URL, json=BODY, headers=HEADERS) for _ in range(3)])
        return [text_of(answer.json()) for answer in answers]


async def aiohttp_():
    import ssl

    import aiohttp

    async with aiohttp.ClientSession() as session:
        async with session.post(URL, json=BODY, headers=HEADERS, ssl=ssl.create_default_context()) as answer:
            return text_of(await answer.json())


def openai_client():
    import openai

    return openai.OpenAI(api_key=KEY, max_retries=0)


def openai_chat():
    return openai_client().chat.completions.create(**BODY).choices[0].message.content


def openai_stream():
    chunks = openai_client().chat.completions.create(stream=True, **BODY)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def openai_responses():
    return openai_client().responses.create(model=MODEL, input=PROMPT).output_text


def openai_embeddings():
    return len(openai_client().embeddings.create(model="text-embedding-3-small", input=[PROMPT]).data)


async def openai_async():
    import openai

    client = openai.AsyncOpenAI(api_key=KEY, max_retries=0)
    return (await client.chat.completions.create(**BODY)).choices[0].message.content


def anthropic_client(kind="Anthropic"):
    import anthropic

    return getattr(anthropic, kind)(api_key=KEY, max_retries=0)


CLAUDE_BODY = {"model": CLAUDE, "max_tokens": 100, "messages": MESSAGES}


def anthropic_message():
    return anthropic_client().messages.create(**CLAUDE_BODY).content[0].text


def anthropic_stream():
    with anthropic_client().messages.stream(**CLAUDE_BODY) as stream:
        return "".join(stream.text_stream)


async def anthropic_async():
    return (await anthropic_client("AsyncAnthropic").messages.create(**CLAUDE_BODY)).content[0].text


def genai_client():
    from google import genai

    return genai.Client(api_key=KEY, vertexai=False)


def genai():
    client = genai_client()
    return client.models.generate_content(model=GEMINI, contents=PROMPT).text


def genai_stream():
    client = genai_client()
    chunks = client.models.generate_content_stream(model=GEMINI, contents=PROMPT)
    return "".join(chunk.text or "" for chunk in chunks)


async def genai_async():
    client = genai_client()
    return (await client.aio.models.generate_content(model=GEMINI, contents=PROMPT)).text


def mistral_client():
    try:
        from mistralai import Mistral
    except ImportError:
        from mistralai.client import Mistral

    return Mistral(api_key=KEY)


def mistral():
    return mistral_client().chat.complete(model=MISTRAL, messages=MESSAGES).choices[0].message.content


def mistral_stream():
    with mistral_client().chat.stream(model=MISTRAL, messages=MESSAGES) as events:
        return "".join(event.data.choices[0].delta.content or "" for event in events)


def litellm_openai():
    import litellm

    return litellm.completion(model="openai/" + MODEL, messages=MESSAGES, api_key=KEY).choices[0].message.content


async def litellm_anthropic():
    import litellm

    answer = await litellm.acompletion(model="anthropic/" + CLAUDE, messages=MESSAGES, api_key=KEY)
    return answer.choices[0].message.content


def pycurl_():
    import os
    from io import BytesIO

    import pycurl

    out = BytesIO()
    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, URL)
    curl.setopt(pycurl.CAINFO, os.environ["SSL_CERT_FILE"])
    curl.setopt(pycurl.HTTPHEADER, ["content-type: application/json", "authorization: Bearer " + KEY])
    curl.setopt(pycurl.POSTFIELDS, json.dumps(BODY))
    curl.setopt(pycurl.WRITEDATA, out)
    curl.perform()
    curl.close()
    return text_of(json.loads(out.getvalue()))


def curl_cffi_():
    import os

    from curl_cffi import requests

    verify = os.environ["SSL_CERT_FILE"]
    return text_of(requests.post(URL, json=BODY, headers=HEADERS, impersonate="chrome", verify=verify).json())


def tls_client_():
    import tls_client

    # It brings its own list of authorities.
    session = tls_client.Session(client_identifier="chrome_120")
    return text_of(session.post(URL, json=BODY, headers=HEADERS, insecure_skip_verify=True).json())


def grpc_():
    """A gRPC call to Gemini's host; the endpoint answers 404, which is an answer."""
    import os

    import grpc

    with open(os.environ["SSL_CERT_FILE"], "rb") as file:
        credentials = grpc.ssl_channel_credentials(file.read())
    with grpc.secure_channel("generativelanguage.googleapis.com:443", credentials) as channel:
        call = channel.unary_unary("/google.ai.generativelanguage.v1beta.GenerativeService/GenerateContent")
        try:
            call(b"\x0a\x05model", timeout=10)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.UNAVAILABLE:
                raise
            return str(error.code())
    return "answered"


def pyopenssl():
    """pyOpenSSL: the static OpenSSL of the cryptography wheel."""
    import os
    import socket

    from OpenSSL import SSL

    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.load_verify_locations(os.environ["SSL_CERT_FILE"])
    context.set_verify(SSL.VERIFY_PEER)
    sock = socket.create_connection(("api.openai.com", 443))
    connection = SSL.Connection(context, sock)
    connection.set_tlsext_host_name(b"api.openai.com")
    connection.set_connect_state()
    connection.do_handshake()
    body = json.dumps(BODY).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: api.openai.com\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    connection.sendall(head.encode() + body)
    answer = b""
    while True:
        try:
            answer += connection.recv(65536)
        except (SSL.ZeroReturnError, SSL.SysCallError):
            break
    return text_of(json.loads(answer.partition(b"\r\n\r\n")[2]))


def ollama_():
    import ollama

    return ollama.chat(model="llama3.2", messages=MESSAGES)["message"]["content"]


def ollama_stream():
    import ollama

    return "".join(part["message"]["content"] for part in ollama.chat(model="llama3.2", messages=MESSAGES, stream=True))


def websockets_():
    """The responses API over a WebSocket."""
    from websockets.sync.client import connect

    headers = {"Authorization": "Bearer " + KEY}
    with connect("wss://api.openai.com/v1/responses", additional_headers=headers) as socket:
        socket.send(json.dumps({"type": "response.create", "model": MODEL, "input": PROMPT}))
        text = ""
        for message in socket:
            event = json.loads(message)
            text += event.get("delta", "") if event["type"] == "response.output_text.delta" else ""
            if event["type"] == "response.completed":
                return text


name = sys.argv[1]
call = globals().get(name) or globals()[name + "_"]
result = asyncio.run(call()) if asyncio.iscoroutinefunction(call) else call()
print(result)
if not result:
    sys.exit("no answer")
