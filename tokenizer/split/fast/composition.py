"""Two split tables as one: first A cuts the text, then B cuts each of A's pieces.

Both are made to cover all text before, their gaps matches like others (`without_gaps`). The table
of both has pairs of states, one of A and one of B, that advance together:

*   Where A's piece ends, B sees the end of its text, which decides the match.
*   Where B's match ends inside of A's piece, the next scan begins with A at its start, as if A's
    piece began there. That is right only if A would end this piece where it was going to.

What is composed therefore has to meet two conditions, and is left alone where it does not:

1.  A never steps back: each of its pieces ends before the very character that says so. Otherwise B
    would have gone on beyond the end.
2.  Wherever a match of B may end inside of A's piece, A goes on from its start as it does from the
    state it is in: the next character takes it to the same state. A stage of runs, `\\p{Han}+`, is
    in one state all along. `\\p{N}{1,3}` counts and is not; but nothing that is usual after it
    ends a match inside of three digits.

A match that may end is one that the table records and that no later one of the same scan is bound
to replace (`sure_states`).
"""

import numpy as np
from numpy.typing import NDArray

from tokenizer.split.table import (
    ACCEPT_BEFORE,
    DEAD,
    MAX_CLASSES,
    MAX_STATES,
    START,
    SplitTable,
    smallest_table,
    sure_states,
)

_STATE = ACCEPT_BEFORE - 1


def compose(first: SplitTable, second: SplitTable) -> SplitTable | None:
    """One table that cuts any text as `second` does in each piece and gap of `first`.

    It covers all text. None where the two do not meet the conditions above.
    """
    rows_first, rows_second = without_gaps(first), without_gaps(second)
    if rows_first is None or rows_second is None:
        return None
    page_of, pages, pairs = _common_classes(first, second)
    if len(pairs) > MAX_CLASSES:
        return None
    transitions = _product(rows_first.tolist(), rows_second.tolist(), pairs)
    if transitions is None:
        return None
    pattern = f"{first.pattern} then {second.pattern}"
    return smallest_table(pattern, page_of, pages, transitions)


def without_gaps(table: SplitTable) -> NDArray[np.uint16] | None:
    """Transitions that match the gaps of `table` too; its own where it has none.

    A gap ends where a match begins, which can be seen one character later: then the place is on
    record already, and is replaced if it was none. None for a table with a scan that is in doubt
    for longer, so that two of them would be under way.

    A state is a pair: (_IN_MATCH, s) is a scan in state s that has recorded, or is sure to;
    (_IN_DOUBT, s) one that is not, begun with the piece; (_IN_GAP, s) a gap whose last character
    may begin the match of a scan in state s, or can not (0).
    """
    if table.covers_all_text:
        return table.transitions
    rows: list[list[int]] = table.transitions.tolist()
    sure = sure_states(table.transitions).tolist()
    end = len(rows[0]) - 1
    numbers = {_OVER: DEAD, (_AT_START, START): START}
    made = [[DEAD] * (end + 1)]
    pending = [(_AT_START, START)]
    for kind, state in pending:
        row = []
        for column in range(end + 1):
            step = _step(rows, sure, kind, state, column, column == end)
            if step is None:
                return None
            accept, following = step
            if following not in numbers:
                numbers[following] = len(numbers)
                pending.append(following)
            row.append(accept | numbers[following])
        made.append(row)
    return np.array(made, dtype=np.uint16)


_AT_START, _IN_MATCH, _IN_DOUBT, _IN_GAP = range(4)
_OVER = (_IN_MATCH, DEAD)


def _step(
    rows: list[list[int]], sure: list[bool], kind: int, state: int, column: int, at_end: bool
) -> tuple[int, tuple[int, int]] | None:
    """Accept bit and state of an entry; None where a scan is in doubt for too long."""
    entry = rows[state][column]
    accept, following = entry & ACCEPT_BEFORE, entry & _STATE
    if kind == _IN_MATCH:
        return accept, (_IN_MATCH, following)
    begins = rows[START][column] & _STATE
    if kind == _AT_START:
        if begins == DEAD:
            return 0, _OVER if at_end else (_IN_GAP, DEAD)
        return 0, (_IN_MATCH if sure[begins] else _IN_DOUBT, begins)
    if state != DEAD and (accept or following != DEAD):
        if not accept and not sure[following]:
            return None
        # The match is real: this piece, or what ended the gap before its last character.
        return (accept, (_IN_MATCH, following)) if kind == _IN_DOUBT else (0, _OVER)
    if at_end:
        return ACCEPT_BEFORE, _OVER
    if begins == DEAD:
        return 0, (_IN_GAP, DEAD)
    return ACCEPT_BEFORE, _OVER if sure[begins] else (_IN_GAP, begins)


def _common_classes(
    a: SplitTable, b: SplitTable
) -> tuple[NDArray[np.uint16], NDArray[np.uint16], list[tuple[int, int]]]:
    """page_of and pages with classes that neither table tells apart, and those as (a's, b's)."""
    both = a.page_of.astype(np.int64) * len(b.pages) + b.page_of
    used, page_of = _numbered(both, len(a.pages) * len(b.pages))
    classes = a.pages[used // len(b.pages)].astype(np.int64) << 8 | b.pages[used % len(b.pages)]
    found, pages = _numbered(classes, 1 << 16)
    return page_of, pages, [(pair >> 8, pair & 255) for pair in found.tolist()]


def _numbered(
    values: NDArray[np.int64], limit: int
) -> tuple[NDArray[np.int64], NDArray[np.uint16]]:
    """The distinct values in ascending order, and for each value its place among them."""
    seen = np.zeros(limit, dtype=np.bool_)
    seen[values] = True
    return np.flatnonzero(seen), (np.cumsum(seen) - 1).astype(np.uint16)[values]


def _product(
    first: list[list[int]], second: list[list[int]], classes: list[tuple[int, int]]
) -> NDArray[np.uint16] | None:
    """The transitions of both; None where a condition of the module docstring does not hold."""
    columns = [*classes, (len(first[0]) - 1, len(second[0]) - 1)]
    numbers = {(START, START): START}
    rows = [[DEAD] * len(columns)]
    doubtful = []  # (state, column) where B's match may end and A would not begin as it goes on
    for a, b in (pending := [(START, START)]):
        row = []
        for column, (class_first, class_second) in enumerate(columns):
            entry = first[a][class_first]
            if entry == ACCEPT_BEFORE or (a == START and column == len(classes)):
                row.append(second[b][-1])
                continue
            after = entry & _STATE, second[b][class_second] & _STATE
            if after[0] in (DEAD, START):
                return None
            accept = second[b][class_second] & ACCEPT_BEFORE
            if accept and after[0] != first[START][class_first] & _STATE:
                doubtful.append((len(rows), column))
            if after[1] == DEAD:
                row.append(accept)
                continue
            if after not in numbers:
                numbers[after] = len(numbers) + 1
                pending.append(after)
            row.append(accept | numbers[after])
        rows.append(row)
        if len(rows) > MAX_STATES:
            return None
    transitions = np.array(rows, dtype=np.uint16)
    sure = sure_states(transitions)
    if not all(sure[transitions[place] & _STATE] for place in doubtful):
        return None
    # What is bound to be replaced need not be recorded, and states are fewer without.
    transitions[sure[transitions & _STATE]] &= _STATE
    return transitions
