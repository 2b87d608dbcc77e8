"""Where pretokens of ASCII text end, as far as three bytes tell.

To run a split table takes a look-up a character, each waiting for the one before. For nearly all
places none of it is needed: whatever came before, `d| m` is cut before the space and `mi|l` is not.
So each *window* of three ASCII bytes gets a verdict on the place after its first byte, and the
native engine finds verdicts for 64 places at once. Three examples, by cl100k_base:

    I| c     CUT | SINGLE      a pretoken ends here, however it began
    /| a b   CUT               "/ab" is one pretoken: it ends here only if it began before the "/"
    '| s o   CUT | UNDECIDED   a pretoken that begins here is "'s" alone, where any other "s" before
                               an "o" goes on: later windows would be wrong, the table must be run

    bits of a window           does the pretoken end here that began ...
    CUT SINGLE UNDECIDED       with the window's first byte     earlier
     -    -        -           no                               no
    CUT   -        -           no                               yes
     -  SINGLE     -           yes                              no
    CUT SINGLE     -           yes                              yes
     -    -    UNDECIDED       run the table                    no
    CUT   -    UNDECIDED       run the table                    run the table
     -  SINGLE UNDECIDED       COUNT: it ends here if it has max_run bytes, all of one group

    text       I   c a n ' t   w a l k ,   ' s o '
    earlier      c c . . c c c c . . . c c c u . c       c: CUT      u: CUT | UNDECIDED
    first byte   c . . . c . c . . . . c c . u . c       c: SINGLE   u: UNDECIDED

Which of the two columns counts is known once it is known whether the place before is a cut.

COUNT. Numbers are cut at every third digit. Where a pretoken with one byte of a group is sure to
have nothing else before it, and to end after so many of them, windows of two of that group and any
other are COUNT.

RUN. Indented lines: what a line break before blanks is depends on what follows the blanks, not on
which they are or how many. Where that is so, a window of CUT | UNDECIDED whose last two bytes are
of one group has RUN as well, and a window of the same two groups is CUT | SINGLE if what follows
the blanks makes it so. All pairs of groups that have RUN share their blanks and what makes it so.

MAJORITY. Bytes are taken together in groups, so that a window is a number of nine bits. Those with
the most similar columns in the table share one; where the classes of a group differ, windows of it
are undecided more often, never wrong. A window of CUT | UNDECIDED that is CUT | SINGLE where its
second byte is of the class of the largest number of its group has MAJORITY as well.

What each is worth alone, as time that encoding takes more without it (web text, ASCII web text,
Python), with o200k_base, where equal engines differed by 1.4%: COUNT 3, 2, 6%; RUN 3, 3, 22%;
MAJORITY 8, 14, 12%; all three 8, 14, 29%. With cl100k_base, where they differed by up to 10%, only
RUN on Python is clear of that: 23%.

All of it is proved, not learned. From each three bytes a pretoken may begin with, everything that
can happen in the table is followed at once, and each place gets what is sure to happen from the
state there. A window is decided for pretokens that began earlier when all beginnings agree on it. A
beginning that can come to a window in several ways, and to one that is decided otherwise, is
undecided.
"""

from functools import reduce
from itertools import combinations, product
from operator import or_
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tokenizer.split.table import ACCEPT_BEFORE, DEAD, START, SplitTable, sure_states

GROUPS = 8
_ALIKE = 0.5  # the distance up to which classes are one group even when there is room for two
CUT, SINGLE, UNDECIDED, RUN, MAJORITY = 1, 2, 4, 8, 16
MINORITY = 8
COUNT = SINGLE | UNDECIDED  # without CUT these two would mean nothing
_MAX_COUNT = 8

# What happens at a place, in a state: the pretoken ends there, or does not, or it depends.
_GOES_ON, _ENDS, _DEPENDS = range(3)
_Place = tuple[int, int, int]


class Windows(NamedTuple):
    """The verdicts on text cut by a table.

    Attributes:
        group_of: uint8[128], the group of each ASCII byte, plus MINORITY when more of the group
            are of another class.
        verdicts: uint8[512]; the window of groups a, b, c is number a << 6 | b << 3 | c.
        max_run: How many bytes COUNT allows; 0 where there is none.
    """

    group_of: NDArray[np.uint8]
    verdicts: NDArray[np.uint8]
    max_run: int


def windows_of(table: SplitTable) -> Windows:
    """Proves the verdicts from a table."""
    classes = table.classes_of("".join(map(chr, range(128))))
    groups = _groups(table.transitions, np.bincount(classes))
    group_of_class = {
        one: number | MINORITY * (one != group[0])
        for number, group in enumerate(groups)
        for one in group
    }
    group_of = np.array([group_of_class[one] for one in classes.tolist()], dtype=np.uint8)
    paths = _Paths(table.transitions, groups)
    verdicts = _verdicts(paths)
    _add_runs(table.transitions, groups, verdicts)
    return Windows(group_of, verdicts, _count(paths, verdicts))


