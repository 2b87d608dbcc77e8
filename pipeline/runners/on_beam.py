"""Runs elsewhere: one Beam pipeline over all units, on the runner that the flags name."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait

from pipeline.errors import RunFailedError
from pipeline.failures import known_error
from pipeline.runners import Tick
from transforms.passes.work_pass import Pass, WorkUnit
from transforms.shards.build import Build

_TICK_SECONDS = 0.5


def run_on_beam(
    work: Pass, units: Sequence[WorkUnit], build: Build, flags: Sequence[str], on_tick: Tick
) -> None:
    """Does the units on another runner. Raises TokenmillError when the job fails."""
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from transforms.run_pass import RunPass

    try:
        pipeline = beam.Pipeline(options=PipelineOptions(list(flags)))
        _ = (
            pipeline
            | "Units" >> beam.Create(list(units), reshuffle=False)
            | "Spread" >> beam.Reshuffle()  # or one worker would get them all
            | "RunPass" >> RunPass(work, build)
        )
        result = pipeline.run()
        # One thread waits, once: PortableRunner can not be asked twice with a time-out.
        with ThreadPoolExecutor(1) as waiter:
            state = waiter.submit(result.wait_until_finish)
            try:
                while not wait([state], timeout=_TICK_SECONDS).done:
                    on_tick(None)
            except BaseException:
                result.cancel()
                raise
            ended = state.result()
    except RuntimeError as error:
        raise known_error(str(error)) or error from None
    if ended != "DONE":
        raise RunFailedError(
            f"the Beam job ended as {ended}: see the runner's log. "
            "What it had committed is kept; run the same command again to do the rest"
        )
