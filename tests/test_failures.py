"""Units and workers that fail: each by itself, by name, and the rest is done."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sample_inputs import json_lines, output_bytes, texts

from pipeline.commands.build import build
from pipeline.config import BuildConfig
from pipeline.errors import RunFailedError, WorkerDiedError
from pipeline.failures import known_error, raise_unit_failures, summary
from pipeline.runners import Running
from pipeline.runners.engines import EngineJob
from pipeline.runners.in_process import run_in_process
from pipeline.runners.local import _cause, run_on_workers
from pipeline.runners.remote_job import RemoteJob
from tokenizer import ConfigurationError
from transforms.errors import UnitFailedError
from transforms.passes.tokenize import TokenizePass
from transforms.passes.work_pass import WorkUnit, run_unit
from transforms.settings import TokenizeSettings
from transforms.shards.build import Build
from transforms.shards.layout import failure_path, receipt_path


class BadPass(TokenizePass):
    """Fails on what a unit is called; workers import it by its name."""

    def run(self, unit: WorkUnit, build: Build) -> Any:
        if "memory" in unit.name:
            raise MemoryError
        if "deep" in unit.name:
            raise RecursionError("maximum recursion depth exceeded")
        if "odd" in unit.name:
            raise UnitFailedError(f"{unit.path}\ncomplete: yes \udce9 \x1b[2J")
        if "column" in unit.name:
            raise ConfigurationError(f"{unit.name} has no column", setting="text_field")
        if "hungry" in unit.name:
            bytearray(2 << 30)
        if "full" in unit.name:
            raise OSError(28, "No space left on device")
        return super().run(unit, build)


def units_of(folder: Path, *names: str) -> list[WorkUnit]:
    units = []
    for name in names:
        path = folder / f"{name}.jsonl"
        path.write_bytes(json_lines(name, 3))
        units.append(WorkUnit(name, str(path), path.stat().st_size))
    return units


@pytest.mark.parametrize("workers", [0, 2])
def test_units_that_fail_on_their_content_keep_no_other_from_being_done(
    workers: int, tmp_path: Path
) -> None:
    units = units_of(tmp_path, "a", "b-memory", "c-deep", "d-odd", "e-column", "f")
    target = Build.at(str(tmp_path / "out"), "run")
    work = BadPass(TokenizeSettings())
    if workers:
        run_on_workers(work, units, target, Running(workers=workers), lambda _: 0)
    else:
        run_in_process(work, units, target, lambda _: 0)
    done = [unit.name for unit in units if target.exists(receipt_path(unit.name))]
    assert done == ["a", "f"]
    with pytest.raises(RunFailedError) as failed:
        raise_unit_failures(target, [unit.name for unit in units])
    first, *lines = str(failed.value).splitlines()
    assert "4 of 6 units could not be done" in first
    assert lines[0] == "  b-memory: MemoryError: MemoryError"
    assert lines[1] == "  c-deep: RecursionError: maximum recursion depth exceeded"
    assert lines[2].startswith("  d-odd: ")
    assert "complete: yes" in lines[2]
    assert lines[2].isprintable()
    assert lines[3] == "  e-column: text_field: e-column has no column"
    assert len(lines) == 4
    trace = json.loads(target.read(failure_path("run", "c-deep")))["trace"]
    assert "Traceback" in trace


def test_a_unit_that_needs_more_memory_than_a_worker_has_fails_by_name(tmp_path: Path) -> None:
    units = units_of(tmp_path, "a", "b-hungry", "c")
    target = Build.at(str(tmp_path / "out"), "run")
    running = Running(workers=1, max_memory_bytes=1 << 30)
    run_on_workers(BadPass(TokenizeSettings()), units, target, running, lambda _: 0)
    assert [unit.name for unit in units if target.exists(receipt_path(unit.name))] == ["a", "c"]
    with pytest.raises(RunFailedError, match="b-hungry: MemoryError"):
        raise_unit_failures(target, [unit.name for unit in units])


def test_settings_that_fit_no_input_are_a_configuration_error(tmp_path: Path) -> None:
    units = units_of(tmp_path, "a-column", "b-column")
    target = Build.at(str(tmp_path / "out"), "run")
    run_in_process(BadPass(TokenizeSettings()), units, target, lambda _: 0)
    with pytest.raises(ConfigurationError, match="a-column has no column"):
        raise_unit_failures(target, ["a-column", "b-column"])
    with pytest.raises(RunFailedError, match="2 of 3 units"):
        raise_unit_failures(target, ["a-column", "b-column", "c"])


def test_a_full_disk_ends_all_and_says_where(tmp_path: Path) -> None:
    units = units_of(tmp_path, "a-full", "b")
    target = Build.at(str(tmp_path / "out"), "run")
    with pytest.raises(Exception, match=str(tmp_path / "out")):
        run_unit(BadPass(TokenizeSettings()), units[0], target)
    assert not target.exists(failure_path("run", "a-full"))


def test_one_table_without_the_column_does_not_starve_the_others(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.jsonl").write_bytes(json_lines("a", 3))
    pq.write_table(pa.table({"body": ["x"]}), folder / "b.parquet")
    config = BuildConfig(inputs=(f"{folder}/*",), output=str(tmp_path / "out"))
    with pytest.raises((RunFailedError, ConfigurationError), match=r"b\.parquet.*body"):
        build(config, report=io.StringIO())


def test_failures_of_an_earlier_run_are_no_failures_of_this_one(tmp_path: Path) -> None:
    units = units_of(tmp_path, "a-deep")
    for run, work in (("1", BadPass), ("2", TokenizePass)):
        target = Build.at(str(tmp_path / "out"), run)
        run_in_process(work(TokenizeSettings()), units, target, lambda _: 0)
    raise_unit_failures(target, ["a-deep"])
    assert target.exists(receipt_path("a-deep"))


def test_a_unit_that_is_done_is_not_done_again(tmp_path: Path) -> None:
    (unit,) = units_of(tmp_path, "a")
    target = Build.at(str(tmp_path / "out"), "run")
    work = TokenizePass(TokenizeSettings())
    first = run_unit(work, unit, target)
    before = output_bytes(tmp_path / "out")
    Path(unit.path).unlink()
    assert run_unit(work, unit, target) == first
    path = tmp_path / "out/tokens/a.npy"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UnitFailedError, match="No such file"):
        run_unit(work, unit, target)
    Path(unit.path).write_bytes(json_lines("a", 3))
    run_unit(work, unit, target)
    assert output_bytes(tmp_path / "out") == before


def test_a_finished_unit_leaves_no_intent(tmp_path: Path) -> None:
    (unit,) = units_of(tmp_path, "a")
    target = Build.at(str(tmp_path / "out"), "run")
    run_unit(TokenizePass(TokenizeSettings()), unit, target)
    assert list(Path(target.staging).iterdir()) == []


def test_no_reason_given_is_said() -> None:
    assert summary("") == "no reason given"
    assert summary(
        "Traceback:\n  x\nRuntimeError: OSError: full [while running 'x']\nafter record 3:"
    ) == ("RuntimeError: OSError: full")
    report = "Traceback:\n  x\nRuntimeError: OSError: full [while running 'x']\nafter record 3:"
    assert summary(report) == "RuntimeError: OSError: full"
    assert summary("Traceback:\n  x\nMemoryError\nafter record 3:") == "MemoryError"
    assert known_error("transforms.errors.NoSuchError: x\n") is None


def test_how_a_worker_ended_is_said() -> None:
    assert "killed by SIGSEGV" in _cause(-signal.SIGSEGV)
    assert "out of memory" in _cause(-signal.SIGKILL)
    assert "exit code 3" in _cause(3)


class FakeProcess:
    """A worker that reported and then ended as it should not have."""

    name, pid = "tokenmill-worker-7", 1

    def __init__(self, exitcode: int) -> None:
        self.exitcode = exitcode

    def join(self) -> None:
        pass


class FakeReceiver:
    def __init__(self, *reports: str | None) -> None:
        self._reports = list(reports)

    def poll(self) -> bool:
        return True

    def recv(self) -> str | None:
        if not self._reports:
            raise EOFError
        return self._reports.pop(0)

    def close(self) -> None:
        pass


def conclude(exitcode: int, *reports: str | None) -> None:
    from pipeline.runners import local

    local._conclude(FakeProcess(exitcode), FakeReceiver(*reports))  # type: ignore[arg-type]


def test_a_worker_that_reported_success_and_then_died_is_a_failure() -> None:
    conclude(0, None)
    with pytest.raises(WorkerDiedError, match="killed by SIGABRT"):
        conclude(-signal.SIGABRT, None)
    with pytest.raises(WorkerDiedError, match="exit code 0"):
        conclude(0)
    with pytest.raises(WorkerDiedError, match="ValueError: x"):
        conclude(1, "Traceback\nValueError: x\n")


def start_build(inputs: Path, output: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "pipeline", "build", "--workers", "2"]
    return subprocess.Popen(
        [*command, "--input", f"{inputs}/*", "--output", str(output)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class SleepyPass(TokenizePass):
    """Says that it has begun, and never ends."""

    def run(self, unit: WorkUnit, build: Build) -> Any:
        Path(f"{unit.path}.begun").touch()
        time.sleep(600)


def sleep_on_workers(folder: str) -> None:
    """What the process does that is killed in the next test."""
    units = units_of(Path(folder), "a", "b")
    build = Build.at(f"{folder}/out", "run")
    run_on_workers(SleepyPass(TokenizeSettings()), units, build, Running(workers=2), lambda _: 0)


def test_workers_end_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    program = "import sys, test_failures; test_failures.sleep_on_workers(sys.argv[1])"
    here = Path(__file__).parent
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": f"{here.parent}:{here}"},
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 60
    while len(list(tmp_path.glob("*.begun"))) < 2:
        assert time.monotonic() < until, "no worker has begun"
        time.sleep(0.01)
    descendants = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(descendants, timeout=10)
    for left in alive:
        left.kill()
    assert not alive, "workers outlived their parent"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_command_with_one_line_and_gives_the_build_back(
    how: signal.Signals, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    line = json.dumps({"text": " ".join(texts("slow", 3000))}).encode() + b"\n"
    for name in "ab":
        (folder / f"{name}.jsonl").write_bytes(line * 900)
    process = start_build(folder, tmp_path / "out")
    until = time.monotonic() + 60
    # The versions of inputs are the last that the command writes before its workers do.
    while not list((tmp_path / "out").glob("runs/*/inputs.json")) or (
        len(list((tmp_path / "out").glob("runs/*/staging/*"))) < 3
    ):
        assert time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(how)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in error
    assert "interrupted" in error
    assert not list((tmp_path / "out").glob("runs/*/owner.json"))
    assert not list((tmp_path / "out").glob("runs/*/staging"))


def test_the_manifest_does_not_wait_for_its_reader(tmp_path: Path) -> None:
    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(28, os.strerror(28))

    (tmp_path / "a.jsonl").write_bytes(json_lines("a", 3))
    config = BuildConfig(inputs=(f"{tmp_path}/a.jsonl",), output=str(tmp_path / "out"))
    with pytest.raises(OSError, match="No space"):
        build(config, report=Full())
    assert (tmp_path / "out/manifest.json").exists()


@pytest.mark.parametrize(("count", "more"), [(9, 0), (10, 0), (11, 1), (14, 4)])
def test_the_first_ten_units_that_failed_are_told_and_the_others_counted(
    count: int, more: int, tmp_path: Path
) -> None:
    names = [f"deep-{number:02}" for number in range(count)]
    target = Build.at(str(tmp_path / "out"), "run")
    run_in_process(BadPass(TokenizeSettings()), units_of(tmp_path, *names), target, lambda _: 0)
    with pytest.raises(RunFailedError) as failed:
        raise_unit_failures(target, names)
    _, *lines = str(failed.value).splitlines()
    assert len(lines) == count - more + bool(more)
    assert (lines[-1] == f"  ... and {more} more") == bool(more)


def test_what_was_read_is_told_after_each_unit_done_here(tmp_path: Path) -> None:
    units = units_of(tmp_path, "a", "b-deep", "c")
    target = Build.at(str(tmp_path / "out"), "run")
    seen: list[tuple[int, int]] = []

    def look(read_bytes: int) -> int:
        seen.append((read_bytes, len(target.files_below("receipts"))))
        return 0

    run_in_process(BadPass(TokenizeSettings()), units, target, look)
    sizes = [unit.size_bytes for unit in units]
    assert (sizes[0], 1) in seen
    assert seen[-1] == (sizes[0] + sizes[2], 2)


class FakeJob:
    """A job of a runner that does not end before it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    def wait_until_finish(self) -> str:
        time.sleep(600)
        return "DONE"

    def cancel(self) -> None:
        if self._error is not None:
            raise self._error


def test_a_job_elsewhere_that_could_not_be_cancelled_is_said_to_go_on() -> None:
    assert RemoteJob(FakeJob(), EngineJob("web")).cancel() == "the job web was cancelled"
    said = RemoteJob(FakeJob(OSError("no answer")), EngineJob("web")).cancel()
    assert said.startswith("the job web GOES ON (")
    assert "no answer" in said
