"""Opens a TLS library when it has run for a while, says when, and calls with it: `opens_later.py FROM TO` copies FROM to TO first, as tools do
that unpack their library at the first start."""

import ctypes
import shutil
import sys
import time

time.sleep(1)
shutil.copy(sys.argv[1], sys.argv[2])
print(f'{{"opened_ns": {time.time_ns()}}}', flush=True)
ctypes.CDLL(sys.argv[2])
# It stays open for as long as somebody looks.
sys.stdin.read()
