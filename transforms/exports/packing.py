"""Sequences of one length out of documents: joined and cut, or fitted so that few are cut.

    length 8, documents a (5 ids), b (6), c (2), d (1)

    concat      aaaaabbb bbbccd    documents joined and cut; the last one by `tail`
    best-fit    aaaaad.. bbbbbbcc  each where it leaves the least room; cut when longer than 8

Best-fit is that of Ding et al. 2024, "Fewer Truncations Improve Language Modeling": pieces in the
order of falling length, each into the sequence with the least room that still holds it. It is done
for a shard at a time: for 16 Mi ids at a time, a shard of 20 Mi was 9,683 sequences and not 9,681.
Sequences then stand in the order of their first documents, for lengths must not follow the order
of training.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

PACKINGS = ("concat", "best-fit")
TAILS = ("pad", "drop", "carry")
WINDOW_TOKENS = 1 << 24
"""Ids that are in memory together; it decides no byte."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Packed:
    """Pieces of documents, in the order of their places.

    Attributes:
        document, offset: where each piece is from: a number, and its first id there.
        length: its ids. position: its first id in the sequences, one after the other.
        sequences: how many there are.
        left: ids that are in no sequence; those of the last documents.
    """

    document: Ints
    offset: Ints
    length: Ints
    position: Ints
    sequences: int
    left: int = 0


def in_turn(packed: Packed, sequence_length: int) -> Iterator[Packed]:
    """The same a few sequences at a time, of about WINDOW_TOKENS ids; positions begin at 0 in each.

    >>> whole = pack_best_fit(np.array([5, 6, 2, 1]), 8)
    >>> [one.sequences for one in in_turn(whole, 8)]
    [2]
    >>> many = pack_best_fit(np.full(5, WINDOW_TOKENS // 2), WINDOW_TOKENS // 2)
    >>> [(one.sequences, one.position.tolist()) for one in in_turn(many, WINDOW_TOKENS // 2)][1:]
    [(2, [0, 8388608]), (1, [0])]
    """
    at_once = max(1, WINDOW_TOKENS // sequence_length)
    for first in range(0, packed.sequences, at_once):
        last = min(first + at_once, packed.sequences)
        bounds = np.array([first, last]) * sequence_length
        own = slice(*np.searchsorted(packed.position, bounds).tolist())
        yield Packed(
            packed.document[own],
            packed.offset[own],
            packed.length[own],
            packed.position[own] - bounds[0],
            last - first,
        )


def pack_concat(lengths: Ints, sequence_length: int) -> Packed:
    """Documents joined and cut; what does not fill a sequence is left.

    >>> packed = pack_concat(np.array([5, 6, 2, 1]), 8)
    >>> packed.document.tolist(), packed.length.tolist(), packed.left
    ([0, 1], [5, 3], 6)
    """
    starts = np.cumsum(lengths) - lengths
    total = int(lengths.sum())
    sequences = total // sequence_length
    stop = sequences * sequence_length
    bounds = np.union1d(starts[starts < stop], np.arange(0, stop, sequence_length))
    document = np.searchsorted(starts, bounds, side="right") - 1
    return Packed(
        document=document,
        offset=bounds - starts[document],
        length=np.diff(bounds, append=stop),
        position=bounds,
        sequences=sequences,
        left=total - stop,
    )


def pack_best_fit(lengths: Ints, sequence_length: int) -> Packed:
    """Pieces where they leave the least room; a document is cut only when it is longer.

    >>> packed = pack_best_fit(np.array([5, 6, 2, 1]), 8)
    >>> packed.document.tolist(), packed.position.tolist(), packed.sequences
    ([0, 3, 1, 2], [0, 5, 8, 14], 2)
    """
    pieces = -(-lengths // sequence_length)
    document = np.repeat(np.arange(len(lengths)), pieces)
    offset = (np.arange(len(document)) - np.repeat(np.cumsum(pieces) - pieces, pieces)) * (
        sequence_length
    )
    length = np.minimum(lengths[document] - offset, sequence_length)
    sequence = _best_fit(length, sequence_length)
    sequences = int(sequence.max()) + 1 if len(sequence) else 0
    # Sequences by their first piece, pieces of a sequence by their order in the build.
    first = np.full(sequences, len(length))
    np.minimum.at(first, sequence, np.arange(len(length)))
    rank = np.empty(sequences, np.int64)
    rank[np.argsort(first)] = np.arange(sequences)
    order = np.lexsort((np.arange(len(length)), rank[sequence]))
    place, ordered = rank[sequence][order], length[order]
    ends = np.cumsum(ordered)
    begins = np.searchsorted(place, np.arange(sequences))
    inside = ends - ordered - (ends - ordered)[begins][place]
    return Packed(
        document[order], offset[order], ordered, place * sequence_length + inside, sequences
    )


def _best_fit(length: Ints, sequence_length: int) -> Ints:
    """The sequence of each piece. n log n for the pieces and the different rooms there are."""
    result = np.empty(len(length), np.int64)
    open_by_room: dict[int, list[int]] = {}
    rooms: list[int] = []  # those that some sequence has, ascending
    count = 0
    for piece in np.argsort(-length, kind="stable").tolist():
        size = int(length[piece])
        at = bisect_left(rooms, size)
        if at == len(rooms):
            chosen, room = count, sequence_length
            count += 1
        else:
            room = rooms[at]
            chosen = open_by_room[room].pop()
            if not open_by_room[room]:
                del open_by_room[room], rooms[at]
        result[piece] = chosen
        if left := room - size:
            if left not in open_by_room:
                insort(rooms, left)
                open_by_room[left] = []
            open_by_room[left].append(chosen)
    return result


def place_pieces(
    ids: npt.NDArray[Any], starts: Ints, packed: Packed, sequence_length: int, padding: int
) -> npt.NDArray[Any]:
    """The ids of all sequences; starts: where each document begins in ids."""
    result = np.full(packed.sequences * sequence_length, padding, ids.dtype)
    begins = starts[packed.document] + packed.offset
    for begin, length, position in zip(
        begins.tolist(), packed.length.tolist(), packed.position.tolist(), strict=True
    ):
        result[position : position + length] = ids[begin : begin + length]
    return result


def segments_of(packed: Packed, sequence_length: int) -> Ints:
    """The lengths of all segments: pieces, and after them what is padding in a sequence.

    >>> segments_of(pack_best_fit(np.array([5, 6, 2, 1]), 8), 8).tolist()
    [5, 1, 2, 6, 2]
    """
    stop = packed.sequences * sequence_length
    bounds = [
        packed.position,
        packed.position + packed.length,
        np.arange(0, stop + 1, sequence_length),
    ]
    return np.diff(np.unique(np.concatenate(bounds)))