def _groups(transitions: NDArray[np.uint16], bytes_of: NDArray[np.int64]) -> list[list[int]]:
    """At most GROUPS groups of the classes that have ASCII bytes: the closest two become one.

    How far two classes are apart is how much of random text of up to two bytes leads to a state
    where they lead on to different ones. The class with the most bytes comes first in its group.
    """
    classes = bytes_of.nonzero()[0]
    share = bytes_of[classes] / bytes_of.sum()
    following = transitions[:, classes] & ~np.uint16(ACCEPT_BEFORE)
    weight = np.zeros(len(transitions))
    weight[START] = 1
    for _ in range(2):
        np.add.at(weight, following, np.outer(weight, share))
    columns = transitions[:, classes].T
    distance = (columns[:, None] != columns[None]) @ weight
    groups = [[one] for one in range(len(classes))]
    while len(groups) > 1:
        apart, one, other = min(
            (distance[np.ix_(one, other)].max(), one, other)
            for one, other in combinations(groups, 2)
        )
        if apart > _ALIKE and len(groups) <= GROUPS:
            break
        one += other
        groups.remove(other)
    return [sorted(classes[group].tolist(), key=lambda one: -bytes_of[one]) for group in groups]


def _outcomes(transitions: NDArray[np.uint16]) -> NDArray[np.int64]:
    """int64[states, classes, classes]: what happens before a byte, and one more after it."""
    sure = sure_states(transitions)
    following = transitions & ~np.uint16(ACCEPT_BEFORE)
    accepts = transitions >= ACCEPT_BEFORE
    after = following[following]  # [states, classes, classes]
    # A match that ends here counts unless a longer one is sure to come.
    longer = accepts[following] | sure[after]
    outcomes = np.where(longer, _GOES_ON, np.where(after == DEAD, _ENDS, _DEPENDS))
    outcomes[~accepts & (following != DEAD)] = _GOES_ON
    outcomes[~accepts & (following == DEAD)] = _DEPENDS
    outcomes[accepts & (following == DEAD)] = _ENDS
    return outcomes


def _by_group(
    outcomes: NDArray[np.int64], firsts: list[list[int]], seconds: list[list[int]]
) -> list[list[list[int]]]:
    """[states][GROUPS][GROUPS]: the same where all classes of two groups agree, else _DEPENDS."""
    by_group = np.full((len(outcomes), GROUPS, GROUPS), _DEPENDS)
    for (a, first), (b, second) in product(enumerate(firsts), enumerate(seconds)):
        block = outcomes[:, first][:, :, second].reshape(len(outcomes), -1)
        agree = (block == block[:, :1]).all(axis=1)
        by_group[agree, a, b] = block[agree, 0]
    listed: list[list[list[int]]] = by_group.tolist()
    return listed


class _Paths:
    """All that can happen in ASCII text, a group of bytes at a time.

    A place is (state, a, b): the state after a byte of group a, and a byte of group b follows.
    """

    def __init__(self, transitions: NDArray[np.uint16], groups: list[list[int]]) -> None:
        self.groups = range(len(groups))
        outcomes = _outcomes(transitions)
        self.outcomes = _by_group(outcomes, groups, groups)
        self.of_majority = _by_group(outcomes, [group[:1] for group in groups], groups)
        following = transitions & ~np.uint16(ACCEPT_BEFORE)
        self.following = [[set(row[group].tolist()) for group in groups] for row in following]

    def begin(self, a: int, b: int, c: int) -> tuple[int, set[_Place]]:
        """What happens after the first byte of a pretoken, and the places it goes on to."""
        states = self.following[START][a]
        outcomes_here = {self.outcomes[state][b][c] for state in states}
        if outcomes_here != {_GOES_ON}:
            return outcomes_here.pop() if len(outcomes_here) == 1 else _DEPENDS, set()
        return _GOES_ON, {(then, b, c) for state in states for then in self.following[state][b]}

    def ends_for_majority(self, a: int, b: int, c: int) -> bool:
        """Whether one that begins with the first byte ends there before a byte of the majority."""
        return all(self.of_majority[state][b][c] == _ENDS for state in self.following[START][a])

    def max_run(self, group: int) -> int:
        """The bytes of a group that are a pretoken, whatever comes next; 0 where it depends."""
        states = self.following[START][group]
        for count in range(1, _MAX_COUNT + 1):
            outcomes_here = {
                self.outcomes[state][group][c] for state in states for c in self.groups
            }
            if outcomes_here != {_GOES_ON}:
                return count if outcomes_here == {_ENDS} else 0
            states = set().union(*(self.following[state][group] for state in states))
        return 0

    def later(self, places: set[_Place]) -> dict[_Place, int]:
        """What can happen from each of the places on, and from those they lead to.

        Bit 512 k + window is set where k can happen in that window, bit 512 (3 + k) + window where
        it can if the second byte is of the majority.
        """
        happens: dict[_Place, int] = {}
        leads_to: dict[_Place, set[_Place]] = {}
        pending = list(places)
        for place in pending:
            state, a, b = place
            happens[place], leads_to[place] = 0, set()
            for c in self.groups:
                outcome = self.outcomes[state][b][c]
                of_majority = 3 + self.of_majority[state][b][c]
                happens[place] |= (1 << 512 * outcome | 1 << 512 * of_majority) << (
                    a << 6 | b << 3 | c
                )
                if outcome == _GOES_ON:
                    leads_to[place] |= {(then, b, c) for then in self.following[state][b]}
            new = leads_to[place] - places
            places |= new
            pending += new
        while True:
            changed = False
            for place in reversed(pending):
                all_of_it = reduce(or_, (happens[one] for one in leads_to[place]), happens[place])
                changed |= all_of_it != happens[place]
                happens[place] = all_of_it
            if not changed:
                return happens


