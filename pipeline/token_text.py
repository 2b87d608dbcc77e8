"""Tokens as text that a terminal can show."""

from collections.abc import Iterable

import numpy as np

from pipeline.terminal import escaped
from tokenizer import Tokenizer

SEPARATOR = "│"


def visible(text: bytes) -> str:
    r"""Text with every byte that is no whole character, and every control character, escaped.

    >>> visible("naïve\n".encode()), visible(b"\xe2\x82"), visible(b"\x1b[2J")
    ('naïve\\n', '\\xe2\\x82', '\\x1b[2J')
    """
    return escaped(text.decode("utf-8", "backslashreplace"))


def token_texts(tokenizer: Tokenizer, ids: Iterable[int]) -> list[str]:
    """What each id stands for, as `visible` shows it."""
    return [visible(tokenizer.decode_bytes(np.array([token], np.uint32))) for token in ids]
