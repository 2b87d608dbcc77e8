"""All ids of a corpus as one line of ids, wherever shards begin; mapped, not read.

shards        000000        000001     000002
ids        0 ........ 99 │ 100 .. 149 │ 150 ...         read(95, 105) is of two shards
documents  0      1    2        3     4                 starts: 0 40 90 120 170
"""

import functools
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[Any]

# Each map holds a file handle; a process may commonly have 1,024 of them.
_KEPT_MAPS = 256


class TokenSource(Protocol):
    """Where ids come from: what a build and an export have in common for a loader. Picklable."""

    @property
    def identity(self) -> str:
        """What a checkpoint is of: two sources of the same identity have the same ids."""

    @property
    def shard_tokens(self) -> Sequence[int]:
        """How many ids each shard has, in order."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the ids in the shards."""

    @property
    def vocabulary_size(self) -> int:
        """The largest id there may be, plus one."""

    @property
    def packed_length(self) -> int | None:
        """Of the sequences that documents were packed into; None: they were not."""

    def open_ids(self, shard: int) -> Ids:
        """All ids of a shard: one dimension, mapped where the disk is local."""

    def segments(self) -> "Segments":
        """Where documents begin. Costs a pass over the indexes."""


class Segments:
    """Where documents begin among all ids; 8 bytes a document, 16 where there is padding.

    Attributes:
        starts: int64[s + 1], ascending: where each segment begins, and the end of the last.
        documents: int64[s]: the number of each in the corpus, -1 for padding; None: they are
            numbered as they stand.
    """

    def __init__(
        self, starts: npt.NDArray[np.int64], documents: npt.NDArray[np.int64] | None = None
    ) -> None:
        self.starts = starts
        self.documents = documents

    def within(
        self, begins: npt.NDArray[np.int64], length: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The segments of windows of one length that stand below each other.

        >>> bounds, numbers, offsets = Segments(np.array([0, 3, 9])).within(np.array([1, 4]), 4)
        >>> bounds.tolist(), numbers.tolist(), offsets.tolist()
        ([0, 2, 4, 8], [0, 1, 1], [1, 0, 1])

        Args:
            begins: where each window begins. length: of all.

        Returns:
            bounds: int64[m + 1] among the ids of all windows, from 0 to their number.
            numbers: int64[m], of documents. offsets: int64[m], the first id of each that is there.
        """
        first = np.searchsorted(self.starts, begins, side="right") - 1
        counts = np.searchsorted(self.starts, begins + length) - first
        ends = np.cumsum(counts)
        total = int(ends[-1])
        # The windows of segments, and the segments: 0 1 2, 5 6, ... without a loop.
        which = np.repeat(np.arange(len(begins)), counts)
        chosen = np.arange(total) + (first - ends + counts)[which]
        offsets = np.maximum(begins[which] - self.starts[chosen], 0)
        bounds = np.empty(total + 1, np.int64)
        np.maximum(self.starts[chosen] - begins[which], 0, out=bounds[:-1])
        bounds[:-1] += which * length
        bounds[-1] = len(begins) * length
        return bounds, chosen if self.documents is None else self.documents[chosen], offsets


class TokenStream:
    """The ids of all shards, one after the other; `len()` of them.

    A shard is opened when it is first read, and some are kept open. Picklable: what is open stays
    behind.
    """

    def __init__(self, source: TokenSource) -> None:
        self.source = source
        self._ends = list(accumulate(source.shard_tokens))
        self._open: Callable[[int], Ids] = functools.lru_cache(_KEPT_MAPS)(source.open_ids)

    def __reduce__(self) -> tuple[type["TokenStream"], tuple[TokenSource]]:
        return type(self), (self.source,)

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @functools.cached_property
    def segments(self) -> Segments:
        """Where documents begin; read when it is first asked for, and kept."""
        return self.source.segments()

    def read(self, start: int, stop: int) -> Ids:
        """The ids from start to stop; a view where they are of one shard."""
        shard = bisect_right(self._ends, start)
        first = self._ends[shard - 1] if shard else 0
        ids = self._open(shard)[start - first : stop - first]
        if stop <= self._ends[shard]:
            return ids
        parts = [ids]
        while stop > self._ends[shard]:
            shard += 1
            parts.append(self._open(shard)[: stop - self._ends[shard - 1]])
        return np.concatenate(parts)

    def read_pairs(self, begins: Sequence[int], inputs: Ids, targets: Ids) -> None:
        """Fills row after row with the ids from a place on, and with those one later."""
        length = inputs.shape[1]
        for row, begin in enumerate(begins):
            ids = self.read(begin, begin + length + 1)
            inputs[row] = ids[:-1]
            targets[row] = ids[1:]
