"""`npy`: sequences as two-dimensional NumPy arrays, tokens/train/000000.npy and .cu_seqlens.npy.

    .npy              ids[n, L]       u16 or u32, C order: np.load(path, mmap_mode="r")
    .cu_seqlens.npy   int64[m + 1]    where each segment begins among all n * L ids, and the end

    L = 8, sequences aaaaad.. bbbbbbcc   cu_seqlens 0 5 6 8 14 16

A segment is a piece of one document, or the padding at the end of a sequence. Every sequence begins
one, so those of sequence i are found by np.searchsorted(cu, [i * L, (i + 1) * L]); less i * L they
are the cu_seqlens that attention over documents takes.
"""

import io
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from transforms.errors import MismatchError
from transforms.exports.formats.interface import (
    ExportFormat,
    ExportWriter,
    Ids,
    Lengths,
    ShardShape,
)
from transforms.exports.formats.raw_ids import expect_size, read_documents, read_exactly
from transforms.shards.hashed_file import HashedFile, digests_of
from transforms.shards.staged_file import FileDigest


class Npy2d(ExportFormat):
    """Sequences and their segments."""

    name = "npy"
    has_segments = True

    def file_names(self, split: str, number: int) -> tuple[str, ...]:
        return (f"{split}/{number:06d}.npy", f"{split}/{number:06d}.cu_seqlens.npy")

    def create(self, paths: Sequence[str], shape: ShardShape) -> ExportWriter:
        return _Writer(paths, shape)

    def read(self, paths: Sequence[str], shape: ShardShape) -> Iterator[tuple[Ids, Lengths | None]]:
        head = _header(shape.dtype, _dimensions(shape))
        if read_exactly(paths[0], 0, len(head)) != head:
            raise MismatchError(f"not the header of {_dimensions(shape)} ids of {shape.dtype.str}")
        expect_size(paths[0], len(head) + shape.tokens * shape.dtype.itemsize)
        try:
            bounds = np.load(paths[1], allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise MismatchError(f"{paths[1]}: no .npy file: {error}") from error
        if bounds.dtype != np.dtype("<i8") or bounds.ndim != 1 or not len(bounds):
            raise MismatchError(f"{paths[1]}: expected one dimension of int64")
        lengths = np.diff(bounds)
        if bounds[0] or bounds[-1] != shape.tokens or (lengths < 1).any():
            raise MismatchError(f"{paths[1]}: the bounds do not ascend to the last id")
        yield from read_documents(paths[0], shape.dtype, len(head), lengths)

    def ids_at(self, shape: ShardShape) -> int:
        return len(_header(shape.dtype, _dimensions(shape)))


def _dimensions(shape: ShardShape) -> tuple[int, int]:
    return shape.documents, shape.tokens // max(shape.documents, 1)


def _header(dtype: np.dtype[np.generic], dimensions: tuple[int, ...]) -> bytes:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": dtype.str, "fortran_order": False, "shape": dimensions}
    )
    return header.getvalue()


class _Writer(ExportWriter):
    def __init__(self, paths: Sequence[str], shape: ShardShape) -> None:
        self._ids = HashedFile(paths[0], _header(shape.dtype, _dimensions(shape)))
        self._bounds = HashedFile(paths[1])
        self._lengths: list[Lengths] = []

    def append(self, ids: Ids, lengths: Lengths, rows: pa.RecordBatch) -> None:
        self._ids.write(ids)
        self._lengths.append(lengths)

    def finish(self) -> None:
        lengths = np.concatenate([np.zeros(1, np.int64), *self._lengths])
        bounds = np.cumsum(lengths, dtype="<i8")
        self._bounds.write(_header(bounds.dtype, bounds.shape))
        self._bounds.write(bounds)
        self.close()

    def close(self) -> None:
        self._ids.close()
        self._bounds.close()

    def digests(self) -> Mapping[str, FileDigest]:
        return digests_of(self._ids, self._bounds)
