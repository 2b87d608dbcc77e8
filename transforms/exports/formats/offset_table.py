"""Items after a table of u32 offsets: what MDS shards and litdata chunks have in common.

    ┌────────┬──────────────────────────────┬─────────┬──────────────────────────┐
    │ u32 n  │ u32[n + 1] absolute offsets  │ (config)│ item 0 │ item 1 │ ...    │
    └────────┴──────────────────────────────┴─────────┴──────────────────────────┘

How many items there are is known, so that room is left for the table, and it is written last.
"""

import json
import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from transforms.errors import MismatchError
from transforms.exports.formats.interface import (
    ExportFormat,
    ExportWriter,
    Lengths,
    ShardShape,
    WrittenShard,
    check_bytes,
)
from transforms.exports.formats.raw_ids import RawFile

_LIMIT = (1 << 32) - 1


class OffsetTableFormat(ExportFormat):
    """A format of such files, one a shard, with an `index.json` beside them."""

    @abstractmethod
    def file_name(self, number: int) -> str:
        """The file of a shard, relative to the folder of its split."""

    @abstractmethod
    def index(self, shape: ShardShape, shards: Sequence[WrittenShard]) -> Mapping[str, Any]:
        """What `index.json` says of a split."""

    def file_names(self, split: str, number: int) -> tuple[str, ...]:
        return (f"{split}/{self.file_name(number)}",)

    def folder_files(
        self, split: str, shape: ShardShape, shards: Sequence[WrittenShard]
    ) -> Mapping[str, bytes]:
        index = json.dumps(self.index(shape, shards), sort_keys=True)
        return {f"{split}/index.json": index.encode()}


def name_in_folder(shard: WrittenShard) -> str:
    """The name of a shard's file, as its index.json has it."""
    return shard.names[0].rpartition("/")[2]


class OffsetTableWriter(ExportWriter):
    """Writes one such file; a format says how items are appended."""

    def __init__(self, path: str, shape: ShardShape, config: bytes = b"") -> None:
        self._itemsize = shape.dtype.itemsize
        self._file = OffsetTableFile(path, shape.documents, config)

    def finish(self) -> None:
        self._file.finish()

    def close(self) -> None:
        self._file.file.close()


class OffsetTableFile:
    """Such a file being written."""

    def __init__(self, path: str, items: int, config: bytes = b"") -> None:
        self._path = path
        self._config = config
        self._items = items
        self._sizes: list[Lengths] = []
        self.file = RawFile(path, bytes(4 * (items + 2)) + config)

    def note(self, sizes: Lengths) -> None:
        """Adds items of so many bytes; their content goes to `file`."""
        self._sizes.append(sizes)

    def finish(self) -> None:
        """Writes the table.

        Raises:
            UnitFailedError: its numbers are too small for the file.
        """
        sizes = np.concatenate([np.zeros(1, np.int64), *self._sizes])
        offsets = np.cumsum(sizes) + 4 * (self._items + 2) + len(self._config)
        check_bytes(self._path, int(offsets[-1]), _LIMIT)
        self.file.write_at(0, np.concatenate([[self._items], offsets]).astype("<u4"))
        self.file.close()


def read_offsets(path: str, items: int, config: bytes = b"") -> Lengths:
    """int64[items + 1], where each item begins in the file, and its end.

    Raises:
        MismatchError: another number of items, another config, or offsets of another file.
    """
    table = np.fromfile(path, "<u4", count=items + 2).astype(np.int64)
    if len(table) != items + 2 or table[0] != items:
        raise MismatchError(f"expected a table of {items} items, found {table[:1].tolist()}")
    offsets = table[1:]
    with open(path, "rb") as file:
        file.seek(4 * (items + 2))
        found = file.read(len(config))
    if found != config or offsets[0] != 4 * (items + 2) + len(config):
        raise MismatchError("the items do not begin after the table")
    if (np.diff(offsets) < 0).any() or offsets[-1] != os.path.getsize(path):
        raise MismatchError("the offsets do not ascend to the end of the file")
    return offsets
