r"""`megatron`: Megatron-LM's indexed dataset, tokens/train/000000.bin and .idx.

    .bin    │ id id id ... │  u16 or i32: there is no u32

    .idx    ┌───────────────┬───────┬────────┬───────┬───────┬─────────┬──────────┬───────────┐
            │ MMIDIDX\0\0   │ u64 1 │ u8 code│ u64 D │ u64   │ i32[D]  │ i64[D]   │ i64[D + 1]│
            │               │       │ 8 or 4 │       │ D + 1 │ lengths │ byte     │ 0, 1, 2,  │
            │               │       │        │       │       │         │ offsets  │ ..., D    │
            └───────────────┴───────┴────────┴───────┴───────┴─────────┴──────────┴───────────┘

A sequence is a document, so the last table, of documents by sequences, just counts. Two files say
which shards there are, with their tokens as weights: tokens/blend.txt for `--data-args-path` (all
of `train`), tokens/blend.json for `--per-split-data-args-path`. Their paths begin at the export's
folder.
"""

import json
import struct
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from transforms.errors import MismatchError, UnitFailedError
from transforms.exports.formats.interface import (
    ExportFormat,
    ExportWriter,
    Ids,
    Lengths,
    ShardShape,
    WrittenShard,
)
from transforms.exports.formats.raw_ids import expect_size, read_documents, read_exactly
from transforms.shards.hashed_file import HashedFile, digests_of
from transforms.shards.layout import export_file_path
from transforms.shards.staged_file import FileDigest

_MAGIC = b"MMIDIDX\0\0"
_CODES = {"<u2": 8, "<i4": 4}
_HEAD = struct.Struct("<9sQBQQ")
# Megatron calls its splits so; ours are called as they were asked for.
_SPLITS = {"train": "train", "validation": "valid", "valid": "valid", "val": "valid"}


class Megatron(ExportFormat):
    """Ids, and an index of sequences."""

    name = "megatron"
    dtypes = ("<u2", "<i4")

    def file_names(self, split: str, number: int) -> tuple[str, ...]:
        return (f"{split}/{number:06d}.bin", f"{split}/{number:06d}.idx")

    def create(self, paths: Sequence[str], shape: ShardShape) -> ExportWriter:
        return _Writer(paths, shape)

    def read(self, paths: Sequence[str], shape: ShardShape) -> Iterator[tuple[Ids, Lengths | None]]:
        count = shape.documents
        if read_exactly(paths[1], 0, _HEAD.size) != _head(shape):
            raise MismatchError(f"not the header of {count} documents of {shape.dtype.str}")
        expect_size(paths[1], _HEAD.size + 12 * count + 8 * (count + 1))
        expect_size(paths[0], shape.tokens * shape.dtype.itemsize)
        lengths = np.fromfile(paths[1], "<i4", count, offset=_HEAD.size).astype(np.int64)
        rest = np.fromfile(paths[1], "<i8", offset=_HEAD.size + 4 * count)
        starts = (np.cumsum(lengths) - lengths) * shape.dtype.itemsize
        if not np.array_equal(rest, np.concatenate([starts, np.arange(count + 1)])):
            raise MismatchError("the offsets do not follow from the lengths")
        yield from read_documents(paths[0], shape.dtype, 0, lengths)

    def ids_at(self, shape: ShardShape) -> int:
        return 0

    def export_files(self, splits: Mapping[str, Sequence[WrittenShard]]) -> Mapping[str, bytes]:
        blends: dict[str, list[str]] = {}
        for split, shards in splits.items():
            blend = blends.setdefault(_SPLITS.get(split, split), [])
            for shard in shards:
                prefix = shard.names[0].removesuffix(".bin")
                blend += [str(shard.tokens), export_file_path(prefix)]
        files = {"blend.json": json.dumps(blends, indent=1, sort_keys=True).encode() + b"\n"}
        if train := blends.get("train"):
            pairs = zip(train[::2], train[1::2], strict=True)
            files["blend.txt"] = "".join(f"{weight} {path}\n" for weight, path in pairs).encode()
        return files


def _head(shape: ShardShape) -> bytes:
    code = _CODES[shape.dtype.str]
    return _HEAD.pack(_MAGIC, 1, code, shape.documents, shape.documents + 1)


class _Writer(ExportWriter):
    def __init__(self, paths: Sequence[str], shape: ShardShape) -> None:
        self._shape = shape
        self._ids = HashedFile(paths[0])
        self._index = HashedFile(paths[1], _head(shape))
        self._lengths: list[Lengths] = []

    def append(self, ids: Ids, lengths: Lengths, rows: pa.RecordBatch) -> None:
        if lengths.max() >= 1 << 31:
            raise UnitFailedError("a document of 2^31 tokens or more: Megatron can not hold it")
        self._ids.write(ids)
        self._lengths.append(lengths.astype("<i4"))

    def finish(self) -> None:
        lengths = np.concatenate([np.zeros(0, "<i4"), *self._lengths])
        ends = np.cumsum(lengths, dtype="<i8")
        self._index.write(lengths)
        self._index.write((ends - lengths) * np.int64(self._shape.dtype.itemsize))
        self._index.write(np.arange(len(lengths) + 1, dtype="<i8"))
        self.close()

    def close(self) -> None:
        self._ids.close()
        self._index.close()

    def digests(self) -> Mapping[str, FileDigest]:
        return digests_of(self._ids, self._index)
