"""Loads each of these libraries, says `ready`, and keeps them until standard input ends: `maps.py PATH...`."""

import ctypes
import sys

kept = [ctypes.CDLL(path) for path in sys.argv[1:]]
print("ready", flush=True)
sys.stdin.read()
