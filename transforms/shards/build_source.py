"""The documents of a build, for `tokenmill.open`: an index file a unit."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.errors import MismatchError
from transforms.loading.stream import Segments
from transforms.shards.build import Build
from transforms.shards.corpus import CorpusIndex
from transforms.shards.formats import shard_format
from transforms.shards.index import DOCUMENTS_SCHEMA, read_rows
from transforms.shards.layout import MANIFEST, documents_path, receipt_path
from transforms.shards.manifest import Manifest
from transforms.shards.shard_maps import ShardMaps

_THREADS = 4


class BuildSource:
    """All units of a complete build."""

    packed_length: int | None = None

    def __init__(
        self, build: Build, manifest: Manifest | None = None, expected: str | None = None
    ) -> None:
        """Reads the manifest.

        Args:
            build: where. manifest: of one of its versions; None: that which is there.
            expected: SHA-256 of the manifest; None: any.

        Raises:
            MismatchError: there is none, or not one of this format, or not the expected one.
        """
        self._build = build
        self.name = build.root
        self._given = manifest
        if manifest is None:
            manifest, content = build.read_manifest()
        else:
            content = manifest.to_json()
        self.identity = hashlib.sha256(content).hexdigest()
        if expected not in (None, self.identity):
            raise MismatchError(
                f"{self.name}: {MANIFEST}: expected SHA-256 {expected}, as when the corpus was "
                f"opened, found {self.identity}: what grows is opened by its version"
            )
        self.vocabulary_size = manifest.tokenizer.vocabulary_size
        self.documents = [book.documents for book in manifest.inputs]
        self.shard_paths = [shard.path for shard in manifest.shards]
        self.shard_tokens = [shard.tokens for shard in manifest.shards]
        self.dtype = np.dtype(manifest.shards[0].dtype if manifest.shards else "<u4")
        self._units = manifest.units
        self._shards = manifest.shards
        self._maps = ShardMaps(
            lambda shard: build.local_copy(manifest.shards[shard].path), self._map
        )

    def __reduce__(self) -> tuple[type["BuildSource"], tuple[Build, Manifest | None, str]]:
        return type(self), (self._build, self._given, self.identity)

    def open_index(self, number: int) -> CorpusIndex:
        unit = self._units[number]
        rows = read_index(self._build, documents_path(unit), DOCUMENTS_SCHEMA)
        shards = tuple(shard.path for shard in self._build.receipt(unit).shards)
        if unknown := sorted(set(shards) - set(self.shard_paths)):
            raise MismatchError(f"{receipt_path(unit)}: {MANIFEST} has no shard {unknown[0]!r}")
        return CorpusIndex(rows, shards, unit)

    def read_ids(self, number: int) -> pa.ChunkedArray:
        path = documents_path(self._units[number])
        return read_index(self._build, path, DOCUMENTS_SCHEMA, ("id",))["id"]

    def open_ids(self, shard: int) -> npt.NDArray[Any]:
        return self._maps.open(shard)

    def segments(self) -> Segments:
        def lengths_of(unit: str) -> npt.NDArray[np.int64]:
            path = documents_path(unit)
            index = read_index(self._build, path, DOCUMENTS_SCHEMA, ("length",))
            lengths: npt.NDArray[np.int64] = index["length"].to_numpy()
            return lengths

        with ThreadPoolExecutor(_THREADS, thread_name_prefix="lengths") as threads:
            lengths = list(threads.map(lengths_of, self._units))
        return Segments(np.cumsum(np.concatenate([np.zeros(1, np.int64), *lengths])))

    def _map(self, shard: int, local_path: str) -> npt.NDArray[Any]:
        entry = self._shards[shard]
        return shard_format(entry.format).open(local_path, entry).map()


def read_index(
    build: Build, path: str, schema: pa.Schema, columns: Sequence[str] | None = None
) -> pa.Table:
    """All rows of an index file. Raises MismatchError where it is not of that schema."""
    names = schema.names if columns is None else list(columns)
    with build.local_copy(path) as local_path:
        batches = list(read_rows(local_path, path, schema, names))
    kept = pa.schema([schema.field(name) for name in names])
    return pa.Table.from_batches(batches, kept).combine_chunks()
