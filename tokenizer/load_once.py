"""`load_once`: equal arguments load once in a process, whichever threads ask."""

import functools
import os
import threading
from collections.abc import Callable
from typing import TypeVar

_Loaded = TypeVar("_Loaded")


def load_once(maxsize: int) -> Callable[[Callable[..., _Loaded]], Callable[..., _Loaded]]:
    """A decorator: results are kept, and threads that ask at the same time wait for one load.

    functools.lru_cache alone lets threads that ask at the same time each load.

    Args:
        maxsize: How many results are kept.
    """

    def decorate(load: Callable[..., _Loaded]) -> Callable[..., _Loaded]:
        kept = functools.lru_cache(maxsize)(load)
        lock = threading.Lock()

        def renew_lock() -> None:
            nonlocal lock  # a thread that a forked child does not have may have held it
            lock = threading.Lock()

        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=renew_lock)

        @functools.wraps(load)
        def loaded(*arguments: object) -> _Loaded:
            with lock:
                return kept(*arguments)

        return loaded

    return decorate
