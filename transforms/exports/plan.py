"""Which documents go into which shard of an export: a function of manifest and settings alone.

    unit a: 812 1232 40 9 ...    unit b: 77 5012 ...       lengths, from the indexes of documents
    └───── train/000000 ─────┘└──── train/000001 ────┘     cut where the next one would be too many
          └┘       └┘  validation/000000                   the same for each split

A shard is kept as spans of index rows, so the plan is small; of its documents only those of its
split are meant. Memory: the rows of a few units, and 9 bytes for each text that is held out.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.exports.hashes import Hashes
from transforms.exports.mixtures import Mixture, MixtureBooks, SourceTotals
from transforms.exports.shuffle import (
    BLOCK_TOKENS,
    Grid,
    copy_hashes,
    document_hashes,
    make_grid,
)
from transforms.exports.source import Span
from transforms.exports.splits import Codes, Splitter, held_out_texts, look_up
from transforms.passes.work_pass import WorkUnit
from transforms.shards.build import Build
from transforms.shards.index import DOCUMENTS_SCHEMA, read_rows
from transforms.shards.layout import documents_path

_THREADS = 4
_WINDOW = 16  # units under way at a time

Held = tuple[Hashes, Codes]
"""Texts that are held out, ascending, and the split of each."""

_In = TypeVar("_In")
_Out = TypeVar("_Out")


@dataclass(frozen=True, slots=True)
class ExportUnit(WorkUnit):
    """One shard of an export: what is to go into it.

    documents, tokens: that it will hold. spans: where they are in the build; of a shuffled shard
    none, but the parts that it is gathered from, from first_part to before stop_part.
    carried: ids of the shards before it that its first sequence begins with (carry.py); earlier:
    those shards. is_last: of its split.
    """

    split: str = ""
    number: int = 0
    documents: int = 0
    tokens: int = 0
    spans: tuple[Span, ...] = ()
    first_part: int = 0
    stop_part: int = 0
    carried: int = 0
    earlier: tuple["ExportUnit", ...] = ()
    is_last: bool = True


@dataclass(frozen=True)
class ExportPlan:
    """All shards, in the order of splits and numbers, and the splitter that knows every text.

    blocks, grid: of a shuffle, what is scattered first; none without one.
    sources: what becomes of each source of a mixture.
    """

    units: tuple[ExportUnit, ...]
    splitter: Splitter
    blocks: tuple[ExportUnit, ...] = ()
    grid: Grid | None = None
    sources: tuple[SourceTotals, ...] = ()


def unit_name_of(split: str, number: int) -> str:
    """What a shard's receipt and index are called after."""
    return f"{split}/{number:06d}"


@dataclass(frozen=True, kw_only=True)
class PlanSettings:
    """How shards are cut.

    Attributes:
        max_tokens: of a shard; None: one a split.
        more: ids that each document grows by. itemsize: bytes of an id.
        shuffle: the seed; None: documents stay in order. block_tokens: of what is shuffled at a
            time; it decides memory, and no byte.
        mixture: how often documents of each source are wanted.
    """

    max_tokens: int | None
    more: int = 0
    itemsize: int = 4
    shuffle: int | None = None
    block_tokens: int = BLOCK_TOKENS
    mixture: Mixture = field(default_factory=Mixture)


