"""Mixtures: how often the documents of each source are trained on.

    --source web=web/** --source code=code/**  --weight web=0.5 --weight code=2.25

    unit          source   copies of each document in `train`
    web/a.jsonl   web      0 or 1: half of them, by hash of (unit, record)
    code/b.jsonl  code     2, and a third one for a quarter of them
    c.jsonl       other    1

A source is a pattern of the names of units or inputs, the first that matches counts. Which
documents are left out or repeated once more depends on each of them alone. A split that is held out
has every document once, but none of a source with weight 0.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from transforms.exports.hashes import mixed
from transforms.exports.splits import Codes
from transforms.shards.unit_names import input_name
from transforms.stores.patterns import compile_pattern

OTHER = "other"
"""The source of all units that no pattern matches."""


@dataclass(frozen=True, slots=True)
class Source:
    """Units by a pattern of their names, and how often their documents are wanted."""

    name: str
    pattern: str
    weight: float


@dataclass(frozen=True, slots=True)
class SourceTotals:
    """What became of a source: what the build has of it, and what `train` and the others hold."""

    name: str
    weight: float
    documents: int
    tokens: int
    exported_documents: int
    exported_tokens: int


@dataclass(frozen=True)
class Mixture:
    """The sources of an export, in the order in which they are tried."""

    sources: tuple[Source, ...] = ()

    @property
    def repeats(self) -> bool:
        """Whether any document may occur twice."""
        return any(source.weight > 1 for source in self.sources)

    def source_of(self, unit: str) -> Source:
        """The source of a unit; a part of an input is of what its input is of."""
        for source in self.sources:
            matches = compile_pattern(source.pattern).fullmatch
            if matches(unit) or matches(input_name(unit)):
                return source
        return Source(OTHER, "**", 1.0)

    def copies(
        self, unit: str, record: npt.NDArray[np.int64], codes: Codes
    ) -> npt.NDArray[np.int64]:
        """How often each document of a unit is exported; codes: their splits, 0 is `train`."""
        weight = self.source_of(unit).weight
        if weight == 1:
            return np.ones(len(record), np.int64)
        whole = int(weight)
        digest = hashlib.sha256(f"weight\0{unit}".encode()).digest()
        hashes = mixed(record.astype(np.uint64), int.from_bytes(digest[:8], "little"))
        once_more = hashes / 2.0**64 < weight - whole
        held_out = np.int64(weight > 0)
        found: npt.NDArray[np.int64] = np.where(codes == 0, whole + once_more, held_out)
        return found


@dataclass
class MixtureBooks:
    """Counts what becomes of each source."""

    mixture: Mixture
    _counts: dict[str, list[int]] = field(default_factory=dict)

    def add(self, unit: str, lengths: npt.NDArray[np.int64], copies: npt.NDArray[np.int64]) -> None:
        """Adds the documents of a unit: their lengths, and how often each is exported."""
        counts = self._counts.setdefault(self.mixture.source_of(unit).name, [0] * 4)
        exported = (int(copies.sum()), int((lengths * copies).sum()))
        for at, count in enumerate((len(lengths), int(lengths.sum()), *exported)):
            counts[at] += count

    def totals(self) -> tuple[SourceTotals, ...]:
        """Each source in the order in which they are tried, `other` last if there is any."""
        if not self.mixture.sources:
            return ()
        weights = {source.name: source.weight for source in self.mixture.sources}
        if OTHER in self._counts:
            weights[OTHER] = 1.0
        return tuple(
            SourceTotals(name, weight, *self._counts.get(name, [0] * 4))
            for name, weight in weights.items()
        )


def mixture_of(described: Mapping[str, Any]) -> Mixture:
    """The Mixture that an export's settings describe."""
    return Mixture(tuple(Source(*entry) for entry in described["sources"]))
