"""`tail carry`: what does not fill the last sequence of a shard begins the next one.

    sequences of 8        ids     after it    carried into it    written
    shard 0               21      21          0                  2 sequences, 5 ids go on
    shard 1               10      31          5                  1 sequence,  7 go on
    shard 2               6       37          7                  1 sequence, and 5 ids with padding

So a split is the sequences of all its ids, as if it were one shard, and only the last is padded.
What is carried follows from the plan: a shard takes the last ids of those before it from the build,
whoever writes them, and when.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.exports.shard_cutter import ExportUnit


def with_carry(units: Iterable[ExportUnit], sequence_length: int) -> tuple[ExportUnit, ...]:
    """The shards of all splits, each with what is carried into it.

    Args:
        units: in the order of splits and numbers. sequence_length: of their sequences.
    """
    result: list[ExportUnit] = []
    earlier: list[ExportUnit] = []  # of the split, those that the next carried ids may be of
    total = 0
    for unit in units:
        if result and result[-1].split != unit.split:
            earlier, total = [], 0
        elif result:
            result[-1] = replace(result[-1], is_last=False)
        carried = total % sequence_length
        while earlier and sum(one.tokens for one in earlier[1:]) >= carried:
            del earlier[0]
        result.append(replace(unit, carried=carried, earlier=tuple(earlier)))
        earlier.append(unit)
        total += unit.tokens
    return tuple(result)


def last_ids(
    ids: npt.NDArray[Any], lengths: npt.NDArray[np.int64], rows: pa.RecordBatch, count: int
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64], pa.RecordBatch, int]:
    """The last `count` ids of documents, their lengths and rows, and how many ids the first lacks.

    >>> rows = pa.RecordBatch.from_pydict({"id": ["a", "b"]})
    >>> ids, lengths, rows, skipped = last_ids(np.arange(7), np.array([4, 3]), rows, 5)
    >>> ids.tolist(), lengths.tolist(), rows["id"].to_pylist(), skipped
    ([2, 3, 4, 5, 6], [2, 3], ['a', 'b'], 2)
    """
    begin = len(ids) - count
    ends = np.cumsum(lengths)
    first = int(np.searchsorted(ends, begin, side="right"))
    skipped = begin - int(ends[first] - lengths[first])
    own = lengths[first:].copy()
    own[0] -= skipped
    return ids[begin:], own, rows.slice(first), skipped
