"""`Corpus`: the documents of a complete build, by number, with their ids and where they come from.

number 7 ─► unit: units' documents added up ─► row of its index ─► shard, start, length
                                                                      └► a slice of the map
"""

import functools
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, overload

import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.shards.build import Build
from transforms.shards.formats import shard_format
from transforms.shards.index import DOCUMENTS_SCHEMA, read_rows
from transforms.shards.layout import documents_path
from transforms.shards.manifest import Manifest
from transforms.shards.receipt import ShardEntry

_KEPT_UNITS = 16
_KEPT_MAPS = 256


@dataclass(frozen=True, slots=True, eq=False)
class CorpusDocument:
    """A document: its ids, and where they come from.

    Attributes:
        tokens: uint16[n] or uint32[n], begin and end of text included; read-only, a view of the
            memory map where the build is local.
        id, url: as the input named it, or None.
        unit: the input's name. record: its record, from 0.
        shard: the path of its shard below the build. start: its first token there.
        text_bytes: of UTF-8.
    """

    tokens: npt.NDArray[Any]
    id: str | None
    url: str | None
    unit: str
    record: int
    shard: str
    start: int
    text_bytes: int


class Corpus(Sequence[CorpusDocument]):
    """The documents of a complete build, in the order of its units; a sequence.

        corpus = tokenmill.open("shards")
        len(corpus), corpus.tokens
        corpus[0].tokens, corpus[0].id
        corpus["en-0010996"]                 the first document of that id
        for document in corpus: ...

    Memory: the manifest, and the indexes of the last few inputs that were looked into. Ids are
    mapped, not read; shards of a remote build are fetched whole when they are first needed.
    """

    def __init__(self, build: Build) -> None:
        """Reads the manifest.

        Args:
            build: where.

        Raises:
            MismatchError: there is none, or not one of this format.
        """
        self._build = build
        self.manifest: Manifest = build.manifest()
        self._units = self.manifest.units
        self._ends = list(accumulate(book.documents for book in self.manifest.inputs))
        self._copies = ExitStack()
        self._shards = {shard.path: shard for shard in self.manifest.shards}
        # Of this object, so that they go with it.
        self._unit = functools.lru_cache(_KEPT_UNITS)(self._open_unit)
        self._ids = functools.lru_cache(_KEPT_MAPS)(self._open_ids)

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @property
    def tokens(self) -> int:
        """How many ids there are in all documents."""
        return self.manifest.totals.tokens

    @overload
    def __getitem__(self, index: int) -> CorpusDocument: ...
    @overload
    def __getitem__(self, index: str) -> CorpusDocument: ...
    @overload
    def __getitem__(self, index: slice) -> list[CorpusDocument]: ...
    def __getitem__(self, index: int | str | slice) -> CorpusDocument | list[CorpusDocument]:
        if isinstance(index, str):
            return self._of_id(index)
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        number = index + len(self) if index < 0 else index
        if not 0 <= number < len(self):
            raise IndexError(f"document {index} of {len(self)}")
        at = bisect_right(self._ends, number)
        return self._document(at, number - (self._ends[at - 1] if at else 0))

    def __iter__(self) -> Iterator[CorpusDocument]:
        for at, book in enumerate(self.manifest.inputs):
            for row in range(book.documents):
                yield self._document(at, row)

    def __repr__(self) -> str:
        return f"Corpus({self._build.root!r}, {len(self):,} documents, {self.tokens:,} tokens)"

    def _of_id(self, document_id: str) -> CorpusDocument:
        """Reads the ids of one input after the other until one fits."""
        for at, unit in enumerate(self._units):
            path = documents_path(unit)
            earlier = 0
            with self._build.local_copy(path) as local_path:
                for batch in read_rows(local_path, path, DOCUMENTS_SCHEMA, ["id"]):
                    row = pc.index(batch.column("id"), document_id).as_py()
                    if row >= 0:
                        return self._document(at, earlier + row)
                    earlier += len(batch)
        raise KeyError(f"no document has the id {document_id!r}")

    def _document(self, at: int, row: int) -> CorpusDocument:
        unit = self._unit(at)
        index = unit.index
        shard = unit.shards[index["shard"][row].as_py()]
        start, length = index["start"][row].as_py(), index["length"][row].as_py()
        return CorpusDocument(
            tokens=self._ids(shard.path)[start : start + length],
            id=index["id"][row].as_py(),
            url=index["url"][row].as_py(),
            unit=self._units[at],
            record=index["record"][row].as_py(),
            shard=shard.path,
            start=start,
            text_bytes=index["text_bytes"][row].as_py(),
        )

    def _open_unit(self, at: int) -> "_Unit":
        unit = self._units[at]
        path = documents_path(unit)
        with self._build.local_copy(path) as local_path:
            batches = list(read_rows(local_path, path, DOCUMENTS_SCHEMA, DOCUMENTS_SCHEMA.names))
        table = pa.Table.from_batches(batches, DOCUMENTS_SCHEMA).combine_chunks()
        return _Unit(table, self._build.receipt(unit).shards)

    def _open_ids(self, path: str) -> npt.NDArray[Any]:
        entry = self._shards[path]
        local_path = self._copies.enter_context(self._build.local_copy(path))
        return shard_format(entry.format).open(local_path, entry).map()


@dataclass(frozen=True, slots=True)
class _Unit:
    """One input of the corpus: its index in memory, and its shards by number."""

    index: pa.Table
    shards: tuple[ShardEntry, ...]
