"""A ClientHello without a server name."""

BODY = b"\x03\x03" + b"\x07" * 32 + b"\0" + b"\0\x02\x13\x01" + b"\x01\0" + b"\0\0"
MESSAGE = b"\x01" + len(BODY).to_bytes(3, "big") + BODY
NAMELESS = b"\x16\x03\x01" + len(MESSAGE).to_bytes(2, "big") + MESSAGE
