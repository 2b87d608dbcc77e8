"""Local runs: one worker process a core, each running Beam's in-process runner on its share.

    parent ──► fork server (imports Beam once) ─┬─► worker 0: claimed units ─ TokenizeShards
       │                                        └─► worker 1: claimed units ─ TokenizeShards
       ├ waits on the workers' sentinels: a death is seen at once
       └ reads progress from the receipts

A worker's share is what it claims, the largest unit first, by counting up a number that all of them
see: so they end together, however fast each of them is.

Why not one FnApiRunner with many workers: its threads share one GIL, which WARC parsing holds,
and its worker processes hang the job for ever when one is killed (docs/decisions.md).
"""

import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.failures import known_error, summary
from pipeline.fork_server import warm_up, worker_context
from tokenizer.errors import WorkerDiedError
from transforms.settings import TokenizeSettings, WorkUnit

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

_POLL_SECONDS = 0.25
_REPORT_CHARACTERS = 30_000  # less than a pipe holds: a worker must never wait to be heard


class UnitClaims:
    """Units that several processes divide among themselves, the largest first, each unit once.

    context: the multiprocessing context of the processes that it is handed to when they start.
    """

    def __init__(self, units: Sequence[WorkUnit], context: Any) -> None:
        self._units = sorted(units, key=lambda unit: (-unit.size_bytes, unit.name))
        # A process killed while it holds the lock stops the others: the parent ends them anyway.
        self._claimed = context.Value("q", 0)

    def __iter__(self) -> Iterator[WorkUnit]:
        """The units that this process claims, each when it is asked for."""
        while True:
            with self._claimed.get_lock():
                index = self._claimed.value
                self._claimed.value += 1
            if index >= len(self._units):
                return
            yield self._units[index]


# Of this worker: a lock can be inherited but not pickled, and Beam pickles what it runs.
_claims: UnitClaims | None = None


def _claim(_: object) -> Iterator[WorkUnit]:
    assert _claims is not None
    yield from _claims


def run_workers(
    units: Sequence[WorkUnit],
    output: str,
    settings: TokenizeSettings,
    workers: int,
    verbose: bool,
    on_tick: Callable[[], None],
) -> None:
    """Tokenizes the units in worker processes; returns when all are committed.

    on_tick: called several times a second. Raises WorkerDiedError within a second of the death of
    a worker, TokenmillError as a worker raised it; the other workers are ended first.
    """
    warm_up()
    context = worker_context()
    running: dict[int, tuple[BaseProcess, Connection]] = {}
    try:
        claims = UnitClaims(units, context)
        for index in range(min(workers, len(units))):
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(
                target=_work,
                args=(claims, output, settings, verbose, sender),
                name=f"tokenmill-worker-{index}",
                daemon=True,
            )
            process.start()
            sender.close()
            running[process.sentinel] = (process, receiver)
        while running:
            ended = multiprocessing.connection.wait(list(running), _POLL_SECONDS)
            for sentinel in [sentinel for sentinel in running if sentinel in ended]:
                _conclude(*running.pop(sentinel))
            on_tick()
    finally:
        for process, _ in running.values():
            process.terminate()
        for process, _ in running.values():
            process.join()


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
    return f"exit code {exitcode}"


def _work(
    claims: UnitClaims,
    output: str,
    settings: TokenizeSettings,
    verbose: bool,
    sender: "Connection",
) -> None:
    """The worker's main: a Beam pipeline over what it claims; sends None, or what went wrong."""
    global _claims
    _claims = claims
    # An interrupt goes to the whole process group; the parent alone answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent()
    logging.getLogger().setLevel(logging.INFO if verbose else logging.ERROR)
    try:
        _run_pipeline(output, settings)
    except BaseException:  # noqa: BLE001 (this process ends here; the parent is told)
        sender.send(traceback.format_exc()[-_REPORT_CHARACTERS:])
        sender.close()
        sys.exit(1)
    sender.send(None)
    sender.close()


def _run_pipeline(output: str, settings: TokenizeSettings) -> None:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    from transforms.tokenize_shards import TokenizeShards

    with beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions([])) as pipeline:
        _ = (
            pipeline
            | beam.Impulse()
            | "Units" >> beam.FlatMap(_claim).with_output_types(WorkUnit)
            | "Tokenize" >> TokenizeShards(output, settings)
        )


def _die_with_parent() -> None:
    """Ends this process when the parent is gone, even by SIGKILL: nobody would collect it."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
