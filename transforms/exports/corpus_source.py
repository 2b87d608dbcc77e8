"""The documents of one split of an export, for `tokenmill.open`: an index file a shard."""

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenizer import ConfigurationError
from transforms.errors import MismatchError
from transforms.exports.formats import EXPORT_FORMATS, export_format
from transforms.exports.index import EXPORT_SCHEMA
from transforms.exports.records import ExportShard, read_export_manifest, shape_of
from transforms.exports.sequences import sequence_settings_of
from transforms.exports.splits import TRAIN
from transforms.loading.stream import Segments
from transforms.shards.build import Build
from transforms.shards.build_source import read_index
from transforms.shards.corpus import CorpusIndex
from transforms.shards.layout import MANIFEST
from transforms.shards.shard_maps import ShardMaps


class ExportSource:
    """A split of an export whose files hold ids one after the other."""

    def __init__(self, export: Build, split: str = TRAIN) -> None:
        """Reads the manifest.

        Args:
            export: where. split: which.

        Raises:
            MismatchError: there is no manifest, or not one of this format.
            ConfigurationError: there is no such split, or the format's files can not be mapped.
        """
        self._export = export
        self._split = split
        self.name = f"{export.root}:{split}"
        manifest = read_export_manifest(export)
        self._settings = manifest.settings
        names = [one.name for one in manifest.splits]
        if split not in names:
            raise ConfigurationError(
                f"{export.root} has {', '.join(names)}, and no {split!r}", setting="split"
            )
        self._shards = [shard for shard in manifest.shards if shard.split == split]
        self._format = export_format(self._settings["format"]["name"])
        self._check_format()
        digest = hashlib.sha256(export.read(MANIFEST)).hexdigest()
        self.identity = f"{digest}:{split}"
        self.vocabulary_size = int(self._settings["tokenizer"]["vocabulary_size"])
        self.documents = [shard.index.rows for shard in self._shards]
        self.shard_paths = [shard.files[0].path for shard in self._shards]
        self.shard_tokens = [shard.tokens for shard in self._shards]
        self.dtype: np.dtype[Any] = np.dtype(self._settings["format"]["dtype"])
        sequences = sequence_settings_of(self._settings)
        self.packed_length = None if sequences is None else sequences.length
        self._maps = ShardMaps(lambda shard: export.local_copy(self.shard_paths[shard]), self._map)

    def __reduce__(self) -> tuple[type["ExportSource"], tuple[Build, str]]:
        return type(self), (self._export, self._split)

    def open_index(self, number: int) -> CorpusIndex:
        shard = self._shards[number]
        rows = read_index(self._export, shard.index.path, EXPORT_SCHEMA)
        return CorpusIndex(rows, (shard.files[0].path,), None)

    def read_ids(self, number: int) -> pa.ChunkedArray:
        path = self._shards[number].index.path
        return read_index(self._export, path, EXPORT_SCHEMA, ("id",))["id"]

    def open_ids(self, shard: int) -> npt.NDArray[Any]:
        if not self.shard_tokens[shard]:
            return np.zeros(0, self.dtype)
        return self._maps.open(shard)

    def segments(self) -> Segments:
        starts, ends = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        first = 0
        for shard in self._shards:
            path = shard.index.path
            index = read_index(self._export, path, EXPORT_SCHEMA, ("start", "length"))
            begins = first + index["start"].to_numpy()
            starts.append(begins)
            ends.append(begins + index["length"].to_numpy())
            first += shard.tokens
        return _with_padding(np.concatenate(starts), np.concatenate(ends), first)

    def _map(self, shard: int, local_path: str) -> npt.NDArray[Any]:
        found = self._shards[shard]
        offset = self._first_byte(found)
        assert offset is not None
        try:
            mapped = np.memmap(local_path, self.dtype, "r", offset, (found.tokens,))
        except (ValueError, OSError) as error:
            raise MismatchError(f"{self.shard_paths[shard]}: can not be mapped: {error}") from error
        return np.asarray(mapped)

    def _first_byte(self, shard: ExportShard) -> int | None:
        return self._format.ids_at(shape_of(self._settings, shard.items, shard.tokens))

    def _check_format(self) -> None:
        shape = shape_of(self._settings, 1, 1)
        if self._format.ids_at(shape) is None:
            others = [name for name, one in EXPORT_FORMATS.items() if one.ids_at(shape) is not None]
            raise ConfigurationError(
                f"the files of {self._format.name} do not hold ids one after the other: open the "
                f"build that they were made of, or export {', '.join(others)}",
                setting="format",
            )


def _with_padding(
    starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64], total: int
) -> Segments:
    """Segments of documents, and of the padding wherever the next one does not begin at once."""
    following = np.append(starts[1:], total)
    is_padding = ends < following
    if not is_padding.any():
        return Segments(np.append(starts, total))
    every = np.concatenate([starts, ends[is_padding]])
    documents = np.concatenate([np.arange(len(starts)), np.full(int(is_padding.sum()), -1)])
    order = np.argsort(every)
    return Segments(np.append(every[order], total), documents[order])
