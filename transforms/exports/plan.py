"""Which documents go into which shard of an export: a function of manifest and settings alone.

    unit a: 812 1232 40 9 ...    unit b: 77 5012 ...       lengths, from the indexes of documents
    └───── train/000000 ─────┘└──── train/000001 ────┘     cut where the next one would be too many
          └┘       └┘  validation/000000                   the same for each split

A shard is kept as spans of index rows, so the plan is small; of its documents only those of its
split are meant. Memory: the rows of a few units, and 9 bytes for each text that is held out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from transforms.exports.document_facts import (
    Held,
    UnitDocuments,
    find_held_out,
    in_order,
    index_rows,
    read_documents,
)
from transforms.exports.hashes import Hashes
from transforms.exports.mixtures import Mixture, MixtureBooks, SourceTotals
from transforms.exports.shard_cutter import ExportUnit, ShardCutter, unit_name_of
from transforms.exports.shuffle import (
    BLOCK_TOKENS,
    Grid,
    copy_hashes,
    document_hashes,
    make_grid,
)
from transforms.exports.splits import Splitter, look_up
from transforms.shards.build import Build


@dataclass(frozen=True)
class ExportPlan:
    """All shards, in the order of splits and numbers, and the splitter that knows every text.

    Attributes:
        blocks, grid: of a shuffle, what is scattered first; none without one.
        sources: what becomes of each source of a mixture.
    """

    units: tuple[ExportUnit, ...]
    splitter: Splitter
    blocks: tuple[ExportUnit, ...] = ()
    grid: Grid | None = None
    sources: tuple[SourceTotals, ...] = ()


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
    held = find_held_out(source, units, splitter) if splitter.shares else None

    def look(unit: str) -> UnitDocuments:
        return read_documents(source, unit, splitter, held, settings.mixture)

    is_shuffled = settings.shuffle is not None
    max_tokens = None if is_shuffled else settings.max_tokens
    cutters = [ShardCutter(name, max_tokens, settings.itemsize) for name in splitter.names]
    blocks = ShardCutter("blocks", settings.block_tokens, settings.itemsize)
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
        splitter = _with_moved(splitter, held, moved)
    shards = tuple(shard for cutter in cutters for shard in cutter.finish())
    if settings.shuffle is None:
        return ExportPlan(shards, splitter, sources=books.totals())
    tokens = {unit.split: unit.tokens for unit in shards}
    grid = make_grid(
        [tokens.get(name, 0) for name in splitter.names],
        settings.max_tokens,
        settings.block_tokens,
    )
    parts = _count_parts(source, units, splitter, settings, settings.shuffle, grid)
    shards = tuple(_shuffled_shards(splitter.names, settings.itemsize, grid, *parts))
    return ExportPlan(shards, splitter, tuple(blocks.finish()), grid, books.totals())


def _with_moved(splitter: Splitter, held: Held, moved: Sequence[Hashes]) -> Splitter:
    """The splitter that also knows the texts that are not where their key says."""
    texts = np.unique(np.concatenate(moved))
    _, where = look_up(held[0], texts) if len(texts) else (None, np.zeros(0, np.int64))
    return replace(splitter, moved_texts=texts, moved_to=held[1][where])


_Counts = npt.NDArray[np.int64]


def _count_parts(
    source: Build,
    units: Sequence[str],
    splitter: Splitter,
    settings: PlanSettings,
    seed: int,
    grid: Grid,
) -> tuple[_Counts, _Counts]:
    """How many documents, and how many tokens, come into each part of a shuffle."""

    def look(unit: str) -> tuple[_Counts, _Counts]:
        documents, tokens = np.zeros(grid.total, np.int64), np.zeros(grid.total, np.int64)
        for rows in index_rows(source, unit, ("record", "length", *splitter.columns)):
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
    return documents, tokens


def _shuffled_shards(
    splits: Sequence[str], itemsize: int, grid: Grid, documents: _Counts, tokens: _Counts
) -> Iterator[ExportUnit]:
    """The shards of a shuffle that hold any document; documents, tokens: of each part."""
    for code, split in enumerate(splits):
        number = 0
        for place in range(grid.shards[code]):
            parts = grid.parts_of_shard(code, place)
            own = slice(parts.start, parts.stop)
            if documents[own].any():
                count = int(tokens[own].sum())
                yield ExportUnit(
                    name=unit_name_of(split, number),
                    path="",
                    size_bytes=count * itemsize,
                    split=split,
                    number=number,
                    documents=int(documents[own].sum()),
                    tokens=count,
                    first_part=parts.start,
                    stop_part=parts.stop,
                )
                number += 1
