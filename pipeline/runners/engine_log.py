"""What engines and their clients log, which a command does not show: they say it a second time."""

import logging
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_Hook = Callable[[threading.ExceptHookArgs], object]


@contextmanager
def silence() -> Iterator[None]:
    """Has this whole process log nothing while the block runs.

    For the command line alone: in a caller's process it is the caller who says what is logged.
    Engines log hundreds of lines for a failure, and what is in them is told in one.
    """
    disabled, hook = logging.root.manager.disable, threading.excepthook
    logging.disable(logging.CRITICAL)  # for loggers, too, whose level an engine's client sets
    threading.excepthook = _without_beam(hook)
    try:
        yield
    finally:
        logging.disable(disabled)
        threading.excepthook = hook


def _without_beam(hook: _Hook) -> _Hook:
    """The hook for all threads but those of Beam's own code.

    Those that read what an engine or a worker says end with a traceback when it does, three of them
    for one killed worker: how the job ended is told elsewhere.
    """

    def tell(arguments: threading.ExceptHookArgs) -> None:
        frames = traceback.walk_tb(arguments.exc_traceback)
        names = [str(frame.f_globals.get("__name__")) for frame, _ in frames]
        if not any(name.startswith("apache_beam.") for name in names):
            hook(arguments)

    return tell
