"""Runs a command as a contestant: wall time, or the peak memory of its whole process tree."""

import os
import subprocess
import threading
import time
from collections.abc import Sequence

import psutil

from bench.report import REPOSITORY

_POLL_SECONDS = 0.05


def wall_seconds(command: Sequence[str]) -> float:
    """How long the command takes, start-up included. Raises SystemExit when it fails."""
    started = time.perf_counter()
    _finish(_start(command))
    return time.perf_counter() - started


def peak_pss_bytes(command: Sequence[str]) -> int:
    """The most memory that all processes of the command have at one time.

    Proportional set size: pages that n processes share count 1/n in each, so the sum counts every
    page once. Looked at 20 times a second by a thread of ours, which slows the command down: not
    to be timed at the same time. Raises SystemExit when the command fails.
    """
    process = _start(command)
    peak = [0]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_POLL_SECONDS):
            peak[0] = max(peak[0], _tree_pss_bytes(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        _finish(process)
    finally:
        ended.set()
        watcher.join()
    return peak[0]


def _tree_pss_bytes(root: int) -> int:
    try:
        parent = psutil.Process(root)
        family = [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    return sum(map(_pss_bytes, family))


def _pss_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.NoSuchProcess, psutil.AccessDenied):  # it has just ended
        return 0


def _start(command: Sequence[str]) -> "subprocess.Popen[str]":
    # Compiled modules are kept, as an installed package has them, whatever the shell here says.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    return subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _finish(process: "subprocess.Popen[str]") -> None:
    _, error = process.communicate()
    if process.returncode:
        raise SystemExit(f"{process.args} ended with {process.returncode}:\n{error[-2000:]}")
