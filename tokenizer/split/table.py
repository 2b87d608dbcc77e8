"""Split patterns, compiled: a table that cuts text at one look-up a character.

    class   = pages[page_of[code_point >> 8], code_point & 255]
    state'  = transitions[state, class]

                      page_of             pages                      transitions
    U+0041  0x00 ->  [ 0 ]  ->  row 0: [ .. 0x41: 3 .. ]     class:   0    1    2    3  end
            0x41                 row 1: [ ............. ]     0 dead   0    0    0    0    0
                                                              1 start  5    0    2    7    0
                                                              2       5|A   .    .    .   A|0

A scan begins in state 1 at the beginning of a piece. It looks up one character after the other,
and after the last one the column of the end. The low 15 bits of an entry are the next state. Bit 15
(`ACCEPT_BEFORE`, A) says that a match ends *before* the character just looked up: its position is
recorded, and replaces an earlier record. When the next state is 0 the scan is over; the end column
always leads to 0. The piece is then what lies before the recorded position, and the next scan
begins there, which can be more than one character back. If nothing was recorded nothing matches
here: the first character is left out (a gap), and the next scan begins after it.

The match is decided one character late: look-aheads see one character more, `(?!\\S)`, `$`.

How it is made: the tree becomes a program of ordered alternatives (Thompson 1968, with priorities
as in Pike's machine). A state of the table is an ordered list of places in that program. Given the
next character, the list is followed to the places that can consume it; look-aheads are resolved on
the way, as the character they ask for is known. What stands after a match in that order has lower
priority than the match and is cut off: alternation takes the first alternative that matches, as
backtracking engines do. Code points with the same membership in all sets of the pattern share a
class. Possessive repeats are proved equal to greedy ones, or refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tokenizer.errors import PatternError
from tokenizer.split.dialect import Dialect
from tokenizer.split.pattern import parse_split_pattern
from tokenizer.split.pattern_tree import Node
from tokenizer.split.program import Consume, Fork, Look, Program
from tokenizer.split.repeats import prove_repeats
from tokenizer.split.unicode_properties import CODE_POINTS, CodePointSet

ACCEPT_BEFORE = 0x8000
DEAD = 0
START = 1
MAX_STATES = 1024
MAX_CLASSES = 255


@dataclass(frozen=True, eq=False)
class SplitTable:
    """A compiled split pattern; the module docstring says how to scan it.

    Attributes:
        covers_all_text: Proved that in any text a scan from anywhere records a match of at
            least one character, so that there are no gaps and no piece is empty. `split` is the
            slow specification.
    """

    pattern: str
    page_of: NDArray[np.uint16]
    """uint16[0x1100]: code point >> 8 to row of `pages`."""
    pages: NDArray[np.uint8]
    """uint8[pages, 256]: the class of each code point."""
    transitions: NDArray[np.uint16]
    """uint16[states, classes + 1], the last column for the end of the text."""
    covers_all_text: bool

    def classes_of(self, text: str) -> NDArray[np.uint8]:
        """The class of each character of `text`, in order; lone surrogates are allowed."""
        code_points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
        classes: NDArray[np.uint8] = self.pages[self.page_of[code_points >> 8], code_points & 255]
        return classes

    def spans(self, text: str) -> Iterator[tuple[int, int, bool]]:
        """(start, stop, matched) of each piece and gap of `text`, in order, in characters.

        Together they cover `text`. Unmatched characters that touch are one gap.
        """
        rows: list[list[int]] = self.transitions.tolist()
        end = self.transitions.shape[1] - 1
        classes = [*self.classes_of(text).tolist(), end]
        start = gap = 0
        while start < len(text):
            state, position, stop = START, start, 0
            while state != DEAD:
                entry = rows[state][classes[position]]
                if entry & ACCEPT_BEFORE:
                    stop = position
                state = entry & ~ACCEPT_BEFORE
                position += 1
            if not stop:
                start += 1
                continue
            if gap < start:
                yield gap, start, False
            yield start, stop, True
            start = gap = stop
        if gap < start:
            yield gap, start, False

    def split(self, text: str) -> list[str]:
        """The pieces of `text`, without what the pattern does not match."""
        return [text[start:stop] for start, stop, matched in self.spans(text) if matched]


def compile_split_pattern(pattern: str, dialect: Dialect = Dialect.FANCY) -> SplitTable:
    """The table of a split pattern; some 10 ms for the published ones.

    The language is that of `tokenizer.split.pattern`, read in `dialect`.

    Raises:
        PatternError: What is outside of the language; a possessive repeat that can not be proved
            equal to a greedy one; a pattern that can match the empty string (engines disagree on
            what to do then, and tiktoken crashes) or nothing at all; one that needs more than
            1024 states or 255 classes.
    """
    return compile_split_tree(pattern, parse_split_pattern(pattern, dialect))


def compile_split_tree(pattern: str, tree: Node) -> SplitTable:
    """The same for a tree already parsed; `pattern` is what errors and the table call it."""
    prove_repeats(pattern, tree)
    program = Program(pattern, tree)
    partition = _Partition(pattern, program.sets)
    transitions = _determinize(pattern, program, partition)
    return smallest_table(pattern, *partition.pages(), transitions)


def smallest_table(
    pattern: str,
    page_of: NDArray[np.uint16],
    pages: NDArray[np.uint16],
    transitions: NDArray[np.uint16],
) -> SplitTable:
    """The table of an automaton, without states, classes and pages that do the same as others.

    Raises:
        PatternError: Nothing matches.
    """
    transitions, new_class = _smallest(transitions)
    if len(transitions) <= START:
        raise PatternError("a pattern that nothing matches", 0, pattern)
    numbers: dict[bytes, int] = {}
    new_page = [numbers.setdefault(row.tobytes(), len(numbers)) for row in new_class[pages]]
    used = np.array(new_page, dtype=np.uint16)[page_of]
    distinct = np.frombuffer(b"".join(numbers), dtype=np.uint8).reshape(-1, 256)
    for table in (used, transitions):
        table.setflags(write=False)
    return SplitTable(pattern, used, distinct, transitions, _covers_all_text(transitions))


# -- classes of characters


class _Partition:
    """Code points grouped by membership in `sets`; classes are numbered as they first appear."""

    def __init__(self, pattern: str, sets: list[CodePointSet]) -> None:
        edges = np.sort(np.concatenate([[0], *(members.bounds for members in sets)]))
        distinct = np.concatenate(([True], np.diff(edges) > 0)) & (edges < CODE_POINTS)
        self.starts = edges[distinct]
        # bool[sets, intervals]; a class is a distinct column.
        inside = np.zeros((len(sets), self.starts.size), dtype=np.bool_)
        for row, members in zip(inside, sets, strict=True):
            row[:] = members.contains(self.starts)
        self.class_of, first = _numbered(np.packbits(inside, axis=0).T)
        self.classes = len(first)
        if self.classes > MAX_CLASSES:
            raise PatternError(f"a set of over {MAX_CLASSES} classes of characters", 0, pattern)
        # One int a set: bit c tells whether class c is in it.
        self.masks = [
            sum(1 << number for number, bit in enumerate(row) if bit)
            for row in inside[:, first].tolist()
        ]

    def pages(self) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
        """`page_of` and `pages` as in a table, but for the type of the latter."""
        lengths = np.diff(np.concatenate((self.starts, [CODE_POINTS])))
        classes = np.repeat(self.class_of.astype(np.uint8), lengths).reshape(-1, 256)
        numbers: dict[bytes, int] = {}
        page_of = [numbers.setdefault(row.tobytes(), len(numbers)) for row in classes]
        pages = np.frombuffer(b"".join(numbers), dtype=np.uint8).reshape(-1, 256)
        return np.array(page_of, dtype=np.uint16), pages.astype(np.uint16)


# -- the automaton


def _determinize(pattern: str, program: Program, partition: _Partition) -> NDArray[np.uint16]:
    """The transitions of all states that can be reached; see the module docstring."""
    end = 1 << partition.classes
    numbers: dict[tuple[int, ...], int] = {(): DEAD, (program.start,): START}
    rows = [[DEAD] * (partition.classes + 1)]
    pending: list[tuple[int, ...]] = [(program.start,)]
    for places in pending:
        accepts, moves = _follow(program, partition, places, end)
        if accepts and len(rows) == START:
            raise PatternError("a match of the empty string", 0, pattern)
        row = []
        for number in range(partition.classes):
            bit = 1 << number
            following = tuple(dict.fromkeys(then for mask, then in moves if mask & bit))
            if following not in numbers:
                numbers[following] = len(numbers)
                pending.append(following)
            row.append(numbers[following] | (ACCEPT_BEFORE if accepts & bit else 0))
        rows.append([*row, ACCEPT_BEFORE if accepts & end else 0])
        if len(numbers) > MAX_STATES:
            raise PatternError(f"an automaton of over {MAX_STATES} states", 0, pattern)
    return np.array(rows, dtype=np.uint16)


def _follow(
    program: Program, partition: _Partition, places: tuple[int, ...], end: int
) -> tuple[int, list[tuple[int, int]]]:
    """Where a match ends, and (mask, place after) of each step, by priority.

    All classes are followed at once: a mask has a bit for each class that may come next, and
    `end` for the end of the text. After a match the classes it holds for are dropped.
    """
    accepts = 0
    moves: list[tuple[int, int]] = []
    seen: dict[int, int] = {}
    stack = [(place, 2 * end - 1) for place in reversed(places)]
    while stack:
        place, mask = stack.pop()
        # A place met again has lower priority than the first time, and nothing new to offer.
        mask &= ~(accepts | seen.get(place, 0))
        if not mask:
            continue
        seen[place] = seen.get(place, 0) | mask
        step = program.instructions[place]
        if isinstance(step, Consume):
            moves.append((mask & partition.masks[step.members], step.then))
        elif isinstance(step, Look):
            allowed = partition.masks[step.members] | (end if step.at_end else 0)
            stack.append((step.then, mask & allowed))
        elif isinstance(step, Fork):
            stack.extend((target, mask) for target in reversed(step.targets))
        else:
            accepts |= mask
    return accepts, moves


def _smallest(transitions: NDArray[np.uint16]) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """The table without states and classes that do the same; the new number of each class.

    States are told apart as in Moore's algorithm. Both keep the order of first appearance, so the
    dead state stays 0 and the start 1.
    """
    accept = transitions & ACCEPT_BEFORE
    following = transitions & ~np.uint16(ACCEPT_BEFORE)
    block = np.zeros(len(transitions), dtype=np.uint16)
    while True:
        refined, first = _numbered(accept | block[following])
        if refined.max() == block.max():
            break
        block = refined
    table = (accept | block[following])[first]
    new_class, first = _numbered(table.T[:-1])
    return np.ascontiguousarray(table[:, [*first, -1]]), new_class.astype(np.uint8)


def _numbered(rows: NDArray[Any]) -> tuple[NDArray[np.uint16], list[int]]:
    """The number of each row among the distinct ones, by first appearance; where each appears.

    `np.unique` would do, but loads `numpy.ma`, half as long as compiling the whole pattern takes.
    """
    numbers: dict[tuple[int, ...], int] = {}
    found: list[int] = []
    first: list[int] = []
    for at, row in enumerate(map(tuple, rows.tolist())):
        number = numbers.setdefault(row, len(numbers))
        found.append(number)
        if number == len(first):
            first.append(at)
    return np.array(found, dtype=np.uint16), first


def _covers_all_text(transitions: NDArray[np.uint16]) -> bool:
    """Whether every scan records a match."""
    first = transitions[START, :-1] & ~np.uint16(ACCEPT_BEFORE)
    return bool(sure_states(transitions)[first].all())


def sure_states(transitions: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """bool[states]: those from which every scan records a match, whatever comes.

    It is the largest set of states that, whatever comes next, record a match or go on to a state
    of the set. Text is finite and the end goes on to state 0, so a scan in it has to record.
    """
    accept = (transitions & ACCEPT_BEFORE) != 0
    following = transitions & ~np.uint16(ACCEPT_BEFORE)
    sure: NDArray[np.bool_] = np.arange(len(transitions)) != DEAD
    while True:
        still = sure & (accept | sure[following]).all(axis=1)
        if (still == sure).all():
            return sure
        sure = still
