"""Local runs: one worker process a core, each running Beam's in-process runner on its share.

    parent ──► fork server (imports Beam once) ─┬─► worker 0: Create(share 0) ─ TokenizeShards
       │                                        └─► worker 1: Create(share 1) ─ TokenizeShards
       ├ waits on the workers' sentinels: a death is seen at once
       └ reads progress from the receipts

Why not one FnApiRunner with many workers: its threads share one GIL, which WARC parsing holds,
and its worker processes hang the job for ever when one is killed (docs/decisions.md).
"""

import heapq
import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pipeline.failures import known_error, summary
from pipeline.fork_server import warm_up, worker_context
from tokenizer.errors import WorkerDiedError
from transforms.settings import TokenizeSettings, WorkUnit

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

_POLL_SECONDS = 0.25
_REPORT_CHARACTERS = 30_000  # less than a pipe holds: a worker must never wait to be heard


def share_out(units: Sequence[WorkUnit], workers: int) -> list[list[WorkUnit]]:
    """Splits the units into at most so many shares of about equal bytes, largest first."""
    shares: list[list[WorkUnit]] = [[] for _ in range(min(workers, len(units)))]
    load = [(0, index) for index in range(len(shares))]
    for unit in sorted(units, key=lambda unit: (-unit.size_bytes, unit.name)):
        taken, index = heapq.heappop(load)
        shares[index].append(unit)
        heapq.heappush(load, (taken + unit.size_bytes + 1, index))
    return shares


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
        for index, share in enumerate(share_out(units, workers)):
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(
                target=_work,
                args=(share, output, settings, verbose, sender),
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
    units: Sequence[WorkUnit],
    output: str,
    settings: TokenizeSettings,
    verbose: bool,
    sender: "Connection",
) -> None:
    """The worker's main: a Beam pipeline over its share; sends None, or what went wrong."""
    # An interrupt goes to the whole process group; the parent alone answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent()
    logging.getLogger().setLevel(logging.INFO if verbose else logging.ERROR)
    try:
        _run_pipeline(units, output, settings)
    except BaseException:  # noqa: BLE001 (this process ends here; the parent is told)
        sender.send(traceback.format_exc()[-_REPORT_CHARACTERS:])
        sender.close()
        sys.exit(1)
    sender.send(None)
    sender.close()


def _run_pipeline(units: Sequence[WorkUnit], output: str, settings: TokenizeSettings) -> None:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    from transforms.tokenize_shards import TokenizeShards

    with beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions([])) as pipeline:
        _ = (
            pipeline
            | "Units" >> beam.Create(list(units), reshuffle=False)
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
