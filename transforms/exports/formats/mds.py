"""`mds`: MosaicML's streaming shards, tokens/train/shard.00000.mds and index.json.

    ┌───────┬──────────────────┬─────────────┬──────────────────────────────────────────────┐
    │ u32 n │ u32[n + 1]       │ config, JSON│ sample 0 │ sample 1 │ ...                    │
    │       │ absolute offsets │             │    │                                         │
    └───────┴──────────────────┴─────────────┴────┼─────────────────────────────────────────┘
                                                  ▼
         ┌───────────────┬─────────────────────┬─────────────────┬──────────────┐
         │ u32 bytes of  │ u8 4·dimensions + w │ length, of 2^w  │ id id id ... │
         │ what follows  │ = 4 + w             │ bytes           │              │
         └───────────────┴─────────────────────┴─────────────────┴──────────────┘

A sample is a document: one column `tokens` of the encoding `ndarray:uint32` (or uint16), an array
of one dimension whose length is written in as few bytes as hold it. Read it with
`StreamingDataset(local="OUT/tokens", split="train")`.
"""

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from transforms.errors import MismatchError
from transforms.exports.formats.interface import (
    ExportWriter,
    Ids,
    Lengths,
    ShardShape,
    WrittenShard,
)
from transforms.exports.formats.offset_table import (
    OffsetTableFormat,
    OffsetTableWriter,
    name_in_folder,
    read_offsets,
)
from transforms.exports.formats.raw_ids import CHUNK_TOKENS, read_exactly

_LENGTHS = ((1 << 8, "<B"), (1 << 16, "<H"), (1 << 32, "<I"))
_SHAPE_HEADS = {
    4 + width: struct.Struct(f"<IB{kind[1]}") for width, (_, kind) in enumerate(_LENGTHS)
}


class Mds(OffsetTableFormat):
    """Samples after a table of offsets."""

    name = "mds"
    # Offsets are u32 and a sample has up to 13 bytes beside its ids: enough for any documents.
    max_shard_tokens = 200_000_000

    def file_name(self, number: int) -> str:
        return f"shard.{number:05d}.mds"

    def create(self, paths: Sequence[str], shape: ShardShape) -> ExportWriter:
        return _Writer(paths[0], shape, _config_bytes(shape))

    def read(self, paths: Sequence[str], shape: ShardShape) -> Iterator[tuple[Ids, Lengths | None]]:
        offsets = read_offsets(paths[0], shape.documents, _config_bytes(shape))
        first = 0
        while first < shape.documents:
            limit = int(offsets[first]) + CHUNK_TOKENS * shape.dtype.itemsize
            last = max(first + 1, int(np.searchsorted(offsets, limit, side="right")) - 1)
            start, stop = int(offsets[first]), int(offsets[last])
            content = read_exactly(paths[0], start, stop - start)
            yield _decode(content, offsets[first : last + 1] - start, shape.dtype)
            first = last

    def index(self, shape: ShardShape, shards: Sequence[WrittenShard]) -> Mapping[str, Any]:
        return {"version": 2, "shards": [_index_entry(shape, shard) for shard in shards]}


def _config(shape: ShardShape) -> dict[str, object]:
    return {
        "column_encodings": [f"ndarray:{np.dtype(shape.dtype).name}"],
        "column_names": ["tokens"],
        "column_sizes": [None],
        "compression": None,
        "format": "mds",
        "hashes": [],
        "size_limit": None,
        "version": 2,
    }


def _config_bytes(shape: ShardShape) -> bytes:
    return json.dumps(_config(shape), sort_keys=True).encode()


def _index_entry(shape: ShardShape, shard: WrittenShard) -> dict[str, object]:
    raw = {"basename": name_in_folder(shard), "bytes": shard.sizes[0], "hashes": {}}
    return {**_config(shape), "raw_data": raw, "samples": shard.documents, "zip_data": None}


def _shape_head(tokens: int, itemsize: int) -> bytes:
    """What stands before the ids of a document: sizes of the column and of the array."""
    width = next(w for w, (limit, _) in enumerate(_LENGTHS) if tokens < limit)
    return _SHAPE_HEADS[4 + width].pack(1 + (1 << width) + tokens * itemsize, 4 + width, tokens)


def _decode(content: bytes, offsets: Lengths, dtype: np.dtype[Any]) -> tuple[Ids, Lengths]:
    parts, lengths = [], []
    for start, stop in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        head = _SHAPE_HEADS.get(content[start + 4] if stop > start + 4 else -1)
        body = start + (head.size if head else 0)
        tokens = (stop - body) // dtype.itemsize
        if head is None or tokens < 1 or content[start:body] != _shape_head(tokens, dtype.itemsize):
            raise MismatchError(f"sample at byte {start} of a chunk: not an array of {dtype.name}")
        parts.append(content[body:stop])
        lengths.append(tokens)
    return np.frombuffer(b"".join(parts), dtype), np.array(lengths, np.int64)


class _Writer(OffsetTableWriter):
    def append(self, ids: Ids, lengths: Lengths, rows: pa.RecordBatch) -> None:
        content = ids.data.cast("B")
        parts: list[bytes | memoryview] = []
        start = 0
        for tokens in lengths.tolist():
            stop = start + tokens * self._itemsize
            parts += [_shape_head(tokens, self._itemsize), content[start:stop]]
            start = stop
        heads = np.array([len(part) for part in parts[::2]], np.int64)
        self._file.note(heads + lengths * self._itemsize)
        self._file.file.write(b"".join(parts))
