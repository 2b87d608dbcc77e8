"""GPT-2's alphabet: how ByteLevel writes bytes as printable characters (openai/gpt-2, encoder.py).

Bytes that are printable in Latin-1 stand for themselves, the others for U+0100 and on.
"""

_PRINTABLE = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
_OTHERS = iter(range(0x100, 0x200))

BYTE_ALPHABET = "".join(chr(byte if byte in _PRINTABLE else next(_OTHERS)) for byte in range(256))
"""The character of each byte, in the order of bytes."""
