"""How cost grows with input, as a ratio: no clock of a busy machine decides a test."""

import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")

_ROUNDS = 3


def growth(run: Callable[[_T], object], small: _T, large: _T, *, limit: float) -> float:
    """Processor time for the large input over that for the small one, each the best of three.

    The large input is not run again once it is below the limit: more rounds would find less yet.
    """
    cheap = min(_seconds(run, small) for _ in range(_ROUNDS))
    found = float("inf")
    for _ in range(_ROUNDS):
        found = min(found, _seconds(run, large) / cheap)
        if found < limit:
            break
    return found


def _seconds(run: Callable[[_T], object], given: _T) -> float:
    start = time.process_time()
    run(given)
    return max(time.process_time() - start, 1e-4)
