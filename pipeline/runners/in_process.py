"""Runs in this very process, one unit after the other: what little work is done with soonest."""

import contextlib
from collections.abc import Sequence

from pipeline.runners import Tick
from transforms.errors import UnitFailedError
from transforms.passes.work_pass import Pass, WorkUnit, progress_to, run_unit
from transforms.shards.build import Build


def run_in_process(work: Pass, units: Sequence[WorkUnit], build: Build, on_tick: Tick) -> None:
    """Does the units here. Raises what no other unit would survive either."""
    read_bytes = 0

    def note_read(count: int) -> None:
        nonlocal read_bytes
        read_bytes += count
        on_tick(read_bytes)

    work.prepare()
    with progress_to(note_read):
        for unit in units:
            with contextlib.suppress(UnitFailedError):  # why is written, for all to read
                run_unit(work, unit, build)
            on_tick(read_bytes)
