"""The queue of a run elsewhere: each unit is taken once, and what a dead worker took is done."""

import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.internal import pickler
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from sample_inputs import json_lines, write_inputs

from pipeline.inputs import common_root, list_units, split_units
from transforms.errors import BuildLostError, UnitFailedError
from transforms.filesystem import create_exclusive
from transforms.passes import unit_queue
from transforms.passes.tokenize import TokenizePass
from transforms.passes.unit_queue import UnitQueue
from transforms.passes.work_pass import WorkUnit, run_unit
from transforms.pull_pass import PullPass, _checking_worker
from transforms.reading import ReadSettings
from transforms.settings import TokenizeSettings
from transforms.shards.build import Build
from transforms.shards.layout import owner_path
from transforms.shards.recovery import clear_run


def units_of(sizes: list[int]) -> list[WorkUnit]:
    return [WorkUnit(f"u{number}", f"/u{number}", size) for number, size in enumerate(sizes)]


def test_units_are_taken_once_each_and_the_largest_first(tmp_path: Path) -> None:
    queue = UnitQueue(Build.at(str(tmp_path), "run"), units_of([90, 1, 30, 30, 29, 0]))
    one, other = iter(queue), iter(pickle.loads(pickle.dumps(queue)))
    assert [next(taker).name for taker in (one, other, other)] == ["u0", "u2", "u3"]
    assert [unit.name for unit in one] == ["u4", "u1", "u5"]
    assert list(other) == []


def test_a_worker_that_was_not_first_looks_further_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = Build.at(str(tmp_path), "run")
    tried: list[str] = []

    def slow(path: str, content: bytes) -> bool:
        """Somebody else takes each of the first three a moment before."""
        tried.append(path)
        if len(tried) <= 3:
            create_exclusive(path, b"another")
        return create_exclusive(path, content)

    monkeypatch.setattr(unit_queue, "create_exclusive", slow)
    taken = list(UnitQueue(build, units_of([1] * 40)))
    assert len(taken) == len({unit.name for unit in taken}) == 37
    assert len(tried) == 40


def test_a_queue_of_several_blocks_is_taken_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit_queue, "_BLOCK", 4)
    queue = UnitQueue(Build.at(str(tmp_path), "run"), units_of(list(range(11))))
    assert [unit.size_bytes for unit in queue] == list(range(10, -1, -1))


def test_workers_at_the_same_time_take_each_unit_once(tmp_path: Path) -> None:
    queue = pickle.dumps(UnitQueue(Build.at(str(tmp_path), "run"), units_of([1] * 60)))
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: list(pickle.loads(queue)), range(8)))
    names = [unit.name for units in taken for unit in units]
    assert len(names) == len(set(names)) == 60


def test_workers_of_a_run_whose_build_was_taken_over_take_nothing_more(tmp_path: Path) -> None:
    build = Build.at(str(tmp_path), "run", is_leased=True)
    build.write(owner_path("run"), b"{}")
    worker = iter(UnitQueue(build, units_of([1] * 3)))
    next(worker)
    clear_run(build, "run")  # as whoever takes it over does: the claims go as well
    with pytest.raises(BuildLostError):
        next(worker)
    assert not (tmp_path / "runs/run").exists()


def test_what_a_worker_took_and_did_not_finish_is_told(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a", "b", "c"):
        (tmp_path / "in" / f"{name}.jsonl").write_bytes(json_lines(name, 3))
    (tmp_path / "in" / "b.jsonl").unlink()
    build = Build.at(str(tmp_path / "out"), "run")
    units = [WorkUnit(f"{name}.jsonl", f"{tmp_path}/in/{name}.jsonl", 1) for name in "abc"]
    units[0] = WorkUnit("a.jsonl", units[0].path, os.path.getsize(units[0].path))
    work = TokenizePass(TokenizeSettings())
    queue = UnitQueue(build, units)
    run_unit(work, units[0], build)
    with pytest.raises(UnitFailedError):
        run_unit(work, units[1], build)
    assert len(list(queue)) == 3
    assert [unit.name for unit in queue.unfinished()] == ["c.jsonl"]
    clear_run(build, "run")
    assert list((tmp_path / "out" / "runs").rglob("*/claims/*")) == []


def test_a_pipeline_does_every_unit_though_a_dead_worker_has_taken_one(tmp_path: Path) -> None:
    write_inputs(tmp_path / "in", 20)
    patterns = [f"{tmp_path}/in/*.*", f"{tmp_path}/in/sub/*"]
    output = str(tmp_path / "out")
    read = ReadSettings(max_unit_bytes=2000)
    inputs = list_units(patterns, common_root(patterns), output, read)
    units = split_units(inputs, read)
    assert len(units) > len(inputs)
    build = Build.at(output, "run")
    dead = iter(UnitQueue(build, units))
    next(dead)
    work = TokenizePass(TokenizeSettings(read=read))
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        done = pipeline | PullPass(work, build, units)
        assert isinstance(done, beam.pvalue.PDone)
    assert len(build.receipts([unit.name for unit in units])) == len(units)


def test_a_worker_without_tokenmill_fails_on_its_first_ticket_and_not_as_it_is_set_up() -> None:
    code = (
        "import sys\n"
        "sys.modules['transforms'] = None\n"
        "from apache_beam.internal import pickler\n"
        "check = pickler.loads(sys.stdin.buffer.read())\n"
        "try: check(0)\n"
        "except ModuleNotFoundError as error: print('none', error.name)\n"
    )
    sent = pickler.dumps(_checking_worker())
    ended = subprocess.run(
        [sys.executable, "-c", code], input=sent, capture_output=True, check=False
    )
    assert ended.stdout.startswith(b"none transforms"), ended.stderr
    assert _checking_worker()(7) == 7
