"""Where passes run: here in worker processes, or on any Beam runner. Both know passes alone."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # light to import: the fork server is started before all else
    from transforms.passes.work_pass import Pass, WorkUnit
    from transforms.shards.build import Build

Tick = Callable[[int | None], int]
"""Called several times a second with the raw bytes read so far, None where nobody can tell; gives
how many units are finished."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """How a pass is run.

    Attributes:
        workers: local worker processes; 0: none, this very process does all of it.
        beam_flags: for another Beam runner, `--runner` among them; empty: run here.
        max_memory_bytes: of all local workers together; None: no limit.
        verbose: show what Beam has to say.
        stall_minutes: elsewhere, how long no unit may be finished before that is said.
    """

    workers: int
    beam_flags: tuple[str, ...] = ()
    max_memory_bytes: int | None = None
    verbose: bool = False
    stall_minutes: float = 15.0

    @property
    def is_unsupervised(self) -> bool:
        """Whether nobody restarts a worker that died: so it is with the job service of Beam's SDK.

        A job service elsewhere may be that of Flink or Spark, which do restart workers.
        """
        parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        parser.add_argument("--runner", default="")
        parser.add_argument("--job_endpoint", default="embed")
        given = parser.parse_known_args(list(self.beam_flags))[0]
        runner = str(given.runner).rpartition(".")[2].lower().removesuffix("runner")
        return (runner, given.job_endpoint) == ("portable", "embed")


def run_pass(
    work: "Pass",
    units: Sequence["WorkUnit"],
    build: "Build",
    running: Running,
    on_tick: Tick,
) -> None:
    """Does the units, here or on the runner that the flags name; returns when all were tried.

    Units that fail leave their reason below the run's folder (pipeline/failures.py reads it).

    Raises:
        WorkerDiedError: a local worker ended without a word.
        TokenmillError: nothing more can be done; what was committed is kept.
    """
    if running.beam_flags:
        from pipeline.runners.on_beam import run_on_beam

        run_on_beam(work, units, build, running, on_tick)
        return
    if running.workers == 0:
        from pipeline.runners.in_process import run_in_process

        run_in_process(work, units, build, on_tick)
        return
    from pipeline.runners.local import run_on_workers

    run_on_workers(work, units, build, running, on_tick)
