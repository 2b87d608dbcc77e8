"""`.npy`: one-dimensional NumPy arrays, memory-mappable.

    ┌──────────────── 128 bytes ────────────────┬─────────────────────────────┐
    │ \\x93NUMPY 1 0, descr, shape (n,), padding │ n ids, <u2 or <u4           │
    └────────────────────────────────────────────┴─────────────────────────────┘

NumPy pads the header so that a longer shape still fits: it is written twice, first as a place
holder, then with the count.
"""

import io
import os
import tokenize
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from transforms.errors import MismatchError
from transforms.shards.formats.interface import ShardClaim

# What NumPy raises for headers that were not written by it: it reads them as Python source.
_UNREADABLE = (
    ValueError,
    TypeError,
    SyntaxError,
    RecursionError,
    MemoryError,
    tokenize.TokenError,
)


class Npy:
    """Format version 1.0 of NumPy's own files."""

    name = "npy"
    suffix = ".npy"

    def create(self, local_path: str, dtype: np.dtype[Any]) -> "NpyWriter":
        return NpyWriter(local_path, dtype)

    def open(self, local_path: str, claim: ShardClaim) -> "NpyReader":
        return NpyReader.open(local_path, claim)

    def open_stream(self, file: BinaryIO, claim: ShardClaim) -> "NpyStream":
        return NpyStream.open(file, claim)


def _header(dtype: np.dtype[Any], tokens: int) -> bytes:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": dtype.str, "fortran_order": False, "shape": (tokens,)}
    )
    return header.getvalue()


class NpyWriter:
    """One shard being written."""

    def __init__(self, local_path: str, dtype: np.dtype[Any]) -> None:
        self._tokens = 0
        self._dtype = dtype
        self._file: BinaryIO = open(local_path, "wb", buffering=0)  # noqa: SIM115
        self._write(_header(dtype, 0))

    def append(self, tokens: npt.NDArray[Any]) -> None:
        self._write(tokens.data.cast("B"))
        self._tokens += len(tokens)

    def finish(self) -> None:
        self._file.seek(0)
        self._write(_header(self._dtype, self._tokens))
        self._file.close()

    def close(self) -> None:
        self._file.close()

    def _write(self, content: bytes | memoryview) -> None:
        rest = memoryview(content)
        while rest:  # a raw write may be short
            rest = rest[self._file.write(rest) :]


@dataclass(frozen=True, slots=True)
class NpyReader:
    """A shard on a local disk, read in pieces, so that memory is what is asked for.

    `read` reads plainly, not by a memory map: pages of a map count as memory of the process.
    """

    local_path: str
    dtype: np.dtype[Any]
    data_offset: int

    @classmethod
    def open(cls, local_path: str, claim: ShardClaim) -> "NpyReader":
        """Raises MismatchError when header or size are not those of the claim."""
        with open(local_path, "rb") as file:
            return cls(local_path, *_read_header(file, claim))

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        return np.fromfile(
            self.local_path,
            self.dtype,
            count=stop - start,
            offset=self.data_offset + start * self.dtype.itemsize,
        )

    def map(self) -> npt.NDArray[Any]:
        return np.asarray(np.load(self.local_path, mmap_mode="r"))


@dataclass(frozen=True, slots=True)
class NpyStream:
    """A shard on a store, read by ranges; whoever opened the file closes it."""

    path: str
    file: BinaryIO
    dtype: np.dtype[Any]
    data_offset: int

    @classmethod
    def open(cls, file: BinaryIO, claim: ShardClaim) -> "NpyStream":
        """Raises MismatchError when header or size are not those of the claim."""
        return cls(claim.path, file, *_read_header(file, claim))

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        self.file.seek(self.data_offset + start * self.dtype.itemsize)
        content = self.file.read((stop - start) * self.dtype.itemsize)
        ids = np.frombuffer(content, self.dtype, len(content) // self.dtype.itemsize)
        if len(ids) != stop - start:
            raise MismatchError(f"{self.path}: ends within the tokens {start} to {stop}")
        return ids


def _read_header(file: BinaryIO, claim: ShardClaim) -> tuple[np.dtype[Any], int]:
    """The dtype, and where ids begin."""
    try:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("expected version 1.0 of the format")
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
    except _UNREADABLE as error:
        raise MismatchError(f"{claim.path}: no .npy header: {error}") from error
    data_offset = file.tell()
    size = file.seek(0, os.SEEK_END)
    found = (dtype.str, shape, fortran_order)
    expected = (claim.dtype, (claim.tokens,), False)
    if found != expected:
        raise MismatchError(
            f"{claim.path}: header: expected (dtype, shape, Fortran order) {expected}, "
            f"found {found}"
        )
    if size != data_offset + claim.tokens * dtype.itemsize:
        raise MismatchError(
            f"{claim.path}: {size} bytes can not hold the {claim.tokens} tokens of its header"
        )
    return dtype, data_offset
