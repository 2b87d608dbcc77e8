"""The process that local workers are forked from: it imports Beam once, for all of them.

Light to import, so that a command can start it first and import Beam itself meanwhile.
"""

import multiprocessing
import os
from typing import Any

_PRELOAD = ["pipeline.runners.preload"]
# A batch is several blocks of a few MB, freed before the next. By default glibc gives each back to
# the system and clears it anew, a sixth of a worker's time; the pool of Arrow's own choice as well.
WORKER_ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": str(256 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
    "MALLOC_TOP_PAD_": str(16 << 20),
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    # NumPy's BLAS would start a spinning thread a core; nothing here multiplies matrices.
    "OPENBLAS_NUM_THREADS": "1",
}


def worker_context() -> Any:
    """The multiprocessing context of workers: a fork server where the system has one."""
    methods = multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")


def warm_up() -> None:
    """Starts the fork server, which starts its imports, without waiting. Harmless to call twice."""
    for name, value in WORKER_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    context = worker_context()
    if context.get_start_method() == "forkserver":
        from multiprocessing import forkserver

        context.set_forkserver_preload(_PRELOAD)
        forkserver.ensure_running()