def plan_export(
    source: Build, units: Sequence[str], splitter: Splitter, settings: PlanSettings
) -> ExportPlan:
    """Reads the indexes of all documents and cuts shards.

    Args:
        source: the build. units: of it, in order. splitter: as the settings have it.

    Raises:
        MismatchError: an index is missing or broken.
    """
    held: Held | None = None
    if splitter.shares:
        held = _held_out(source, units, splitter)

    def look(unit: str) -> "_UnitRows":
        return _read_unit(source, unit, splitter, held, settings.mixture)

    is_shuffled = settings.shuffle is not None
    cutters = [
        _Cutter(name, None if is_shuffled else settings.max_tokens, settings.itemsize)
        for name in splitter.names
    ]
    blocks = _Cutter("blocks", settings.block_tokens, settings.itemsize)
    moved: list[Hashes] = []
    books = MixtureBooks(settings.mixture)
    for unit, found in zip(units, in_order(look, units), strict=True):
        moved.append(found.moved)
        books.add(unit, found.lengths + settings.more, found.copies)
        if is_shuffled:
            blocks.add(unit, np.arange(len(found.lengths)), found.lengths * found.copies)
        for code, cutter in enumerate(cutters):
            rows = np.flatnonzero((found.codes == code) & (found.copies > 0))
            cutter.add(unit, rows, (found.lengths[rows] + settings.more) * found.copies[rows])
    if held is not None:
        texts = np.unique(np.concatenate(moved))
        _, where = look_up(held[0], texts) if len(texts) else (None, np.zeros(0, np.int64))
        splitter = replace(splitter, moved_texts=texts, moved_to=held[1][where])
    planned = tuple(shard for cutter in cutters for shard in cutter.finish())
    if not is_shuffled:
        return ExportPlan(planned, splitter, sources=books.totals())
    tokens = {unit.split: unit.tokens for unit in planned}
    grid = make_grid(
        [tokens.get(name, 0) for name in splitter.names],
        settings.max_tokens,
        settings.block_tokens,
    )
    shards = _count_shuffled(source, units, splitter, settings, grid)
    return ExportPlan(shards, splitter, tuple(blocks.finish()), grid, books.totals())


def _count_shuffled(
    source: Build, units: Sequence[str], splitter: Splitter, settings: PlanSettings, grid: Grid
) -> tuple[ExportUnit, ...]:
    """The shards of a shuffle that hold any document, and what each holds."""
    assert settings.shuffle is not None
    seed = settings.shuffle

    def look(unit: str) -> tuple[Any, Any]:
        documents, tokens = np.zeros(grid.total, np.int64), np.zeros(grid.total, np.int64)
        for rows in _rows(source, unit, ("record", "length", *splitter.columns)):
            codes, record = splitter.split_of(rows), rows.column("record").to_numpy()
            copies = settings.mixture.copies(unit, record, codes)
            hashes = copy_hashes(document_hashes(seed, unit, record), copies)
            parts = grid.parts_of(np.repeat(codes, copies), hashes)
            lengths = rows.column("length").to_numpy() + settings.more
            np.add.at(documents, parts, 1)
            np.add.at(tokens, parts, np.repeat(lengths, copies))
        return documents, tokens

    documents, tokens = np.zeros(grid.total, np.int64), np.zeros(grid.total, np.int64)
    for unit_documents, unit_tokens in in_order(look, units):
        documents += unit_documents
        tokens += unit_tokens
    found: list[ExportUnit] = []
    for code, split in enumerate(splitter.names):
        number = 0
        for place in range(grid.shards[code]):
            parts = grid.parts_of_shard(code, place)
            own = slice(parts.start, parts.stop)
            if documents[own].any():
                count = int(tokens[own].sum())
                found.append(
                    ExportUnit(
                        name=unit_name_of(split, number),
                        path="",
                        size_bytes=count * settings.itemsize,
                        split=split,
                        number=number,
                        documents=int(documents[own].sum()),
                        tokens=count,
                        first_part=parts.start,
                        stop_part=parts.stop,
                    )
                )
                number += 1
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _UnitRows:
    """Of each document of a unit its length, its split, and how often it is exported.

    moved: the texts that are not where their key says.
    """

    lengths: npt.NDArray[np.int64]
    codes: Codes
    copies: npt.NDArray[np.int64]
    moved: npt.NDArray[np.uint64]


