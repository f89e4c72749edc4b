"""The first thread ends (its system call says so, not the program's end); another one makes a call afterwards."""

import ctypes
import os
import threading
import time

import raw

HOST = "api.openai.com"
SYS_EXIT = {"x86_64": 60, "aarch64": 93}[os.uname().machine]


def call():
    """Long enough after the first thread's end that the daemon has heard of it."""
    time.sleep(1)
    with raw.connect(HOST) as connection:
        connection.sendall(raw.chat(HOST, "gpt-4o-mini"))
        raw.report_answer(HOST, *raw.read_answer(connection))
    os._exit(0)


with raw.connect(HOST) as first:
    first.sendall(raw.chat(HOST, "gpt-4o-mini"))
    raw.report_answer(HOST, *raw.read_answer(first))
    threading.Thread(target=call).start()
    ctypes.CDLL(None).syscall(SYS_EXIT, 0)
