"""`Corpus`: the documents of a complete build or export, by number, with their ids and origins.

number 7 ─► index file: by their documents added up ─► row ─► shard, start, length
                                                                └► a slice of the map

A build has an index file a unit (build_source.py), an export one a shard (corpus_source.py).
"""

import functools
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Protocol, overload

import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.errors import MismatchError
from transforms.loading.batches import Batches
from transforms.loading.samples import Samples
from transforms.loading.stream import TokenSource

_KEPT_INDEXES = 16
_KEPT_MAPS = 256


@dataclass(frozen=True, slots=True, eq=False)
class CorpusDocument:
    """A document: its ids, and where they come from.

    Attributes:
        tokens: uint16[n], uint32[n] or, of a megatron export, int32[n], begin and end of text
            included; read-only, a view of the memory map where the disk is local.
        id, url: as the input named it, or None.
        unit: the input's name; where it was read in parts, the part's: `a.jsonl/part-00001`.
        record: of that unit, from 0: in a part, from where the part begins.
        shard: the path of its shard below the folder. start: its first token there.
        text_bytes: of UTF-8; None in an export, which does not tell.
        offset: the first id of the document that is here: 0, but where an export's sequences cut
            it; then a piece counts as a document.
    """

    tokens: npt.NDArray[Any]
    id: str | None
    url: str | None
    unit: str
    record: int
    shard: str
    start: int
    text_bytes: int | None
    offset: int = 0


@dataclass(frozen=True, slots=True)
class CorpusIndex:
    """An index file, read: documents that follow each other.

    Attributes:
        rows: one a document; of DOCUMENTS_SCHEMA, or of an export's schema.
        shards: the paths that its column `shard` counts; without that column, the only one.
        unit: of all of them; None: a column tells.
    """

    rows: pa.Table
    shards: tuple[str, ...]
    unit: str | None


class CorpusSource(TokenSource, Protocol):
    """Where a corpus has its documents from: a build, or one split of an export."""

    @property
    def name(self) -> str:
        """Where it is, for people."""

    @property
    def documents(self) -> Sequence[int]:
        """How many documents each index file has, in order."""

    @property
    def shard_paths(self) -> Sequence[str]:
        """Every shard in order: those of `shard_tokens` and `open_ids`."""

    def open_index(self, number: int) -> CorpusIndex:
        """Reads an index file. Raises MismatchError where it can not be read."""

    def read_ids(self, number: int) -> pa.ChunkedArray:
        """What the documents of an index file are called, or null."""


class Corpus(Sequence[CorpusDocument]):
    """The documents of a complete build, or of a split of an export, in its order; a sequence.

        corpus = tokenmill.open("shards")
        len(corpus), corpus.tokens
        corpus[0].tokens, corpus[0].id
        corpus["en-0010996"]                 the first document of that id
        for document in corpus: ...
        for input, target in corpus.batches(sequence_length=1024, batch_size=8, seed=1): ...

    Memory: the manifest, and the indexes of the last few inputs that were looked into. Ids are
    mapped, not read; shards of a remote build are fetched whole when they are first needed.
    """

    def __init__(self, source: CorpusSource) -> None:
        """Opens nothing yet.

        Args:
            source: where documents are.
        """
        self._source = source
        self._ends = list(accumulate(source.documents))
        self._numbers = {path: number for number, path in enumerate(source.shard_paths)}
        # Of this object, so that they go with it.
        self._index = functools.lru_cache(_KEPT_INDEXES)(functools.partial(_opened, source))
        self._ids = functools.lru_cache(_KEPT_MAPS)(source.open_ids)

    def __reduce__(self) -> tuple[type["Corpus"], tuple[CorpusSource]]:
        return type(self), (self._source,)

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @property
    def tokens(self) -> int:
        """How many ids there are in all documents, padding of sequences included."""
        return sum(self._source.shard_tokens)

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
        for at, documents in enumerate(self._source.documents):
            for row in range(documents):
                yield self._document(at, row)

    def __repr__(self) -> str:
        return f"Corpus({self._source.name!r}, {len(self):,} documents, {self.tokens:,} tokens)"

    def samples(
        self,
        sequence_length: int | None = None,
        *,
        documents: bool = False,
        dtype: str = "int64",
    ) -> Samples:
        """Windows of the ids by number, in order: for grain, or a sampler of your own.

        Args:
            sequence_length: ids of input and of target; None: of a packed export, one less than
                its sequences have.
            documents: each sample also has `segment_ids`, `positions` and `loss_mask`.
            dtype: of input and target: int64, int32, uint32 or uint16.

        Raises:
            ConfigurationError: a length or a dtype that can not be, or a corpus that is shorter.
        """
        return Samples(self._source, sequence_length, documents=documents, dtype=dtype)

    def batches(
        self,
        sequence_length: int | None = None,
        batch_size: int = 1,
        *,
        seed: int | None = None,
        rank: int = 0,
        world_size: int = 1,
        epochs: int | None = 1,
        dtype: str = "int64",
    ) -> Batches:
        """Batches of (input, target), target shifted by one: a loop is an epoch.

        Args:
            sequence_length: ids of input and of target, L; None: of a packed export, one less than
                its sequences have.
            batch_size: samples of a batch of this rank, b.
            seed: of the order of samples, another in each epoch; None: that of the corpus.
            rank: of this process, from 0. world_size: how many there are: together they have
                every sample once, in the same order however many they are.
            epochs: of one loop; None: it never ends.
            dtype: of input and target, [b, L]: int64, int32, uint32 or uint16.

        Raises:
            ConfigurationError: numbers that can not be, or a corpus that is shorter.
        """
        return Batches(
            self.samples(sequence_length, dtype=dtype),
            batch_size,
            seed=seed,
            rank=rank,
            world_size=world_size,
            epochs=epochs,
        )

    def _of_id(self, document_id: str) -> CorpusDocument:
        """Reads the ids of one index file after the other until one fits."""
        for at in range(len(self._ends)):
            row = pc.index(self._source.read_ids(at), document_id).as_py()
            if row >= 0:
                return self._document(at, row)
        raise KeyError(f"no document has the id {document_id!r}")

    def _document(self, at: int, row: int) -> CorpusDocument:
        index = self._index(at)

        def value(column: str, default: Any = None) -> Any:
            if column not in index.rows.column_names:
                return default
            return index.rows[column][row].as_py()

        number, start, length = value("shard", 0), value("start"), value("length")
        if not 0 <= number < len(index.shards):
            raise MismatchError(f"document {row} of {index.unit}: its unit has no shard {number}")
        shard = index.shards[number]
        ids = self._ids(self._numbers[shard])
        if not 0 <= start <= start + length <= len(ids):
            raise MismatchError(
                f"document {row} of {shard}: expected {len(ids)} ids at most, "
                f"found it at {start} with {length}"
            )
        return CorpusDocument(
            tokens=ids[start : start + length],
            id=value("id"),
            url=value("url"),
            unit=value("unit") if index.unit is None else index.unit,
            record=value("record"),
            shard=shard,
            start=start,
            text_bytes=value("text_bytes"),
            offset=value("offset", 0),
        )


def _opened(source: CorpusSource, number: int) -> CorpusIndex:
    """An index file, which has as many documents as the manifest says."""
    index, claimed = source.open_index(number), source.documents[number]
    if len(index.rows) != claimed:
        raise MismatchError(
            f"{source.name}: index file {number} has {len(index.rows)} documents, and the manifest "
            f"says {claimed}"
        )
    return index
