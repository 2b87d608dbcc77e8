"""Faults that a test asks of workers, by files in a folder that all of them see.

    kill/b.jsonl     the worker that takes this unit is killed, once
    orphan/b.jsonl   so is the process that started it, before it, once
    wait/b.jsonl     it does not end the unit, as long as the process that started it lives
    spoil/b.jsonl    an error in the middle of the unit's content
    hide/all         workers find no tokenmill (start_worker.py)

And what they tell: `units` has a line for each attempt at a unit, `committed` what was done when a
worker was killed, `times` a line for each attempt that ended: process, begin, end, unit.
"""

import functools
import os
import signal
import time
from pathlib import Path
from typing import Any, NamedTuple

from transforms import run_pass
from transforms.passes.tokenize import TokenizePass
from transforms.passes.work_pass import WorkUnit
from transforms.shards.build import Build
from transforms.shards.layout import RECEIPTS, unit_of_receipt
from transforms.shards.unit_writer import UnitWriter

KINDS = ("kill", "orphan", "wait", "spoil", "hide")


def ask(folder: Path, kind: str, unit: str) -> None:
    """Asks for a fault: what a test does."""
    assert kind in KINDS
    path = folder / kind / unit
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def attempts(folder: Path) -> list[str]:
    """The units that were begun, as often as they were."""
    path = folder / "units"
    return path.read_text().splitlines() if path.exists() else []


class UnitTime(NamedTuple):
    """When a worker was at a unit, its receipt included; by a clock that all processes share."""

    process: int
    begin: float
    end: float
    unit: str


def unit_times(folder: Path) -> list[UnitTime]:
    """Of all attempts that ended."""
    rows = [line.split(maxsplit=3) for line in (folder / "times").read_text().splitlines()]
    return [UnitTime(int(one), float(two), float(three), name) for one, two, three, name in rows]


def install(folder: Path) -> None:
    """Makes this process, a worker, look for faults."""
    run, write, run_unit = TokenizePass.run, UnitWriter.write, run_pass.run_unit

    @functools.wraps(run_unit)
    def run_unit_timed(work: Any, unit: WorkUnit, build: Build) -> Any:
        begin = time.monotonic()
        receipt = run_unit(work, unit, build)
        _append(folder / "times", f"{os.getpid()} {begin} {time.monotonic()} {unit.name}")
        return receipt

    @functools.wraps(run)
    def run_with_faults(self: TokenizePass, unit: WorkUnit, build: Build) -> Any:
        _append(folder / "units", unit.name)
        if (folder / "wait" / unit.name).exists():
            _wait_for_orphanhood()
        for kind in ("kill", "orphan"):
            if _claimed(folder / kind / unit.name):
                _die(folder, build, with_parent=kind == "orphan")
        return run(self, unit, build)

    @functools.wraps(write)
    def write_with_faults(self: UnitWriter, *batch: Any) -> None:
        if (folder / "spoil" / self._unit).exists():
            raise ValueError("this content was asked to fail")
        write(self, *batch)

    run_pass.run_unit = run_unit_timed
    TokenizePass.run = run_with_faults  # type: ignore[method-assign]
    UnitWriter.write = write_with_faults  # type: ignore[method-assign]


def _wait_for_orphanhood() -> None:
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(0.1)
    os._exit(1)


def _die(folder: Path, build: Build, *, with_parent: bool) -> None:
    done = sorted(filter(None, map(unit_of_receipt, build.files_below(RECEIPTS))))
    (folder / "committed").write_text("".join(f"{unit}\n" for unit in done))
    _append(folder / "units", "--- killed")
    if with_parent:
        os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def _claimed(path: Path) -> bool:
    """Whether the file was there; of several workers, one is told so."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def _append(path: Path, line: str) -> None:
    with path.open("a") as file:
        file.write(f"{line}\n")
