"""The process that local workers are forked from: it imports what they need once.

Light to import, so that a command can start it first and import what it needs itself meanwhile.
"""

import multiprocessing
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType, ModuleType
from typing import Any

_PRELOAD = ["pipeline.runners.preload"]
_STARTING = threading.RLock()  # what is changed for a moment is the process's

PRELOADED_TOKENIZER = "TOKENMILL_PRELOADED_TOKENIZER"
"""The variable that names the tokenizer of the fork server's workers; empty: the default."""

# A batch is several blocks of a few MB, freed before the next. By default glibc gives each back to
# the system and clears it anew, a sixth of a worker's time; Arrow's pool (mimalloc) as well. Its
# system pool is no way out: glibc before 2.38 does not find aligned blocks again that it was given
# back, and memory grows with the input (docs/decisions.md has the figures).
WORKER_ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": str(256 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
    "MALLOC_TOP_PAD_": str(16 << 20),
    "ARROW_DEFAULT_MEMORY_POOL": "mimalloc",
    "MIMALLOC_PURGE_DELAY": "-1",
    # NumPy's BLAS would start a spinning thread a core; nothing here multiplies matrices.
    "OPENBLAS_NUM_THREADS": "1",
    # A `tokenizer` or `transforms.py` of the caller's in the current folder is not ours (from
    # Python 3.11 on).
    "PYTHONSAFEPATH": "1",
}


def worker_context() -> Any:
    """The multiprocessing context of workers: a fork server where the system has one."""
    methods = multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")


def warm_up(tokenizer: str | None = None) -> None:
    """Starts the fork server, which starts its imports, without waiting. Harmless to call twice.

    Args:
        tokenizer: that workers will load, empty: the default; None: nobody knows. Where it is a
            bundled one they share one copy, and none waits for it; each loads any other by itself.
    """
    context = worker_context()
    if context.get_start_method() == "forkserver":
        from multiprocessing import forkserver

        context.set_forkserver_preload(_PRELOAD)
        named = {} if tokenizer is None else {PRELOADED_TOKENIZER: tokenizer}
        with for_workers(named):
            forkserver.ensure_running()


def remove_socket() -> None:
    """Removes the folder of the fork server's socket: for a process that is about to `os._exit`.

    Python does so on its own way out, which that skips: each command left a folder in $TMPDIR. No
    worker can be started afterwards.
    """
    if sys.modules.get("multiprocessing.forkserver"):
        from multiprocessing import util

        shutil.rmtree(util.get_temp_dir(), ignore_errors=True)


@contextmanager
def for_workers(more: Mapping[str, str] = MappingProxyType({})) -> Iterator[None]:
    """Processes that are started in the block inherit what workers need; the caller keeps its own.

    - WORKER_ENVIRONMENT and `more`, where the caller's environment says nothing else.
    - Interrupts are ignored: they go to the whole process group, and the parent alone answers them.
      A fork server that is still importing would print a traceback.
    - `__main__` is nobody's script. A child would import it again, and a script without a main
      guard would begin from the start in each worker.
    """
    with _STARTING:
        yield from _for_workers({**WORKER_ENVIRONMENT, **more})


def _for_workers(wanted: Mapping[str, str]) -> Iterator[None]:
    missing = {name for name in wanted if name not in os.environ}
    os.environ.update({name: wanted[name] for name in missing})
    in_main_thread = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if in_main_thread else None
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        if handler is not None:
            signal.signal(signal.SIGINT, handler)
        for name in missing:
            os.environ.pop(name, None)
