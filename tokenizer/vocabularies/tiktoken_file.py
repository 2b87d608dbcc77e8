"""The `.tiktoken` format: lines of `base64(token bytes) <space> rank`.

Read by columns, for a published file has 200,000 lines. The base64 of all tokens is decoded in one
go: `=` becomes `A`, and the zero bytes that this adds are taken out again.

    IQ== 0        IQAA ──► 21 00 00 ──► 21
    IQCE 1        IQCE ──► 21 00 84 ──► 21 00 84
"""

import base64
import binascii

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from tokenizer.errors import VocabularyError

MAX_RANK = (1 << 21) - 2


def parse_tiktoken(file: bytes) -> tuple[bytes, npt.NDArray[np.uint64]]:
    """Token bytes in the order of ranks and where each begins, uint64[n + 1]; gaps are empty.

    Raises VocabularyError with the line where the file is malformed or a rank is given twice.
    Some 20 ms for 200,000 tokens.
    """
    encoded, ends, ranks = _columns(file)
    pads = (encoded[ends - 1] == ord("=")).astype(np.int64) + (encoded[ends - 2] == ord("="))
    lengths = np.diff(ends, prepend=0) // 4 * 3 - pads
    if int(pads.sum()) != np.count_nonzero(encoded == ord("=")) or (ends % 4).any():
        raise _malformed(file)
    packed = binascii.a2b_base64(encoded.tobytes().replace(b"=", b"A"))
    if len(packed) != encoded.size // 4 * 3:  # what is not base64 was skipped
        raise _malformed(file)
    keep = np.ones(len(packed), np.bool_)
    keep[ends[pads > 0] // 4 * 3 - 1] = False
    keep[ends[pads > 1] // 4 * 3 - 2] = False
    return _by_rank(np.frombuffer(packed, np.uint8)[keep], lengths, ranks)


def _columns(
    file: bytes,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The base64 of all tokens, where that of each ends, and the ranks, in the order of lines."""
    if not file.strip():
        return np.zeros(0, np.uint8), np.zeros(0, np.int64), np.zeros(0, np.int64)
    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(file),
            pyarrow.csv.ReadOptions(
                column_names=["token", "rank"], use_threads=False, block_size=len(file) + 1
            ),
            pyarrow.csv.ParseOptions(delimiter=" ", quote_char=False),
            pyarrow.csv.ConvertOptions(
                column_types={"token": pa.binary(), "rank": pa.int64()}, null_values=[]
            ),
        )
    except pa.ArrowInvalid as error:
        raise _malformed(file) from error
    tokens, ranks = (column.combine_chunks() for column in table.columns)
    _, offsets, data = tokens.buffers()
    ends = np.frombuffer(offsets, np.int32)[: len(tokens) + 1].astype(np.int64)
    if (np.diff(ends) == 0).any():
        raise _malformed(file)
    return np.frombuffer(data, np.uint8)[: ends[-1]], ends[1:], ranks.to_numpy()


def _by_rank(
    data: npt.NDArray[np.uint8], lengths: npt.NDArray[np.int64], ranks: npt.NDArray[np.int64]
) -> tuple[bytes, npt.NDArray[np.uint64]]:
    if not ranks.size:
        return b"", np.zeros(1, np.uint64)
    if (wrong := np.flatnonzero((ranks < 0) | (ranks > MAX_RANK))).size:
        raise VocabularyError(f"line {wrong[0] + 1}: expected a rank from 0 to 2^21 - 2")
    by_rank = np.zeros(int(ranks.max()) + 1, np.int64)
    by_rank[ranks] = lengths
    if not np.array_equal(ranks, np.arange(ranks.size)):
        _, first = np.unique(ranks, return_index=True)
        if first.size < ranks.size:
            line = np.setdiff1d(np.arange(ranks.size), first)[0] + 1
            raise VocabularyError(f"line {line}: the rank occurs twice")
        begins = np.concatenate(([0], np.cumsum(lengths)))
        lines = np.argsort(ranks).tolist()
        data = np.concatenate([data[begins[line] : begins[line + 1]] for line in lines])
    return data.tobytes(), np.concatenate(([0], np.cumsum(by_rank))).astype(np.uint64)


def _malformed(file: bytes) -> VocabularyError:
    """Which line it is: the first that does not hold on its own. Blank lines are not counted."""
    for number, line in enumerate(filter(None, file.splitlines()), start=1):
        token, space, rank = line.partition(b" ")
        try:
            base64.b64decode(token, validate=True)
        except binascii.Error:
            return VocabularyError(f"line {number}: the token is not base64")
        if not token or not space:
            return VocabularyError(f"line {number}: expected `base64 rank`, found {line[:60]!r}")
        if not rank.isdigit() or int(rank) > MAX_RANK:
            return VocabularyError(f"line {number}: the rank is not a number from 0 to {MAX_RANK}")
    return VocabularyError("expected lines of `base64 rank`")
