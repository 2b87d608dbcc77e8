"""Documents of a build in the order of units and records: what every export is made of.

    Span(unit, first, stop) ─► rows of documents/<unit>.parquet ─► the wanted ones
                            ─► runs of ids that lie side by side in a shard ─► DocumentChunk

Memory: a chunk of about 1 Mi ids, or one document where that is larger.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.shards.build import Build
from transforms.shards.formats import ShardRanges
from transforms.shards.index import DOCUMENTS_SCHEMA, read_rows
from transforms.shards.receipt import Receipt

_CHUNK_TOKENS = 1 << 20

Chooser = Callable[[str, pa.RecordBatch], npt.NDArray[np.bool_]]
"""Which rows of a unit's documents index are wanted."""


@dataclass(frozen=True, slots=True)
class Span:
    """Rows of one unit's documents index, from first to before stop."""

    unit: str
    first: int
    stop: int


@dataclass(frozen=True, slots=True)
class DocumentChunk:
    """Documents that follow each other.

    Attributes:
        units: the unit of each. ids: of all of them. rows: their id, url, record and text_xxh3.
    """

    units: pa.Array
    ids: npt.NDArray[Any]
    lengths: npt.NDArray[np.int64]
    rows: pa.RecordBatch


def read_spans(
    source: Build, spans: Iterable[Span], is_wanted: Chooser, *, has_ids: bool = True
) -> Iterator[DocumentChunk]:
    """The wanted documents of the spans, in order.

    Args:
        source: the build. spans: of its units. is_wanted: which rows of them.
        has_ids: False: who counts needs lengths alone; all ids are 0, and no shard is read.

    Raises:
        MismatchError: a file of the build is missing or not as its receipt says.
    """
    for span in spans:
        yield from _read_span(source, span, is_wanted, has_ids)


def _read_span(
    source: Build, span: Span, is_wanted: Chooser, has_ids: bool
) -> Iterator[DocumentChunk]:
    receipt = source.receipt(span.unit)
    place = receipt.documents.path
    with source.local_copy(place) as index, _Shards(source, receipt) as shards:
        names = DOCUMENTS_SCHEMA.names
        for rows in read_rows(index, place, DOCUMENTS_SCHEMA, names, span.first, span.stop):
            wanted = rows.filter(pa.array(is_wanted(span.unit, rows)))
            lengths = wanted.column("length").to_numpy()
            ends = np.cumsum(lengths)
            first = 0
            while first < len(wanted):
                before = int(ends[first - 1]) if first else 0
                full = int(np.searchsorted(ends, before + _CHUNK_TOKENS, side="right"))
                last = max(full, first + 1)
                part = wanted.slice(first, last - first)
                units = pa.repeat(pa.scalar(span.unit, pa.string()), last - first)
                ids = shards.read(part) if has_ids else shards.zeros(part)
                yield DocumentChunk(units, ids, lengths[first:last], part)
                first = last


class _Shards:
    """The token shards of a unit, one open at a time: documents come in their order."""

    def __init__(self, source: Build, receipt: Receipt) -> None:
        self._source = source
        self._receipt = receipt
        self._stack = ExitStack()
        self._open: tuple[int, ShardRanges] | None = None

    def __enter__(self) -> "_Shards":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def read(self, rows: pa.RecordBatch) -> npt.NDArray[Any]:
        """The ids of documents, one after the other."""
        shard, start, length = (
            rows.column(name).to_numpy() for name in ("shard", "start", "length")
        )
        ends = start + length
        breaks = np.flatnonzero((shard[1:] != shard[:-1]) | (start[1:] != ends[:-1])) + 1
        parts = [
            self._reader(int(shard[first])).read(int(start[first]), int(ends[last - 1]))
            for first, last in zip([0, *breaks], [*breaks, len(rows)], strict=True)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def zeros(self, rows: pa.RecordBatch) -> npt.NDArray[Any]:
        """As many ids, of the same dtype."""
        count = int(rows.column("length").to_numpy().sum())
        return np.zeros(count, self._receipt.shards[0].dtype)

    def _reader(self, number: int) -> ShardRanges:
        if self._open is None or self._open[0] != number:
            self._stack.close()
            entry = self._receipt.shards[number]
            reader = self._stack.enter_context(self._source.open_shard(entry))
            self._open = (number, reader)
        return self._open[1]
