"""Documents in, sequences out: windows of documents are packed, their places noted.

documents ─► window: best-fit, the shard     ─► pack ─► ids of whole sequences
                ▲    concat, WINDOW_TOKENS        ├──► rows: which piece is where
                └── concat: what is left over ◄───┘
"""

import dataclasses
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.exports.index import EXPORT_SCHEMA
from transforms.exports.packing import (
    WINDOW_TOKENS,
    Packed,
    in_turn,
    pack_best_fit,
    pack_concat,
    place_pieces,
    segments_of,
)
from transforms.exports.spooled_ids import SpooledIds
from transforms.shards.json_records import Count


@dataclass(frozen=True, slots=True)
class SequenceSettings:
    """How documents become sequences.

    Attributes:
        length: of each. packing: a name in packing.PACKINGS. tail: one of packing.TAILS.
        padding: the id that fills what no document does.
    """

    length: int
    packing: str
    tail: str
    padding: int


@dataclass(frozen=True, slots=True)
class SequenceBooks:
    """Counts: ids of documents + padding == sequences * length + dropped, in a whole split.

    Attributes:
        cut_documents: those that are in more than one piece, or not as a whole.
        carried: ids that the next shard begins with instead.
    """

    sequences: Count
    padding: Count
    dropped: Count
    cut_documents: Count
    carried: Count


@dataclass(frozen=True, slots=True)
class PackedChunk:
    """Whole sequences: their ids, the lengths of their segments, and a row of each piece."""

    ids: npt.NDArray[Any]
    segments: npt.NDArray[np.int64]
    rows: pa.RecordBatch


@dataclass(slots=True)
class _Window:
    """Documents that wait to be packed, the first of them perhaps without its first ids."""

    ids: SpooledIds = field(default_factory=SpooledIds)
    lengths: list[npt.NDArray[np.int64]] = field(default_factory=list)
    rows: list[pa.RecordBatch] = field(default_factory=list)
    tokens: int = 0
    skipped: int = 0  # ids of the first document that are in an earlier window

    def add(
        self, ids: npt.NDArray[Any], lengths: npt.NDArray[np.int64], rows: pa.RecordBatch
    ) -> None:
        self.ids.add(ids)
        self.lengths.append(lengths)
        self.rows.append(rows)
        self.tokens += int(lengths.sum())


