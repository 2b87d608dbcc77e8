"""`bin` and `nanogpt`: ids and nothing else.

    bin       tokens/train/000000.bin, 000001.bin ...    │ id id id id ... │  u16 or u32
    nanogpt   tokens/train.bin, tokens/val.bin           │ id id id id ... │  u16

The end of a document is where the end-of-text is. nanoGPT maps a whole split as one file of u16,
so that a vocabulary of more than 65,536 ids does not fit.
"""

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from transforms.exports.formats.interface import (
    ExportFormat,
    ExportWriter,
    Ids,
    Lengths,
    ShardShape,
)
from transforms.exports.formats.raw_ids import expect_size, read_chunks
from transforms.shards.hashed_file import HashedFile, digests_of
from transforms.shards.staged_file import FileDigest


class PlainWriter(ExportWriter):
    """Raw ids after a header, which may be empty."""

    def __init__(self, path: str, header: bytes = b"") -> None:
        self._file = HashedFile(path, header)

    def append(self, ids: Ids, lengths: Lengths, rows: pa.RecordBatch) -> None:
        self._file.write(ids)

    def finish(self) -> None:
        self._file.close()

    def close(self) -> None:
        self._file.close()

    def digests(self) -> Mapping[str, FileDigest]:
        return digests_of(self._file)


class Bin(ExportFormat):
    """Raw ids, as `np.memmap` and tokengrams read them."""

    name = "bin"
    has_documents = False
    end_of_text = "as-built"

    def file_names(self, split: str, number: int) -> tuple[str, ...]:
        return (f"{split}/{number:06d}.bin",)

    def create(self, paths: Sequence[str], shape: ShardShape) -> ExportWriter:
        return PlainWriter(paths[0])

    def read(self, paths: Sequence[str], shape: ShardShape) -> Iterator[tuple[Ids, Lengths | None]]:
        expect_size(paths[0], shape.tokens * shape.dtype.itemsize)
        yield from read_chunks(paths[0], shape.dtype, 0, shape.tokens)

    def ids_at(self, shape: ShardShape) -> int:
        return 0


class NanoGpt(Bin):
    """One file a split, as nanoGPT's train.py maps them."""

    name = "nanogpt"
    dtypes = ("<u2",)
    end_of_text = "after"
    is_whole = True
    default_splits = (("val", 0.0005),)  # nanoGPT's own

    def file_names(self, split: str, number: int) -> tuple[str, ...]:
        return (f"{split}.bin",)