def _verdicts(paths: _Paths) -> NDArray[np.uint8]:
    begun = {
        a << 6 | b << 3 | c: paths.begin(a, b, c) for a, b, c in product(paths.groups, repeat=3)
    }
    later = paths.later({place for _, places in begun.values() for place in places})
    every = (1 << 512) - 1
    can: dict[int, list[int]] = {}  # for each beginning: the windows where it can go on, end, ...
    reached = minority = 0
    agreed = [0, 0, 0]
    for window, (_, places) in begun.items():
        all_of_it = reduce(or_, (later[place] for place in places), 0)
        goes_on, ends, depends = can[window] = [all_of_it >> 512 * k & every for k in range(3)]
        mixed = goes_on & (ends | depends) | ends & depends
        agreed = [sets | more & ~mixed for sets, more in zip(agreed, can[window], strict=True)]
        reached |= goes_on | ends | depends
        minority |= all_of_it >> 512 * (3 + _GOES_ON) | all_of_it >> 512 * (3 + _DEPENDS)
    goes_on = agreed[_GOES_ON] & ~agreed[_ENDS] & ~agreed[_DEPENDS]
    ends = agreed[_ENDS] & ~agreed[_GOES_ON] & ~agreed[_DEPENDS]
    verdicts = np.zeros(512, dtype=np.uint8)
    for window, (first, _) in begun.items():
        goes_here, ends_here, depends_here = can[window]
        at_odds = goes_on & (ends_here | depends_here) | ends & (goes_here | depends_here)
        if not goes_on >> window & 1:
            verdicts[window] |= CUT
        if first == _ENDS:
            verdicts[window] |= SINGLE
        if first == _DEPENDS or at_odds or (reached & ~goes_on & ~ends) >> window & 1:
            verdicts[window] |= UNDECIDED
        if verdicts[window] & CUT and verdicts[window] & UNDECIDED and not minority >> window & 1:
            verdicts[window] |= MAJORITY * paths.ends_for_majority(
                window >> 6, window >> 3 & 7, window & 7
            )
    return verdicts


def _add_runs(
    transitions: NDArray[np.uint16], groups: list[list[int]], verdicts: NDArray[np.uint8]
) -> None:
    """Makes windows of CUT and UNDECIDED that are so RUN as well; all of them end alike."""
    by_pair = verdicts.reshape(GROUPS, GROUPS, GROUPS)
    alike: dict[tuple[tuple[int, ...], tuple[int, ...]], list[int]] = {}
    for a, first in enumerate(groups):
        runs: dict[tuple[int, ...], list[int]] = {}
        for b in range(len(groups)):
            ends = tuple((by_pair[a, b] == CUT | SINGLE).nonzero()[0].tolist())
            if ends and by_pair[a, b, b] == CUT | UNDECIDED:
                runs.setdefault(ends, []).append(b)
        for ends, blanks in runs.items():
            for some in (blanks, *([one] for one in blanks)):
                run = [one for b in some for one in groups[b]]
                if _leads_nowhere_else(transitions, first, run):
                    alike.setdefault((tuple(some), ends), []).append(a)
                    break
    if alike:
        (chosen, _), befores = max(alike.items(), key=lambda one: len(one[0][0]) * len(one[1]))
        for a, b in product(befores, chosen):
            by_pair[a, b, b] |= RUN


def _leads_nowhere_else(transitions: NDArray[np.uint16], first: list[int], run: list[int]) -> bool:
    """Whether more of `run` after `first` leads to no other states than one, and accepts none."""
    following = transitions & ~np.uint16(ACCEPT_BEFORE)
    for before in set(following[:, first].ravel().tolist()):
        states = set(following[before, run].tolist())
        if not states.issuperset(transitions[list(states)][:, run].ravel().tolist()):
            return False
    return True


def _count(paths: _Paths, verdicts: NDArray[np.uint8]) -> int:
    """Makes the windows of one group COUNT; returns how many bytes they allow, or 0."""
    used = len(paths.groups)
    by_group = verdicts.reshape(GROUPS, GROUPS, GROUPS)[:used, :used, :used]
    for group in paths.groups:
        others = [other for other in paths.groups if other != group]
        apart = (by_group[others, group] == CUT | SINGLE).all()
        if apart and (max_run := paths.max_run(group)) > 1:
            by_group[group, group] = COUNT
            return max_run
    return 0
