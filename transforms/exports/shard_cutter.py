"""`ShardCutter`: documents in order, cut into the shards of a split.

lengths            812 1232 40 9 | 77 5012 ...      at most max_tokens a shard
train/000000       └──────────┘    a shard ends before the document that would be too many
train/000001                  └───────┘
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from transforms.exports.source import Span
from transforms.passes.work_pass import WorkUnit


@dataclass(frozen=True, slots=True)
class ExportUnit(WorkUnit):
    """One shard of an export: what is to go into it.

    Attributes:
        documents, tokens: that it will hold.
        spans: where they are in the build; of a shuffled shard none, but the parts that it is
            gathered from, from first_part to before stop_part.
        carried: ids of the shards before it that its first sequence begins with (carry.py).
        earlier: those shards.
        is_last: of its split.
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


def unit_name_of(split: str, number: int) -> str:
    """What a shard's receipt and index are called after."""
    return f"{split}/{number:06d}"


@dataclass(slots=True)
class ShardCutter:
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
