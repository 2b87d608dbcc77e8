"""Runs elsewhere: one Beam pipeline over all units, on the runner that the flags name.

PullPass: a worker takes a unit, does it, takes another, the largest first
"""

import re
import sys
import time
from collections.abc import Sequence

from pipeline.errors import RunFailedError
from pipeline.failures import known_error, raise_unit_failures, summary
from pipeline.runners import Running, Tick
from pipeline.runners.remote_job import RemoteJob
from transforms.passes.work_pass import Pass, WorkUnit
from transforms.shards.build import Build

_TICK_SECONDS = 0.5
_RESUME = "What it had committed is kept; run the same command again to do the rest"


def run_on_beam(
    work: Pass, units: Sequence[WorkUnit], build: Build, running: Running, on_tick: Tick
) -> None:
    """Does the units on another runner.

    An interrupt cancels the job; where it can not be cancelled, the message says so.

    Raises:
        RunFailedError: the job failed, or was cancelled by others.
        TokenmillError: as a worker raised it.
    """
    job = _submit(work, units, build, running)
    watch = _StallWatch(running.stall_minutes)
    try:
        while not job.wait(_TICK_SECONDS):
            watch.look(on_tick(None))
            if watch.is_stalled and running.is_unsupervised:
                raise RunFailedError(
                    f"no unit was finished for {running.stall_minutes:g} minutes, and nobody "
                    f"restarts a worker that died on this runner: {job.cancel()}. {_RESUME}"
                )
    except KeyboardInterrupt:
        print(f"tokenmill: {job.cancel()}", file=sys.stderr, flush=True)
        raise
    try:
        ended = job.outcome()
    except RuntimeError as error:
        if (known := known_error(str(error))) is not None:
            raise known from None
        raise_unit_failures(build, [unit.name for unit in units])
        raise _readable(str(error)) from None
    if ended != "DONE":
        raise_unit_failures(build, [unit.name for unit in units])
        raise RunFailedError(f"the Beam job ended as {ended}: see the runner's log. {_RESUME}")


def _submit(work: Pass, units: Sequence[WorkUnit], build: Build, running: Running) -> RemoteJob:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions

    from transforms.pull_pass import PullPass

    options = PipelineOptions(list(running.beam_flags))
    named = options.view_as(GoogleCloudOptions)
    if not named.job_name:
        named.job_name = f"tokenmill-{build.run}".lower().replace(".", "-")
    pipeline = beam.Pipeline(options=options)
    _ = pipeline | "PullPass" >> PullPass(work, build, units)
    try:
        result = pipeline.run()
    except RuntimeError as error:
        raise known_error(str(error)) or _readable(str(error)) from None
    master = options.get_all_options().get("flink_master")
    return RemoteJob(result, named.job_name, master)


_NOT_INSTALLED = re.compile(r"No module named '(tokenizer|transforms|pipeline)")


def _readable(report: str) -> RunFailedError:
    if _NOT_INSTALLED.search(report):
        return RunFailedError(
            "a worker of this runner has no tokenmill: install it in the workers' environment or "
            "image, or send it along with --extra_package and a wheel"
        )
    return RunFailedError(f"the Beam job failed: {summary(report)}. {_RESUME}")


class _StallWatch:
    """Says once for each stall that no unit was finished for a while."""

    def __init__(self, minutes: float) -> None:
        self._seconds = 60 * minutes
        self._done = -1
        self._since = time.monotonic()
        self._is_said = False
        self.is_stalled = False

    def look(self, units_done: int) -> None:
        """To be called often, with the number of units that are finished."""
        if units_done != self._done:
            self._done, self._since = units_done, time.monotonic()
            self._is_said = self.is_stalled = False
        elif time.monotonic() - self._since >= self._seconds:
            self.is_stalled = True
            if not self._is_said:
                self._is_said = True
                print(
                    f"tokenmill: no unit was finished for {self._seconds / 60:g} minutes "
                    f"({units_done} are done): is the job still running, has it workers, and are "
                    "its units very large? The runner's own pages tell",
                    file=sys.stderr,
                    flush=True,
                )
