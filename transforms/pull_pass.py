"""`PullPass`: a pass over the units of a run, on any Beam runner; workers take what they do.

    Create(tickets) ─ Reshuffle ─ is tokenmill here? ─ Reshuffle
                                                         │ on Spark: all workers are up
                                                         ▼
                         take a unit, do it, take another ... until none is left
                           │ all have ended
                           ▼
                         units of workers that died ─ Reshuffle ─ RunPass

Flink and Spark deal elements out in turn before any is done, and let none be taken over: one worker
had all seven large files while the other had nothing to do. So elements are tickets here, and to
hold one is to work as long as there is work. A ticket that is tried again, because its worker died,
takes what is free then, and what that worker had taken and not finished comes last.

Tickets are spread twice so that the workers of Spark begin together: docs/decisions.md, "Running".
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apache_beam as beam

from transforms.passes.unit_queue import UnitQueue
from transforms.passes.work_pass import Pass, WorkUnit
from transforms.run_pass import RunPass, RunUnit
from transforms.shards.build import Build

_MAX_TICKETS = 10_000


def _checking_worker() -> Callable[[int], int]:
    """A function that a worker without tokenmill can load, and that fails there.

    A function in a function is sent by value, others by the name of their module. On Spark a job
    whose functions can not be loaded never ends; one of them that raises ends it.
    """

    def check(ticket: int) -> int:
        import transforms.pull_pass  # noqa: F401

        return ticket

    return check


class _TakeUnits(beam.DoFn):  # type: ignore[misc]
    """One call a ticket: does units until none is free."""

    def __init__(self, run_unit: RunUnit, queue: UnitQueue) -> None:
        self._run_unit = run_unit
        self._queue = queue

    def setup(self) -> None:
        self._run_unit.setup()

    def process(self, _: int) -> Iterator[Any]:
        for unit in self._queue:
            yield from self._run_unit.process(unit)


class PullPass(beam.PTransform):  # type: ignore[misc]
    """Does units as workers take them; gives a `PDone`.

    What was done, the receipts in the build tell, those of a worker that died later among them.
    Each unit is taken by one worker; where that one died without a receipt, it is done again.

    For bounded pipelines: it begins with a `Create`. Units that fail leave their reason with the
    build, as run_unit writes it.
    """

    def __init__(self, work: Pass, build: Build, units: Iterable[WorkUnit]) -> None:
        """Makes the transform.

        Args:
            work: what is done with each unit.
            build: where their files go.
            units: all of them.
        """
        super().__init__()
        self._work = work
        self._build = build
        self._queue = UnitQueue(build, units)

    def expand(self, begin: Any) -> beam.pvalue.PDone:
        queue, tickets = self._queue, min(len(self._queue), _MAX_TICKETS)
        take_units = _TakeUnits(RunUnit(self._work, self._build), queue)
        done = (
            begin
            | "Tickets" >> beam.Create(range(tickets), reshuffle=False)
            | "Spread" >> beam.Reshuffle()  # or one worker would get them all
            | "CheckWorker" >> beam.Map(_checking_worker()).with_output_types(int)
            | "BeginTogether" >> beam.Reshuffle()  # on Spark a stage ends when all workers are up
            | "TakeUnits"
            >> beam.ParDo(take_units).with_outputs(RunPass.FAILURES, main=RunPass.RECEIPTS)
        )
        _ = (
            done[RunPass.RECEIPTS]
            | "Count" >> beam.combiners.Count.Globally()  # known when all tickets have ended
            | "Unfinished" >> beam.FlatMap(lambda _: queue.unfinished()).with_output_types(WorkUnit)
            | "SpreadUnfinished" >> beam.Reshuffle()
            | "RunPass" >> RunPass(self._work, self._build)
        )
        return beam.pvalue.PDone(begin.pipeline)

    def display_data(self) -> dict[str, Any]:
        return {"output": self._build.root, "pass": type(self._work).__name__}
