"""Token shards: one-dimensional NumPy arrays, memory-mappable.

    ┌──────────────── 128 bytes ────────────────┬─────────────────────────────┐
    │ \\x93NUMPY 1 0, descr, shape (n,), padding │ n ids, <u2 or <u4           │
    └────────────────────────────────────────────┴─────────────────────────────┘

NumPy pads the header so that a longer shape still fits: it is written twice, first as a place
holder, then with the count.
"""

import io
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from transforms.receipt import ShardEntry
from transforms.writing.staged_file import StagedFile


def _header(dtype: np.dtype[Any], tokens: int) -> bytes:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": dtype.str, "fortran_order": False, "shape": (tokens,)}
    )
    return header.getvalue()


class TokenShard:
    """One shard being written; call `finish` once, then publish the staged file."""

    def __init__(self, staged: StagedFile, dtype: np.dtype[Any]) -> None:
        self.staged = staged
        self.documents = 0
        self.tokens = 0
        self._dtype = dtype
        self._file: BinaryIO = open(staged.local_path, "wb", buffering=0)  # noqa: SIM115
        self._write(_header(dtype, 0))

    def append(self, tokens: npt.NDArray[Any], documents: int) -> None:
        """Adds the tokens of so many whole documents; tokens is contiguous and of the dtype."""
        self._write(tokens.data.cast("B"))
        self.tokens += len(tokens)
        self.documents += documents

    def finish(self, path: str) -> ShardEntry:
        """Writes the header and returns the shard's entry; path is its name in the manifest."""
        header = _header(self._dtype, self.tokens)
        self._file.seek(0)
        self._write(header)
        self._file.close()
        digest = self.staged.finish()
        return ShardEntry(
            path=path,
            dtype=self._dtype.str,
            tokens=self.tokens,
            documents=self.documents,
            bytes=digest.bytes,
            sha256=digest.sha256,
        )

    def close(self) -> None:
        """Gives the file handle back; harmless after `finish`."""
        self._file.close()

    def _write(self, content: bytes | memoryview) -> None:
        rest = memoryview(content)
        while rest:  # a raw write may be short
            rest = rest[self._file.write(rest) :]
