"""What a plan needs to know of the documents of a build, read from their indexes."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.exports.hashes import Hashes
from transforms.exports.mixtures import Mixture
from transforms.exports.splits import Codes, Splitter, held_out_texts, look_up
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
class UnitDocuments:
    """Of each document of a unit its length, its split, and how often it is exported.

    Attributes:
        moved: the texts that are not where their key says.
    """

    lengths: npt.NDArray[np.int64]
    codes: Codes
    copies: npt.NDArray[np.int64]
    moved: npt.NDArray[np.uint64]


def read_documents(
    source: Build,
    unit: str,
    splitter: Splitter,
    held: Held | None,
    mixture: Mixture,
) -> UnitDocuments:
    """What a plan needs to know of the documents of a unit.

    Args:
        source: The build.
        unit: Of it.
        splitter: As the settings have it.
        held: What `find_held_out` found; None: nothing is held out.
        mixture: How often documents of each source are wanted.
    """
    lengths, records, codes, moved = [], [], [], [np.zeros(0, np.uint64)]
    for rows in index_rows(source, unit, ("record", "length", *splitter.columns)):
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
    return UnitDocuments(np.concatenate([empty, *lengths]), every, copies, np.concatenate(moved))


def find_held_out(source: Build, units: Sequence[str], splitter: Splitter) -> Held:
    """The texts that are held out because of the key of one of their documents."""

    def look(unit: str) -> Held:
        texts, codes = [np.zeros(0, np.uint64)], [np.zeros(0, np.int8)]
        for rows in index_rows(source, unit, splitter.columns):
            by_key = splitter.by_key(rows)
            texts.append(rows.column("text_xxh3").to_numpy()[by_key > 0])
            codes.append(by_key[by_key > 0])
        return np.concatenate(texts), np.concatenate(codes)

    found = list(in_order(look, units))
    return held_out_texts([texts for texts, _ in found], [codes for _, codes in found])


def index_rows(source: Build, unit: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Columns of the index of a unit's documents.

    Raises:
        MismatchError: a broken index.
    """
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
