"""Runs elsewhere: one Beam pipeline over all units, on the runner that the flags name.

PullPass: a worker takes a unit, does it, takes another, the largest first
"""

import contextlib
import re
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from pipeline.errors import RunFailedError
from pipeline.failures import known_error, raise_unit_failures, summary
from pipeline.runners import Running, Tick
from pipeline.runners.engines import engine_job
from pipeline.runners.remote_job import RemoteJob
from pipeline.terminal import say
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
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    options = PipelineOptions(list(running.beam_flags))
    pipeline = beam.Pipeline(options=options)
    with _ending_servers(pipeline.runner):
        job = _submit(pipeline, work, units, build, running)
        _wait(job, running, on_tick)
        _conclude(job, build, units)


def _wait(job: RemoteJob, running: Running, on_tick: Tick) -> None:
    """Returns when the job has ended."""
    watch = _StallWatch(running.stall_minutes, job)
    try:
        while not job.wait(_TICK_SECONDS):
            if not watch.has_stalled(on_tick(None)):
                continue
            if running.is_unsupervised:
                raise RunFailedError(
                    f"no unit was finished for {running.stall_minutes:g} minutes, and nobody "
                    f"restarts a worker that died on this runner: {job.cancel()}. {_RESUME}"
                )
            watch.say()
    except KeyboardInterrupt:
        say(f"tokenmill: {job.cancel()}")
        raise


def _conclude(job: RemoteJob, build: Build, units: Sequence[WorkUnit]) -> None:
    """Raises where the job has failed, saying why as exactly as anybody knows."""
    names = [unit.name for unit in units]
    try:
        ended = job.outcome()
    except RuntimeError as error:
        if (known := known_error(str(error))) is not None:
            raise known from None
        raise_unit_failures(build, names)
        raise _readable(job, str(error)) from None
    if ended != "DONE":
        raise_unit_failures(build, names)
        raise RunFailedError(f"{job} ended as {ended}: see the runner's log. {_RESUME}")


def _name_of_run(name: str, build: Build) -> str:
    """A name that no other job has: where an engine is to stop the job, it may be all we know."""
    return f"{name}-{build.run.lower().replace('.', '-')}"


def _submit(
    pipeline: Any, work: Pass, units: Sequence[WorkUnit], build: Build, running: Running
) -> RemoteJob:
    from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions

    from transforms.pull_pass import PullPass

    named = pipeline.options.view_as(GoogleCloudOptions)
    named.job_name = _name_of_run(named.job_name or "tokenmill", build)
    _ = pipeline | "PullPass" >> PullPass(work, build, units)
    # As they were given: Beam hides Flink's address from the job that it submits.
    given = PipelineOptions(list(running.beam_flags))
    try:
        with _keeping_interrupts():
            result = pipeline.run()
    except RuntimeError as error:
        raise known_error(str(error)) or _readable(None, str(error)) from None
    except KeyboardInterrupt:
        half = engine_job(None, named.job_name, given)
        is_cancelled = half.ends_with_command or half.cancel()
        say(f"tokenmill: {half} {'was cancelled' if is_cancelled else 'may have been submitted'}")
        raise
    job = engine_job(result, named.job_name, given)
    say(f"submitted: {job}")
    return RemoteJob(result, job)


@contextlib.contextmanager
def _ending_servers(runner: Any) -> Iterator[None]:
    """Ends what Beam starts for a job with the block: Prism, or a job server of Flink or Spark.

    Beam does it as Python exits, which the command does not wait for (tokenmill.main): Prism went
    on after it.
    """
    servers: list[Any] = []
    make_server = getattr(runner, "default_job_server", None)

    def remember(options: Any) -> Any:
        assert make_server is not None
        servers.append(make_server(options))
        return servers[-1]

    if make_server is not None:
        runner.default_job_server = remember
    try:
        yield
    finally:
        for server in servers:
            with contextlib.suppress(OSError):  # its temporary folder is gone already
                server.stop()


@contextlib.contextmanager
def _keeping_interrupts() -> Iterator[None]:
    """Beam answers an interrupt by ending its server before the job is cancelled: we do not."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    answer = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, answer)


_NOT_INSTALLED = re.compile(r"No module named '(tokenizer|transforms|pipeline)")
_NO_TOKENMILL = (
    "a worker of this runner has no tokenmill: install it in the workers' environment or image, or "
    "send it along with --extra_package and a wheel"
)


def _readable(job: RemoteJob | None, report: str) -> RunFailedError:
    if _NOT_INSTALLED.search(report):
        return RunFailedError(_NO_TOKENMILL)
    why = summary(report)
    if "Channel closed prematurely" in why:  # all that Beam's job service says of a dead worker
        why = "a worker died without a word: often it was killed, the system being out of memory"
    if why.endswith("unknown error"):  # Spark: no worker has left a reason in the output
        why = (
            "the engine gives no reason, and no worker could write one: often workers have no "
            "tokenmill, or can not reach the output. The logs of the engine's workers tell"
        )
    return RunFailedError(f"{job or 'the Beam job'} failed: {why.rstrip('.')}. {_RESUME}")


class _StallWatch:
    """Tells once for each stall that no unit was finished for a while."""

    def __init__(self, minutes: float, job: RemoteJob) -> None:
        self._seconds = 60 * minutes
        self._job = job
        self._done = -1
        self._since = time.monotonic()
        self._is_told = False

    def has_stalled(self, units_done: int) -> bool:
        """Whether a stall is seen for the first time; to be called often.

        Args:
            units_done: the number of units that are finished.
        """
        if units_done != self._done:
            self._done, self._since = units_done, time.monotonic()
            self._is_told = False
        elif not self._is_told and time.monotonic() - self._since >= self._seconds:
            self._is_told = True
            return True
        return False

    def say(self) -> None:
        """Says it, with what is known of the job."""
        state = self._job.engine_state()
        say(
            f"tokenmill: no unit was finished for {self._seconds / 60:g} minutes ({self._done} are "
            f"done) by {self._job}{f' ({state})' if state else ''}: is the job still running, has "
            "it workers that have tokenmill, and are its units very large? The runner's own "
            "pages tell"
        )
