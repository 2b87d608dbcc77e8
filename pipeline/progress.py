"""Progress of a pass: from what workers tell where they can, else from the receipts.

In a terminal a bar, elsewhere a line at the start, one now and then, and one at the end:

    units 12/54 ━━━╸━━━━ 41% of 1.6 GB read 96.1 MB/s 00:09 left
"""

import contextlib
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, TextIO

from pipeline.quantities import counted
from pipeline.terminal import say
from transforms.passes.work_pass import WorkUnit
from transforms.shards.build import Build
from transforms.shards.layout import RECEIPTS, unit_of_receipt

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_LOG_SECONDS = 30.0
_BAR_CELLS = 8  # the line fits 70 columns with 90,000 units
_POLL_SECONDS = 0.5


class PassProgress:
    """Shows how far the pending units of a pass are; a context manager.

    Args:
        name: what the pass does, such as `build`. build: where its receipts appear.
        units: all pending work. stream: where to show it; None: stderr.
    """

    def __init__(
        self, name: str, build: Build, units: Iterable[WorkUnit], stream: TextIO | None = None
    ) -> None:
        self._name = name
        self._build = build
        self._missing = {unit.name: unit.size_bytes for unit in units}
        self._total_units = len(self._missing)
        self._total_bytes = sum(self._missing.values())
        self._done_bytes = self._read_bytes = 0
        self._started = time.monotonic()
        self._next_look = 0.0
        self._next_line = self._started + _LOG_SECONDS
        self._stream = stream or sys.stderr
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> "PassProgress":
        if self._stream.isatty():
            self._bar = self._make_bar()
            self._show(self._started)
            self._bar.start()
        else:
            self._line(f"{self._counted_units}, {size_text(self._total_bytes)} to read")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._next_look = 0.0
            self.update(None)
        if self._bar is not None:
            self._bar.stop()
        else:
            seconds = time.monotonic() - self._started
            self._line(f"{self._done_units}/{self._counted_units} done in {seconds:,.1f} s")

    @property
    def _counted_units(self) -> str:
        return counted(self._total_units, "unit")

    @property
    def _done_units(self) -> int:
        return self._total_units - len(self._missing)

    def update(self, read_bytes: int | None) -> int:
        """Shows what has changed, if it is time to look; returns how many units are finished.

        Args:
            read_bytes: raw bytes of inputs read so far; None where the runner can not tell, and
                finished units are all there is to see.
        """
        now = time.monotonic()
        if read_bytes is not None:
            self._read_bytes = read_bytes
        if now < self._next_look:
            return self._done_units
        with contextlib.suppress(OSError):  # a store that does not answer: this is only for show
            for path in self._build.files_below(RECEIPTS):
                unit = unit_of_receipt(path)
                if unit in self._missing:
                    self._done_bytes += self._missing.pop(unit)
        looked = time.monotonic()
        # The longer a look takes, the less often: at most a twentieth of the time is spent on it.
        self._next_look = looked + max(_POLL_SECONDS, 20 * (looked - now))
        self._show(looked)
        return self._done_units

    def _make_bar(self) -> "Progress":
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        bar = Progress(
            TextColumn("units {task.fields[units]}"),
            BarColumn(bar_width=_BAR_CELLS),
            TextColumn("{task.fields[read]}"),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            console=Console(file=self._stream),
        )
        self._task = bar.add_task(
            self._name, total=self._total_bytes or 1, units="", read="", speed=""
        )
        return bar

    def _show(self, now: float) -> None:
        seconds = max(now - self._started, 1e-9)
        # A receipt counts its input in full; a worker tells of one that is under way, too.
        reached = min(max(self._done_bytes, self._read_bytes), self._total_bytes)
        units = f"{self._done_units}/{self._total_units}"
        share = reached / self._total_bytes if self._total_bytes else 1.0
        read = f"{share:.0%} of {size_text(self._total_bytes)} read"
        speed = f"{size_text(int(reached / seconds))}/s"
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=reached, units=units, read=read, speed=speed)
        elif now >= self._next_line:
            self._next_line = now + _LOG_SECONDS
            left = f", {seconds / share - seconds:,.0f} s left" if share else ""
            self._line(f"{units} units, {read}, {speed}{left}")

    def _line(self, text: str) -> None:
        say(f"{self._name}: {text}", stream=self._stream)


def size_text(count: int) -> str:
    """Bytes for people.

    >>> size_text(999), size_text(1_640_000_000)
    ('999 B', '1.6 GB')
    """
    size = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError("not reached")
