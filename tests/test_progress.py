"""Progress: in a log a line at the start and the end, in a terminal a bar of 70 columns."""

import io
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.cells import cell_len

from pipeline import progress
from pipeline.progress import PassProgress
from transforms.passes.work_pass import WorkUnit
from transforms.shards.build import Build


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def units(count: int, size_bytes: int) -> list[WorkUnit]:
    return [WorkUnit(f"u{i:05}", f"/in/u{i:05}", size_bytes) for i in range(count)]


def commit(output: Path, unit: str) -> None:
    path = output / "receipts" / f"{unit}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"{}")


def test_a_log_has_a_line_at_the_start_and_one_at_the_end(tmp_path: Path) -> None:
    log = io.StringIO()
    with PassProgress("build", Build.at(str(tmp_path)), units(2, 1500), log):
        commit(tmp_path, "u00000")
        commit(tmp_path, "u00001")
    first, last = log.getvalue().splitlines()
    assert first == "build: 2 units, 3.0 kB to read"
    assert re.fullmatch(r"build: 2/2 units done in \d+\.\d s", last)


def test_a_bar_names_its_figures_from_the_first_moment_and_shows_the_last_look(
    tmp_path: Path,
) -> None:
    terminal = Terminal()
    with PassProgress("build", Build.at(str(tmp_path)), units(2, 1500), terminal) as shown:
        assert shown.update(1000) == 0
        commit(tmp_path, "u00000")
        commit(tmp_path, "u00001")
    written = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", terminal.getvalue())
    assert "units 0/2 " in written
    assert "0% of 3.0 kB read" in written
    assert "units 2/2 " in written.splitlines()[-1]
    assert "100% of 3.0 kB read" in written.splitlines()[-1]


def test_the_bar_fits_70_columns_however_large_the_work_is(tmp_path: Path) -> None:
    terminal = Terminal()
    build = Build.at(str(tmp_path))
    with PassProgress("build", build, units(90_000, 17_700_000), terminal) as shown:
        shown.update(700_000_000_000)
    written = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", terminal.getvalue())
    lines = [line.rstrip() for line in re.split(r"[\r\n]", written) if line.strip()]
    assert any("0/90000" in line for line in lines)
    assert all(cell_len(line) <= 70 for line in lines), lines


def test_a_log_says_now_and_then_how_far_it_is(tmp_path: Path) -> None:
    log = io.StringIO()
    with PassProgress("build", Build.at(str(tmp_path)), units(2, 1500), log) as shown:
        shown._next_line = 0.0
        shown.update(1500)
    expected = r"^build: 0/2 units, 50% of 3\.0 kB read, .*/s, .* s left$"
    assert re.search(expected, log.getvalue(), re.MULTILINE)


def test_a_look_follows_a_look_after_its_time_and_twenty_times_what_it_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([100.0, 100.0, 100.1, 101.0, 102.09, 103.0, 103.0])
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    shown = PassProgress("build", Build.at(str(tmp_path)), units(3, 1500), io.StringIO())
    assert shown.update(None) == 0  # from 100.0 to 100.1: the next one two seconds later
    commit(tmp_path, "u00000")
    assert shown.update(None) == 0
    assert shown.update(None) == 0
    assert shown.update(None) == 1


def test_nothing_is_read_before_the_first_unit(tmp_path: Path) -> None:
    terminal = Terminal()
    with PassProgress("build", Build.at(str(tmp_path)), units(1, 1), terminal) as shown:
        shown.update(0)
        written = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", terminal.getvalue())
    assert "0% of 1 B read" in written
    assert "100%" not in written
