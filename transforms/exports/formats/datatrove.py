"""`datatrove`: tokens/train/000000.ds, with .ds.index and .ds.metadata beside it.

.ds            │ id id id ... │  u16 or u32
.ds.index      │ u64 u64 ... │   where each document ends, in ids
.ds.metadata   cl100k_base|4   tokenizer and bytes of an id
               21474836        ids
               21.5 MT         the same for people
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

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
from transforms.exports.formats.raw_ids import expect_size, read_documents
from transforms.shards.hashed_file import HashedFile, digests_of
from transforms.shards.staged_file import FileDigest


class Datatrove(ExportFormat):
    """Ids, ends of documents, and three lines of text."""

    name = "datatrove"

    def file_names(self, split: str, number: int) -> tuple[str, ...]:
        name = f"{split}/{number:06d}.ds"
        return (name, f"{name}.index", f"{name}.metadata")

    def create(self, paths: Sequence[str], shape: ShardShape) -> ExportWriter:
        return _Writer(paths, shape)

    def read(self, paths: Sequence[str], shape: ShardShape) -> Iterator[tuple[Ids, Lengths | None]]:
        expect_size(paths[0], shape.tokens * shape.dtype.itemsize)
        expect_size(paths[1], shape.documents * 8)
        if Path(paths[2]).read_bytes() != _metadata(shape):
            raise MismatchError(f"{paths[2]}: expected {_metadata(shape)!r}")
        ends = np.fromfile(paths[1], "<u8").astype(np.int64)
        lengths = np.diff(ends, prepend=0)
        if (lengths < 1).any() or (len(ends) and ends[-1] != shape.tokens):
            raise MismatchError(f"{paths[1]}: the ends of documents do not ascend to the last id")
        yield from read_documents(paths[0], shape.dtype, 0, lengths)

    def ids_at(self, shape: ShardShape) -> int:
        return 0


def _metadata(shape: ShardShape) -> bytes:
    return (
        f"{shape.tokenizer}|{shape.dtype.itemsize}\n{shape.tokens}\n{_for_people(shape.tokens)}"
    ).encode()


def _for_people(tokens: int) -> str:
    for unit, size in (("GT", 10**9), ("MT", 10**6), ("kT", 10**3)):
        if tokens >= size:
            return f"{tokens / size:.3g} {unit}"
    return f"{tokens} T"


class _Writer(ExportWriter):
    def __init__(self, paths: Sequence[str], shape: ShardShape) -> None:
        with ExitStack() as files:
            self._ids = files.enter_context(closing(HashedFile(paths[0])))
            self._index = files.enter_context(closing(HashedFile(paths[1])))
            self._metadata = files.enter_context(closing(HashedFile(paths[2], _metadata(shape))))
            self._files = files.pop_all()
        self._end = 0

    def append(self, ids: Ids, lengths: Lengths, rows: pa.RecordBatch) -> None:
        self._ids.write(ids)
        self._index.write((self._end + np.cumsum(lengths)).astype("<u8"))
        self._end += len(ids)

    def finish(self) -> None:
        self.close()

    def close(self) -> None:
        self._files.close()

    def digests(self) -> Mapping[str, FileDigest]:
        return digests_of(self._ids, self._index, self._metadata)
