"""The `.tiktoken` format: lines of `base64(token bytes) <space> rank`.

    IQ== 0        0: 21 (!)
    IQCE 1        1: 21 00 84

A line at a time: some 120 ms for the 200,000 of o200k_base. Reading by columns (Arrow's CSV reader,
one base64 of the whole file) took 40, in three times the code, and let odd files through as
errors of other kinds; a process loads a vocabulary once.
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
    in_order = [tokens.get(rank, b"") for rank in range(max(tokens, default=-1) + 1)]
    return b"".join(in_order), offsets_of(in_order)


def _decoded(encoded: bytes, number: int) -> bytes:
    try:
        token = binascii.a2b_base64(encoded)
    except binascii.Error:
        token = b""
    if binascii.b2a_base64(token, newline=False) != encoded:  # what is not base64 was skipped
        raise VocabularyError(f"line {number}: the token is not base64")
    return token
