"""`litdata`: Lightning's optimized chunks for its TokensLoader, tokens/train/chunk-0-0.bin.

    ┌───────┬──────────────────────────────┬──────────────────────────────────┐
    │ u32 n │ u32[n + 1] absolute offsets  │ ids of document 0, of 1, ...     │
    └───────┴──────────────────────────────┴──────────────────────────────────┘

    tokens/train/index.json   chunks: bytes, documents (`chunk_size`), ids (`dim`), name
                              config: data_format `no_header_numpy:5` (u16) or `:6` (u32)

The loader takes blocks of ids regardless of documents; where these begin the offsets tell.
"""

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
from transforms.exports.formats.raw_ids import read_documents

_CODES = {"<u2": 5, "<u4": 6}
# One array and nothing around it, as torch.utils._pytree.treespec_dumps writes that.
_DATA_SPEC = '[1, {"type": null, "context": null, "children_spec": []}]'


class Litdata(OffsetTableFormat):
    """Ids after a table of offsets."""

    name = "litdata"
    # Offsets are u32, and a document has 4 bytes of them beside its ids.
    max_shard_tokens = 500_000_000

    def file_name(self, number: int) -> str:
        return f"chunk-0-{number}.bin"

    def create(self, paths: Sequence[str], shape: ShardShape) -> ExportWriter:
        return _Writer(paths[0], shape)

    def read(self, paths: Sequence[str], shape: ShardShape) -> Iterator[tuple[Ids, Lengths | None]]:
        offsets = read_offsets(paths[0], shape.documents)
        sizes = np.diff(offsets)
        if (sizes % shape.dtype.itemsize).any() or (sizes == 0).any():
            raise MismatchError("an item is no array of ids")
        lengths = sizes // shape.dtype.itemsize
        yield from read_documents(paths[0], shape.dtype, int(offsets[0]), lengths)

    def ids_at(self, shape: ShardShape) -> int:
        return 4 * (shape.documents + 2)

    def index(self, shape: ShardShape, shards: Sequence[WrittenShard]) -> Mapping[str, Any]:
        chunks = [
            {
                "chunk_bytes": shard.sizes[0],
                "chunk_size": shard.documents,
                "dim": shard.tokens,
                "filename": name_in_folder(shard),
            }
            for shard in shards
        ]
        config = {
            "chunk_bytes": max((shard.sizes[0] for shard in shards), default=0),
            "chunk_size": None,
            "compression": None,
            "data_format": [f"no_header_numpy:{_CODES[shape.dtype.str]}"],
            "data_spec": _DATA_SPEC,
            "encryption": None,
            "item_loader": "TokensLoader",
        }
        return {"chunks": chunks, "config": config}


class _Writer(OffsetTableWriter):
    def append(self, ids: Ids, lengths: Lengths, rows: pa.RecordBatch) -> None:
        self._file.note(lengths * self._itemsize)
        self._file.file.write(ids)
