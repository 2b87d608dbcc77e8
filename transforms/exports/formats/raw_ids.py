"""Ids one after the other in a file, with a header or without: what most formats have in common."""

import os
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from transforms.errors import MismatchError
from transforms.exports.formats.interface import Ids, Lengths
from transforms.shards.hashed_file import write_all

CHUNK_TOKENS = 1 << 20


class RawFile:
    """A file of bytes and ids with room that is filled later; HashedFile is one without."""

    def __init__(self, path: str, header: bytes = b"") -> None:
        self._file: BinaryIO = open(path, "wb", buffering=0)  # noqa: SIM115
        self.write(header)

    def write(self, content: bytes | Ids) -> None:
        """Adds bytes, or contiguous ids as they lie in memory."""
        write_all(self._file, content)

    def write_at(self, offset: int, content: bytes | Ids) -> None:
        """Writes into room that was left, and goes on at the end."""
        self._file.seek(offset)
        self.write(content)
        self._file.seek(0, os.SEEK_END)

    def close(self) -> None:
        """Harmless when it is closed already."""
        self._file.close()


def read_exactly(path: str, offset: int, count: int) -> bytes:
    """So many bytes of a file.

    Raises:
        MismatchError: there are fewer.
    """
    with open(path, "rb") as file:
        file.seek(offset)
        content = file.read(count)
    if len(content) != count:
        raise MismatchError(f"expected {count} bytes at {offset}, found {len(content)}")
    return content


def expect_size(path: str, expected: int) -> None:
    """Raises MismatchError where a file is of another size."""
    found = os.path.getsize(path)
    if found != expected:
        raise MismatchError(f"expected a file of {expected} bytes, found {found}")


def read_chunks(
    path: str, dtype: np.dtype[Any], offset: int, tokens: int
) -> Iterator[tuple[Ids, None]]:
    """So many ids from a byte offset on; 1 Mi at a time."""
    for start in range(0, tokens, CHUNK_TOKENS):
        count = min(CHUNK_TOKENS, tokens - start)
        yield _read(path, dtype, offset + start * dtype.itemsize, count), None


def read_documents(
    path: str, dtype: np.dtype[Any], offset: int, lengths: Lengths
) -> Iterator[tuple[Ids, Lengths]]:
    """Documents of those lengths from a byte offset on; about 1 Mi ids at a time."""
    ends = np.cumsum(lengths)
    first = before = 0
    while first < len(lengths):
        full = int(np.searchsorted(ends, before + CHUNK_TOKENS, side="right"))
        last = max(full, first + 1)
        count = int(ends[last - 1]) - before
        yield _read(path, dtype, offset + before * dtype.itemsize, count), lengths[first:last]
        first, before = last, before + count


def _read(path: str, dtype: np.dtype[Any], offset: int, count: int) -> Ids:
    ids = np.fromfile(path, dtype, count=count, offset=offset)
    if len(ids) != count:
        raise MismatchError(f"expected {count} ids at byte {offset}, found {len(ids)}")
    return ids
