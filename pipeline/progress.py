"""Progress of a build, read from the receipts, so that it works on every runner."""

import sys
import time
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from transforms.filesystem import exists
from transforms.receipt import Receipt, receipt_path
from transforms.settings import WorkUnit
from transforms.writing.staged_file import read_whole

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_LOG_SECONDS = 30.0
_LOCAL_POLL_SECONDS = 0.5


class BuildProgress:
    """Counts what has been committed: a live bar in a terminal, a line now and then elsewhere.

    output: the build's folder. units: all pending work. Call `update` often; it looks at the
    output at most twice a second, and less often the longer a look takes.
    """

    def __init__(self, output: str, units: Iterable[WorkUnit], stream: TextIO = sys.stderr) -> None:
        self._missing = {
            unit.name: f"{output.rstrip('/')}/{receipt_path(unit.name)}" for unit in units
        }
        self._sizes = {unit.name: unit.size_bytes for unit in units}
        self._total_units = len(self._missing)
        self._total_bytes = sum(self._sizes.values())
        self._done_bytes = self._tokens = self._text_bytes = 0
        self._started = time.monotonic()
        self._next_look = 0.0
        self._next_line = self._started + _LOG_SECONDS
        self._stream = stream
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> "BuildProgress":
        if self._stream.isatty():
            self._bar = self._make_bar()
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._next_look = 0.0
            self.update()
        if self._bar is not None:
            self._bar.stop()

    def update(self) -> None:
        """Looks for new receipts, if it is time, and shows what has changed."""
        now = time.monotonic()
        if now < self._next_look:
            return
        for name in [name for name, path in self._missing.items() if exists(path)]:
            path = self._missing.pop(name)
            receipt = Receipt.from_json(read_whole(path), path)
            self._done_bytes += self._sizes[name]
            self._tokens += receipt.input.tokens
            self._text_bytes += receipt.input.text_bytes
        looked = time.monotonic()
        self._next_look = looked + max(_LOCAL_POLL_SECONDS, 20 * (looked - now))
        self._show(looked)

    def _make_bar(self) -> "Progress":
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        bar = Progress(
            TextColumn("{task.fields[units]}"),
            BarColumn(),
            DownloadColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            console=Console(file=self._stream),
        )
        self._task = bar.add_task("build", total=self._total_bytes, units="", speed="")
        return bar

    def _show(self, now: float) -> None:
        done = self._total_units - len(self._missing)
        seconds = max(now - self._started, 1e-9)
        units = f"{done}/{self._total_units} units"
        speed = (
            f"{self._tokens / 1e6:,.1f} M tokens, {self._text_bytes / 1e6 / seconds:,.1f} MB/s text"
        )
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self._done_bytes, units=units, speed=speed)
        elif now >= self._next_line:
            self._next_line = now + _LOG_SECONDS
            share = self._done_bytes / self._total_bytes if self._total_bytes else 1.0
            left = f", {seconds / share - seconds:,.0f} s left" if share else ""
            print(f"{units} ({share:.0%}), {speed}{left}", file=self._stream, flush=True)
