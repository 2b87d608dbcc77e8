"""The `.tiktoken` format: lines of `base64(token bytes) <space> rank`.

    IQ== 0        0: 21 (!)
    IQCE 1        1: 21 00 84

Nearly every file is exactly what writing its tokens in their order gives: then nothing is left to
check. Any other is read a line at a time, in three times the time.
"""

import binascii

import numpy as np
import numpy.typing as npt

from tokenizer.errors import VocabularyError
from tokenizer.vocabulary import offsets_of

MAX_RANK = (1 << 21) - 2


def parse_tiktoken(file: bytes) -> tuple[bytes, npt.NDArray[np.uint64]]:
    """Token bytes in the order of ranks and where each begins, uint64[n + 1]; gaps are empty.

    Raises:
        VocabularyError: A line is malformed or a rank is given twice; the message has the line.
            Blank lines are not counted.
    """
    in_order = _as_written(file)
    if in_order is None:
        in_order = _line_by_line(file)
    return b"".join(in_order), offsets_of(in_order)


def _as_written(file: bytes) -> list[bytes] | None:
    """The tokens of a file whose lines are in the order of ranks, without gaps; None for others."""
    try:
        tokens = [binascii.a2b_base64(word) for word in file.split()[::2]]
    except binascii.Error:
        return None
    lines = [
        b"%b %d\n" % (binascii.b2a_base64(token, newline=False), rank)
        for rank, token in enumerate(tokens)
    ]
    is_valid = len(tokens) <= MAX_RANK + 1 and all(tokens) and b"".join(lines) == file
    return tokens if is_valid else None


def _line_by_line(file: bytes) -> list[bytes]:
    """The tokens in the order of ranks; a rank that no line has is empty."""
    tokens: dict[int, bytes] = {}
    for number, line in enumerate(filter(None, file.splitlines()), start=1):
        encoded, space, rank = line.partition(b" ")
        if not encoded or not space:
            raise VocabularyError(f"line {number}: expected `base64 rank`, found {line[:60]!r}")
        if not rank.isdigit() or len(rank) > len(str(MAX_RANK)) or int(rank) > MAX_RANK:
            raise VocabularyError(f"line {number}: the rank is not a number from 0 to {MAX_RANK}")
        if int(rank) in tokens:
            raise VocabularyError(f"line {number}: the rank occurs twice")
        tokens[int(rank)] = _decoded(encoded, number)
    return [tokens.get(rank, b"") for rank in range(max(tokens, default=-1) + 1)]


def _decoded(encoded: bytes, number: int) -> bytes:
    try:
        token = binascii.a2b_base64(encoded)
    except binascii.Error:
        token = b""
    if binascii.b2a_base64(token, newline=False) != encoded:  # what is not base64 was skipped
        raise VocabularyError(f"line {number}: the token is not base64")
    return token
