"""What engines and their clients log, which a command does not show: they say it a second time."""

import logging
import threading
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
    threading.excepthook = _without_readers(hook)
    try:
        yield
    finally:
        logging.disable(disabled)
        threading.excepthook = hook


def _without_readers(hook: _Hook) -> _Hook:
    """The hook for all threads but those in which Beam reads what an engine says.

    They end with a traceback when the engine does: how the job ended is told elsewhere.
    """

    def tell(arguments: threading.ExceptHookArgs) -> None:
        thread = arguments.thread
        if thread is None or not thread.name.startswith("wait_until_finish"):
            hook(arguments)

    return tell