def _read_unit(
    source: Build,
    unit: str,
    splitter: Splitter,
    held: Held | None,
    mixture: Mixture,
) -> _UnitRows:
    lengths, records, codes, moved = [], [], [], [np.zeros(0, np.uint64)]
    for rows in _rows(source, unit, ("record", "length", *splitter.columns)):
        lengths.append(rows.column("length").to_numpy())
        records.append(rows.column("record").to_numpy())
        if held is None:
            codes.append(np.zeros(len(rows), np.int8))
            continue
        by_key = splitter.by_key(rows)
        final = by_key.copy()
        texts = rows.column("text_xxh3").to_numpy()
        if len(held[0]):
            found, where = look_up(held[0], texts)
            final[found] = held[1][where[found]]
        moved.append(texts[final != by_key])
        codes.append(final)
    empty = np.zeros(0, np.int64)
    every = np.concatenate([empty.astype(np.int8), *codes])
    copies = mixture.copies(unit, np.concatenate([empty, *records]), every)
    return _UnitRows(np.concatenate([empty, *lengths]), every, copies, np.concatenate(moved))


def _held_out(source: Build, units: Sequence[str], splitter: Splitter) -> Held:
    """The texts that are held out because of the key of one of their documents."""

    def look(unit: str) -> Held:
        texts, codes = [np.zeros(0, np.uint64)], [np.zeros(0, np.int8)]
        for rows in _rows(source, unit, splitter.columns):
            by_key = splitter.by_key(rows)
            texts.append(rows.column("text_xxh3").to_numpy()[by_key > 0])
            codes.append(by_key[by_key > 0])
        return np.concatenate(texts), np.concatenate(codes)

    found = list(in_order(look, units))
    return held_out_texts([texts for texts, _ in found], [codes for _, codes in found])


def _rows(source: Build, unit: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    path = documents_path(unit)
    with source.local_copy(path) as index:
        yield from read_rows(index, path, DOCUMENTS_SCHEMA, columns)


def in_order(function: Callable[[_In], _Out], items: Iterable[_In]) -> Iterator[_Out]:
    """`map` on a few threads, with a few results under way."""
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="plan") as threads:
        under_way: deque[Future[_Out]] = deque()
        for item in items:
            under_way.append(threads.submit(function, item))
            if len(under_way) >= _WINDOW:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


@dataclass(slots=True)
class _Cutter:
    """Takes the documents of a split in order and cuts them into shards."""

    split: str
    max_tokens: int | None
    itemsize: int
    _spans: list[Span] = field(default_factory=list)
    _documents: int = 0
    _tokens: int = 0
    _finished: list[ExportUnit] = field(default_factory=list)

    def add(self, unit: str, rows: npt.NDArray[Any], lengths: npt.NDArray[np.int64]) -> None:
        """Adds documents of a unit: their rows in its index, and their lengths as exported."""
        ends = np.cumsum(lengths)
        first = before = 0
        while first < len(rows):
            last = len(rows)
            if self.max_tokens is not None:
                room = before + self.max_tokens - self._tokens
                last = int(np.searchsorted(ends, room, side="right"))
                if last == first and not self._documents:
                    last += 1  # larger than a shard: it has one to itself
            if last > first:
                self._spans.append(Span(unit, int(rows[first]), int(rows[last - 1]) + 1))
                self._documents += last - first
                self._tokens += int(ends[last - 1]) - before
                first, before = last, int(ends[last - 1])
            if first < len(rows):
                self._end_shard()

    def finish(self) -> list[ExportUnit]:
        """All shards; none where there was no document."""
        if self._documents:
            self._end_shard()
        return self._finished

    def _end_shard(self) -> None:
        number = len(self._finished)
        self._finished.append(
            ExportUnit(
                name=unit_name_of(self.split, number),
                path="",
                size_bytes=self._tokens * self.itemsize,
                split=self.split,
                number=number,
                documents=self._documents,
                tokens=self._tokens,
                spans=tuple(self._spans),
            )
        )
        self._spans, self._documents, self._tokens = [], 0, 0
