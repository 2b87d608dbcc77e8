"""`RunPass`: the units of a pass in, their receipts out, on any Beam runner.

units ─ RunPass(pass, build) ─┬─► receipts      WorkUnit -> receipt
                              └─► .failures     messages of units that could not be done
"""

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput

from transforms.errors import UnitFailedError
from transforms.passes.work_pass import Pass, WorkUnit, prepare_worker, run_unit
from transforms.shards.build import Build


class RunUnit(beam.DoFn):  # type: ignore[misc]
    """One call a unit. What the pass needs is loaded once a process."""

    def __init__(self, work: Pass, build: Build) -> None:
        self._work = work
        self._build = build

    def setup(self) -> None:
        prepare_worker(self._work, self._build)

    def process(self, unit: WorkUnit) -> Iterator[Any]:
        try:
            receipt = run_unit(self._work, unit, self._build)
        except UnitFailedError as error:
            Metrics.counter("tokenmill", "failed_units").inc()
            yield TaggedOutput(RunPass.FAILURES, str(error))
            return
        for name, count in receipt.counts():
            Metrics.counter("tokenmill", name).inc(count)
        Metrics.distribution("tokenmill", "unit_bytes").update(unit.size_bytes)
        yield receipt


class RunPass(beam.PTransform):  # type: ignore[misc]
    """Does each `WorkUnit` of a pass and gives its receipt.

    Elements are whole units: documents never cross a stage boundary, memory stays flat, and a retry
    redoes one unit, or none where its receipt is there. Works on bounded and unbounded input;
    windows and timestamps are kept. A unit that fails ends in `.failures`, where somebody must
    look: the others are done all the same.
    """

    RECEIPTS, FAILURES = "receipts", "failures"

    def __init__(self, work: Pass, build: Build) -> None:
        """Makes the transform.

        Args:
            work: what is done with each unit.
            build: where its files go.
        """
        super().__init__()
        self._work = work
        self._build = build

    def expand(self, units: Any) -> Any:
        run_unit_fn = beam.ParDo(RunUnit(self._work, self._build)).with_input_types(WorkUnit)
        done = units | "RunUnit" >> run_unit_fn.with_outputs(self.FAILURES, main=self.RECEIPTS)
        done[self.FAILURES].element_type = str
        return done

    def display_data(self) -> dict[str, Any]:
        return {"output": self._build.root, "pass": type(self._work).__name__}
