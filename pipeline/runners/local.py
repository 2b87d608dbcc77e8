"""Local runs: one worker process a core, each doing the units that it claims.

    parent ──► fork server (imports once) ─┬─► worker 0: claims a unit, does it, claims the next
       │                                   └─► worker 1: claims a unit, does it, claims the next
       ├ waits on the workers' sentinels: a death is seen at once
       └ reads one number, the bytes that all of them have read

A worker's share is what it claims, the largest unit first, by counting up a number that all of them
see: so they end together, however fast each of them is.

Why not Beam's in-process runner: its threads share one GIL, which WARC parsing holds, its worker
processes hang the job for ever when one is killed, and one in each of these workers did nothing but
cost its import (docs/decisions.md).
"""

import contextlib
import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.errors import WorkerDiedError
from pipeline.failures import known_error, summary
from pipeline.runners import Running, Tick
from pipeline.runners.fork_server import for_workers, warm_up, worker_context
from transforms.errors import UnitFailedError
from transforms.passes.work_pass import Pass, WorkUnit, prepare_worker, progress_to, run_unit
from transforms.shards.build import Build

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

_POLL_SECONDS = 0.25
_NOT_KNOWN = 255  # what multiprocessing says of a child whose fork server is gone
_SERVER_KILLED = (
    "the process that starts workers was killed; often the system is out of memory: try fewer "
    "--workers"
)
_END_SECONDS = 5.0
_REPORT_CHARACTERS = 30_000  # less than a pipe holds: a worker must never wait to be heard


class UnitClaims:
    """Units that several processes divide among themselves, the largest first, each unit once.

    Args:
        context: the multiprocessing context of the processes that it is handed to when they
            start.
    """

    def __init__(self, units: Sequence[WorkUnit], context: Any) -> None:
        self._units = sorted(units, key=lambda unit: (-unit.size_bytes, unit.name))
        # A process killed while it holds the lock stops the others: the parent ends them anyway.
        self._claimed = context.Value("q", 0)
        self._read_bytes = context.Value("q", 0)

    @property
    def read_bytes(self) -> int:
        """Raw bytes of inputs that all processes have read so far."""
        return int(self._read_bytes.value)

    def note_read(self, raw_bytes: int) -> None:
        """Adds to `read_bytes`."""
        with self._read_bytes.get_lock():
            self._read_bytes.value += raw_bytes

    def __iter__(self) -> Iterator[WorkUnit]:
        """The units that this process claims, each when it is asked for."""
        while True:
            with self._claimed.get_lock():
                index = self._claimed.value
                self._claimed.value += 1
            if index >= len(self._units):
                return
            yield self._units[index]


def run_on_workers(
    work: Pass, units: Sequence[WorkUnit], build: Build, running: Running, on_tick: Tick
) -> None:
    """Does the units in worker processes; returns when all were tried.

    Raises:
        WorkerDiedError: within a second of the death of a worker; the others are ended first.
        TokenmillError: as a worker raised it.
    """
    warm_up()
    context = worker_context()
    alive: dict[int, tuple[BaseProcess, Connection]] = {}
    count = min(running.workers, len(units))
    started: list[BaseProcess] = []
    pids: list[int] = []
    try:
        claims = UnitClaims(units, context)
        for index in range(count):
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(
                target=_work,
                args=(claims, work, build, running, count, sender),
                name=f"tokenmill-worker-{index}",
                daemon=True,
            )
            _start(process)
            sender.close()
            started.append(process)
            pids.append(process.pid or 0)
            alive[process.sentinel] = (process, receiver)
        while alive:
            ended = multiprocessing.connection.wait(list(alive), _POLL_SECONDS)
            for sentinel in [sentinel for sentinel in alive if sentinel in ended]:
                _conclude(*alive.pop(sentinel))
            on_tick(claims.read_bytes)
    finally:
        _end(started, pids)


def _start(process: "BaseProcess") -> None:
    try:
        with for_workers():
            process.start()
    except (EOFError, ConnectionError) as error:
        raise WorkerDiedError(
            f"{process.name} did not start: {_SERVER_KILLED}. What is committed is kept; run the "
            "same command again to do the rest"
        ) from error


def _end(processes: Sequence["BaseProcess"], pids: Sequence[int]) -> None:
    """Ends workers: politely, then for good. None of them may keep the command from ending.

    Where the fork server is dead, nobody knows of a worker whether it lives: its number does.
    """
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(_END_SECONDS)
        if process.is_alive():
            process.kill()
            process.join()
    if any(process.exitcode == _NOT_KNOWN for process in processes):
        for pid in filter(None, pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _conclude(process: "BaseProcess", receiver: "Connection") -> None:
    process.join()
    report: str | None = ""
    try:
        if receiver.poll():
            report = receiver.recv()
    except EOFError:
        pass  # it died without a word
    finally:
        receiver.close()
    if report is None and process.exitcode == 0:
        return
    if report:
        logging.getLogger(__name__).info("%s failed:\n%s", process.name, report)
        raise known_error(report) or WorkerDiedError(
            f"{process.name} failed: {summary(report)}. What was committed is kept; run the same "
            "command again to do the rest. --verbose shows where it happened"
        )
    raise WorkerDiedError(
        f"{process.name} (process {process.pid}) died: {_cause(process.exitcode)}. What it had "
        "committed is kept; run the same command again to do the rest"
    )


def _cause(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        hint = ", often the system out of memory: try fewer --workers" if name == "SIGKILL" else ""
        return f"killed by {name}{hint}"
    if exitcode == _NOT_KNOWN and worker_context().get_start_method() == "forkserver":
        return _SERVER_KILLED
    return f"exit code {exitcode}"


def _work(
    claims: UnitClaims,
    work: Pass,
    build: Build,
    running: Running,
    workers: int,
    sender: "Connection",
) -> None:
    """The worker's main: does what it claims; sends None, or what went wrong."""
    # An interrupt goes to the whole process group; the parent alone answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent()
    if running.max_memory_bytes is not None:
        _limit_memory(running.max_memory_bytes // workers)
    logging.getLogger().setLevel(logging.INFO if running.verbose else logging.CRITICAL)
    try:
        with progress_to(claims.note_read):
            prepare_worker(work, build)
            for unit in claims:
                with contextlib.suppress(UnitFailedError):  # why is written, for all to read
                    run_unit(work, unit, build)
    except BaseException:  # noqa: BLE001 (this process ends here; the parent is told)
        sender.send(traceback.format_exc()[-_REPORT_CHARACTERS:])
        sender.close()
        sys.exit(1)
    sender.send(None)
    sender.close()


def _limit_memory(limit_bytes: int) -> None:
    """Makes an allocation beyond the limit a MemoryError, which costs its unit and is named."""
    import resource

    resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, limit_bytes))


def _die_with_parent() -> None:
    """Ends this process when the parent is gone, even by SIGKILL: nobody would collect it."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
