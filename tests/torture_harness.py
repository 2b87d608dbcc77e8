"""What the cases of torture.py share: a command run and measured, and a line of the table."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass
class Ran:
    """How a command ended."""

    code: int
    said: str
    seconds: float
    peak_bytes: int
    totals: dict[str, Any] = field(default_factory=dict)

    @property
    def documents(self) -> int:
        return int(self.totals.get("documents", 0))

    def line(self) -> str:
        """What it said last, in short."""
        lines = [line for line in self.said.splitlines() if line.startswith(("tokenmill:", "  "))]
        return lines[0].strip() if lines else ""


@dataclass
class Outcome:
    """A line of the table."""

    is_kept: bool
    happened: str
    lost: str
    ran: Ran


Case = Callable[[Path, bool], Outcome]
CASES: list[tuple[str, bool, Case]] = []


def case(name: str, *, quick: bool = False) -> Callable[[Case], Case]:
    """Adds a case. quick: it takes part in `make test`."""

    def add(function: Case) -> Case:
        CASES.append((name, quick, function))
        return function

    return add


def command(*arguments: str, limit_seconds: float = 300) -> Ran:
    """Runs a command of tokenmill."""
    ran = measured([sys.executable, "-m", "pipeline"], arguments, limit_seconds)
    if "--output" in arguments:
        ran.totals = totals_of(Path(arguments[arguments.index("--output") + 1]))
    return ran


# Between us and the command: what a process inherits counts as its own peak, and ours is large
# after some cases have made their inputs.
_SMALL_PARENT = """
import os, sys
process = os.spawnv(os.P_NOWAIT, sys.argv[2], sys.argv[2:])
_, status, usage = os.wait4(process, 0)
with open(sys.argv[1], "w") as report:
    report.write(f"{os.waitstatus_to_exitcode(status)} {usage.ru_maxrss << 10}")
"""


def measured(program: list[str], arguments: Sequence[str], limit_seconds: float = 3600) -> Ran:
    """Runs a program; its peak memory is that of its largest process."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as output, tempfile.NamedTemporaryFile("r") as report:
        process = subprocess.Popen(
            [sys.executable, "-S", "-c", _SMALL_PARENT, report.name, *program, *arguments],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'tests'}"},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        timer = threading.Timer(limit_seconds, lambda: os.killpg(process.pid, signal.SIGKILL))
        timer.start()
        process.wait()
        timer.cancel()
        code, peak_bytes = map(int, report.read().split() or (-signal.SIGKILL, 0))
        output.seek(0)
        said = re.sub(r"\S*/tokenmill-torture-\w+/", "", output.read().decode(errors="replace"))
    return Ran(code, said, time.monotonic() - started, peak_bytes)


def totals_of(output: Path) -> dict[str, Any]:
    """What the receipts add up to, also where there is no manifest."""
    totals: dict[str, Any] = {"documents": 0, "records": 0, "lost_bytes": 0, "rejects": {}}
    for path in output.glob("receipts/**/*.json"):
        books = json.loads(path.read_bytes())["input"]
        for name in ("documents", "records", "lost_bytes"):
            totals[name] += books[name]
        for reason, count in books["rejects"].items():
            totals["rejects"][reason] = totals["rejects"].get(reason, 0) + count
    return totals


def build(folder: Path, *more: str, pattern: str = "in/*", limit_seconds: float = 300) -> Ran:
    arguments = ["build", "--input", str(folder / pattern), "--output", str(folder / "out")]
    return command(*arguments, *more, limit_seconds=limit_seconds)


def is_complete(folder: Path) -> bool:
    return (folder / "out/manifest.json").exists()


def rejects_text(ran: Ran) -> str:
    return ", ".join(f"{n} {reason}" for reason, n in sorted(ran.totals["rejects"].items()))


def ended(ran: Ran) -> str:
    if ran.code == -signal.SIGKILL:
        return "did not end in time"
    return {0: "complete", 1: "failed", 2: "refused", 3: "no manifest"}.get(
        ran.code, f"exit code {ran.code}"
    )


def simple(ran: Ran, is_kept: bool, lost: str = "") -> Outcome:
    what = ended(ran)
    if ran.code == 0 and ran.totals:
        what += f": {ran.documents:,} documents"
    if rejects := rejects_text(ran) if ran.totals else "":
        what += f"; {rejects}"
    elif ran.code:
        what += f": {ran.line()[:90]}"
    return Outcome(is_kept and "Traceback (most" not in ran.said, what, lost, ran)


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
