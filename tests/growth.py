"""How cost grows with input, as a ratio: no clock of a busy machine decides a test."""

import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")

_ROUNDS = 3


def growth(run: Callable[[_T], object], small: _T, large: _T) -> float:
    """Processor time for the large input over that for the small one, each the best of three."""
    return _best(run, large) / _best(run, small)


def _best(run: Callable[[_T], object], given: _T) -> float:
    return min(_seconds(run, given) for _ in range(_ROUNDS))


def _seconds(run: Callable[[_T], object], given: _T) -> float:
    start = time.process_time()
    run(given)
    return max(time.process_time() - start, 1e-4)