class SequencePacker:
    """Packs the documents of one shard; `books` when it is at its end."""

    def __init__(
        self,
        settings: SequenceSettings,
        *,
        skipped: int = 0,
        is_last: bool = True,
        has_ids: bool = True,
    ) -> None:
        """Begins a shard.

        Args:
            settings: how. skipped: ids of the first document that are in an earlier shard.
            is_last: of its split: no other takes what it carries.
            has_ids: False: only `books` are wanted, and chunks are without ids.
        """
        self._settings = settings
        self._is_last = is_last
        self._has_ids = has_ids
        self._is_best_fit = settings.packing == "best-fit"
        self._skipped = skipped
        self._start = 0
        self._sequences = self._padding = self._dropped = self._cut = self._carried = 0
        # Of the last piece that was written, in its document; perhaps by an earlier shard.
        self._last_offset = max(0, skipped - settings.length)

    @property
    def length(self) -> int:
        """Of a sequence."""
        return self._settings.length

    @property
    def books(self) -> SequenceBooks:
        """Of all that was packed so far."""
        return SequenceBooks(
            self._sequences, self._padding, self._dropped, self._cut, self._carried
        )

    def pack(
        self,
        chunks: Iterator[tuple[npt.NDArray[Any], npt.NDArray[np.int64], pa.RecordBatch]],
    ) -> Iterator[PackedChunk]:
        """The sequences of documents: ids, lengths and rows of EXPORT_SCHEMA, in order."""
        window = _Window(
            SpooledIds(WINDOW_TOKENS if self._is_best_fit else None), skipped=self._skipped
        )
        try:
            window = yield from self._pack_windows(window, chunks)
            if window.tokens:
                window = yield from self._pack(window, is_last=True)
        finally:
            window.ids.close()
        if window.tokens:
            if self._settings.tail == "carry":
                self._carried = window.tokens
            else:
                self._dropped += window.tokens
                self._cut += window.skipped > 0 and self._last_offset == 0

    def _pack_windows(
        self,
        window: _Window,
        chunks: Iterator[tuple[npt.NDArray[Any], npt.NDArray[np.int64], pa.RecordBatch]],
    ) -> Generator[PackedChunk, None, _Window]:
        """The sequences of all windows but the last, which is returned."""
        for ids, lengths, rows in chunks:
            ends = np.cumsum(lengths)
            first = before = 0
            while first < len(lengths):
                # A window ends with the document that fills it, however documents come in.
                room = before + WINDOW_TOKENS - window.tokens
                last = min(int(np.searchsorted(ends, room)) + 1, len(lengths))
                last = len(lengths) if self._is_best_fit else last
                end = int(ends[last - 1])
                own = ids[before:end] if self._has_ids else np.empty(0, ids.dtype)
                window.add(own, lengths[first:last], rows.slice(first, last - first))
                first, before = last, end
                if window.tokens >= WINDOW_TOKENS and not self._is_best_fit:
                    window = yield from self._pack(window, is_last=False)
        return window

    def _pack(self, window: _Window, *, is_last: bool) -> Generator[PackedChunk, None, _Window]:
        """Gives the sequences of a window; returns one of what is left."""
        size = self._settings.length
        ids, lengths = window.ids.joined(), np.concatenate(window.lengths)
        window.ids.close()
        rows = pa.Table.from_batches(window.rows).combine_chunks().to_batches()[0]
        if self._is_best_fit:
            packed = pack_best_fit(lengths, size)
        else:
            packed = pack_concat(lengths, size)
            if is_last and packed.left and self._pads:
                packed = _with_tail(packed, lengths, size)
        starts = np.cumsum(lengths) - lengths
        for some in in_turn(packed, size):
            found = ids[:0]
            if self._has_ids:
                found = place_pieces(ids, starts, some, size, self._settings.padding)
            rows_of_pieces = self._rows(rows, some, window.skipped)
            yield PackedChunk(found, segments_of(some, size), rows_of_pieces)
            self._count(some, rows_of_pieces)
        return self._left(ids, lengths, rows, packed, window.skipped)

    @property
    def _pads(self) -> bool:
        tail = self._settings.tail
        return tail == "pad" or (tail == "carry" and self._is_last)

    def _rows(self, rows: pa.RecordBatch, packed: Packed, skipped: int) -> pa.RecordBatch:
        taken = pa.Table.from_batches([rows]).take(pa.array(packed.document)).combine_chunks()
        columns = {name: taken.column(name) for name in EXPORT_SCHEMA.names}
        columns["start"] = pa.array(self._start + packed.position)
        columns["length"] = pa.array(packed.length)
        columns["offset"] = pa.array(packed.offset + np.where(packed.document == 0, skipped, 0))
        table = pa.table(columns, schema=EXPORT_SCHEMA)
        return table.combine_chunks().to_batches()[0]

    def _count(self, packed: Packed, rows: pa.RecordBatch) -> None:
        size = self._settings.length
        self._start += packed.sequences * size
        self._sequences += packed.sequences
        self._padding += packed.sequences * size - int(packed.length.sum())
        # A document is cut once: where its second piece begins.
        offsets = rows.column("offset").to_numpy()
        if self._is_best_fit:
            self._cut += int((offsets == size).sum())
        else:
            before = np.concatenate([[self._last_offset], offsets[:-1]])
            self._cut += int(((offsets > 0) & (before == 0)).sum())
        self._last_offset = int(offsets[-1])

    def _left(
        self,
        ids: npt.NDArray[Any],
        lengths: npt.NDArray[np.int64],
        rows: pa.RecordBatch,
        packed: Packed,
        skipped: int,
    ) -> _Window:
        """The window that begins with what is in no sequence yet."""
        window = _Window()
        if packed.left:
            ends = np.cumsum(lengths)
            first = int(np.searchsorted(ends, ends[-1] - packed.left, side="right"))
            gone = int(ends[-1]) - packed.left - int(ends[first] - lengths[first])
            own = lengths[first:].copy()
            own[0] -= gone
            kept = ids[len(ids) - packed.left :] if self._has_ids else ids
            window.add(kept, own, rows.slice(first))
            window.skipped = gone + (skipped if first == 0 else 0)
        return window


def _with_tail(packed: Packed, lengths: npt.NDArray[np.int64], size: int) -> Packed:
    """The same with one more sequence for what is left, the end of it padding."""
    more = np.append(lengths, size - packed.left)
    whole = pack_concat(more, size)
    kept = whole.document < len(lengths)
    return Packed(
        whole.document[kept],
        whole.offset[kept],
        whole.length[kept],
        whole.position[kept],
        whole.sequences,
    )


def total_books(books: Sequence[SequenceBooks]) -> SequenceBooks:
    """The sums."""
    return SequenceBooks(
        *(
            sum(getattr(one, field.name) for one in books)
            for field in dataclasses.fields(SequenceBooks)
        )
    )


def sequence_settings_of(described: Mapping[str, Any]) -> SequenceSettings | None:
    """The SequenceSettings that an export's settings describe; None where it has none."""
    found = described["sequences"]
    if found is None:
        return None
    return SequenceSettings(found["length"], found["packing"], found["tail"], found["padding"])
