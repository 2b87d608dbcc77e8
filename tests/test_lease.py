"""One owner at a time: live, dead, elsewhere, together, taken over, lost."""

import dataclasses
import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from sample_inputs import json_lines

from pipeline import lease
from pipeline.errors import BuildInUseError
from pipeline.lease import Lease
from transforms.errors import BuildLostError
from transforms.passes.tokenize import TokenizePass
from transforms.passes.work_pass import WorkUnit, run_unit
from transforms.settings import TokenizeSettings
from transforms.shards.build import Build
from transforms.shards.json_records import FORMAT, canonical_json
from transforms.shards.layout import beat_path, owner_path, receipt_path
from transforms.shards.staged_file import StagedFile
from transforms.shards.unit_writer import UnitWriter
from transforms.stores.object_store import RETRY_SECONDS

DEFAULT_STALE_SECONDS = lease.STALE_SECONDS


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "_PAUSE_SECONDS", (0.001, 0.01))
    monkeypatch.setattr(lease, "_LOOK_SECONDS", 0.005)
    monkeypatch.setattr(lease, "STALE_SECONDS", 0.03)


def build_of(tmp_path: Path, run: str) -> Build:
    return Build.at(str(tmp_path), run, is_leased=True)


def claim(tmp_path: Path, run: str, **changes: Any) -> Path:
    """The claim of a run of this very process, with changes."""
    owner = dataclasses.replace(lease._this_process(run), **changes)
    path = tmp_path / owner_path(run)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(canonical_json({"format": FORMAT, **dataclasses.asdict(owner)}))
    return path


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_while_one_holds_a_build_another_is_told_who_and_since_when(tmp_path: Path) -> None:
    with Lease(build_of(tmp_path, "one")) as held:
        with pytest.raises(BuildInUseError) as refused, Lease(build_of(tmp_path, "two")):
            pass
        held.check()
        assert not (tmp_path / "runs/two").exists()
    said = str(refused.value)
    assert f"process {os.getpid()}" in said
    assert lease._this_process("x").host in said
    assert "since 20" in said
    with Lease(build_of(tmp_path, "two")):
        pass
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_build_whose_owner_was_killed_is_taken_over_at_once(tmp_path: Path) -> None:
    path = claim(tmp_path, "dead", pid=dead_process())
    staged = tmp_path / "runs/dead/staging/half"
    staged.parent.mkdir()
    staged.write_bytes(b"half a file")
    started = time.monotonic()
    with Lease(build_of(tmp_path, "mine")) as held:
        held.check()
        assert not path.exists()
        assert not staged.exists()
    assert time.monotonic() - started < 5


def test_a_process_that_got_the_number_of_a_dead_one_is_another(tmp_path: Path) -> None:
    claim(tmp_path, "dead", process_start="1")
    with Lease(build_of(tmp_path, "mine")) as held:
        held.check()


def test_a_claim_of_before_the_machine_was_started_anew_is_stale(tmp_path: Path) -> None:
    claim(tmp_path, "dead", boot="another")
    with Lease(build_of(tmp_path, "mine")) as held:
        held.check()


def test_a_process_number_of_another_container_says_nothing_about_ours(tmp_path: Path) -> None:
    # Of one machine and host name, but its processes have numbers of their own: its beat decides.
    boot = lease._this_process("x").boot.replace("pid:[", "pid:[9")
    path = claim(tmp_path, "there", pid=dead_process(), boot=boot)
    beating = Beating(path)
    with beating, pytest.raises(BuildInUseError), Lease(build_of(tmp_path, "mine")):
        pass


class Beating:
    """An owner elsewhere that is alive: its beat rises."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat)

    def _beat(self) -> None:
        count = 0
        while not self._stop.wait(0.002):
            count += 1
            later = self._path.with_suffix(".later")
            beat = {"format": FORMAT, "beat": count, "holds": True}
            later.write_bytes(json.dumps(beat).encode())
            later.replace(self._path.with_name("beat.json"))

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def test_a_live_owner_on_another_host_is_left_alone(tmp_path: Path) -> None:
    path = claim(tmp_path, "there", host="elsewhere", user="ada")
    with (
        Beating(path),
        pytest.raises(BuildInUseError, match="ada on elsewhere"),
        Lease(build_of(tmp_path, "mine")),
    ):
        pass
    assert path.exists()


def test_an_owner_elsewhere_whose_beat_stands_still_is_taken_over(tmp_path: Path) -> None:
    path = claim(tmp_path, "there", host="elsewhere")
    with Lease(build_of(tmp_path, "mine")) as held:
        held.check()
        assert not path.exists()


def test_an_owner_elsewhere_is_watched_for_all_of_the_time_before_it_is_called_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim(tmp_path, "there", host="elsewhere")
    clock = [0.0]
    monkeypatch.setattr(lease.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(
        lease.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds)
    )
    monkeypatch.setattr(lease, "STALE_SECONDS", 45.0)
    monkeypatch.setattr(lease, "_LOOK_SECONDS", 3.0)
    with Lease(build_of(tmp_path, "mine")):
        assert 45 <= clock[0] <= 48


def test_stale_is_above_what_a_store_may_be_out_of_reach() -> None:
    assert lease.BEAT_SECONDS + RETRY_SECONDS < DEFAULT_STALE_SECONDS


def test_of_many_that_begin_together_never_two_are_let_in(tmp_path: Path) -> None:
    inside, peak, entered, refused = [0], [0], [0], [0]
    lock = threading.Lock()
    together = threading.Barrier(6)

    def begin(number: int) -> None:
        for attempt in range(4):
            together.wait()
            try:
                with Lease(build_of(tmp_path, f"run-{number}-{attempt}")):
                    with lock:
                        inside[0] += 1
                        entered[0] += 1
                        peak[0] = max(peak[0], inside[0])
                    time.sleep(0.01)
                    with lock:
                        inside[0] -= 1
            except BuildInUseError:
                refused[0] += 1

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert entered[0] + refused[0] == 24, "an error of another kind ended a thread"
    assert peak[0] == 1
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def _hold(root: str, run: str, started: Any, results: Any) -> None:
    lease._PAUSE_SECONDS = (0.001, 0.01)
    started.wait()
    try:
        with Lease(Build.at(root, run, is_leased=True)):
            first = Path(root, "inside")
            first.touch(exist_ok=False)  # two at once would fail here
            time.sleep(0.05)
            first.unlink()
        results.put("held")
    except BuildInUseError:
        results.put("refused")
    except FileExistsError:
        results.put("together")


def test_of_processes_that_begin_together_never_two_are_let_in(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    started, results = context.Barrier(3), context.Queue()
    processes = [
        context.Process(target=_hold, args=(str(tmp_path), f"run-{n}", started, results))
        for n in range(3)
    ]
    for process in processes:
        process.start()
    ended = sorted(results.get(timeout=60) for _ in processes)
    for process in processes:
        process.join()
    assert set(ended) <= {"held", "refused"}
    assert "held" in ended


def test_an_owner_that_was_taken_over_learns_it_and_leaves_the_other_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.005)
    build = build_of(tmp_path, "old")
    undone = tmp_path / "tokens/a.jsonl.npy"
    with Lease(build) as held:
        held.check()
        (tmp_path / owner_path("old")).unlink()  # as whoever takes it over does
        assert held._thread is not None
        held._thread.join(5)
        assert not held._thread.is_alive(), "the beat went on"
        with pytest.raises(BuildLostError, match="taken over"):
            held.check()
        # What the other one has published meanwhile, for a unit that we had begun.
        Path(build.staging).mkdir(parents=True, exist_ok=True)
        build.note_intent("a.jsonl", [str(undone)])
        undone.parent.mkdir()
        undone.write_bytes(b"the other's")
    assert undone.exists()


def test_a_lost_build_is_noticed_though_no_beat_was_due(tmp_path: Path) -> None:
    undone = tmp_path / "tokens/a.jsonl.npy"
    build = build_of(tmp_path, "old")
    with Lease(build) as held:
        Path(build.staging).mkdir(parents=True, exist_ok=True)
        build.note_intent("a.jsonl", [str(undone)])
        undone.parent.mkdir()
        undone.write_bytes(b"the other's")
        (tmp_path / owner_path("old")).unlink()
        held._stop.set()
    assert undone.exists()
    with pytest.raises(BuildLostError):
        held.check()


@pytest.mark.parametrize("at", ["while it is read", "while it is written"])
def test_a_worker_whose_build_was_taken_over_publishes_no_file(
    at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even for the moment until its receipt would be refused."""
    build = build_of(tmp_path / "out", "old")
    place, name = (TokenizePass, "run") if at == "while it is read" else (UnitWriter, "_check")
    real = getattr(place, name)

    def taken_over(*arguments: Any) -> Any:
        build.delete([owner_path("old")])
        return real(*arguments)

    monkeypatch.setattr(place, name, taken_over)
    (tmp_path / "a.jsonl").write_bytes(json_lines("a", 3))
    size = (tmp_path / "a.jsonl").stat().st_size
    with Lease(build), pytest.raises(BuildLostError, match="taken over"):
        run_unit(
            TokenizePass(TokenizeSettings()), WorkUnit("a", f"{tmp_path}/a.jsonl", size), build
        )
    assert build.files() == {}


def test_a_worker_whose_build_is_taken_over_while_it_uploads_writes_no_receipt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = build_of(tmp_path / "out", "old")
    publish = StagedFile.publish

    def taken_over(file: StagedFile) -> None:
        publish(file)
        build.delete([owner_path("old")])

    (tmp_path / "a.jsonl").write_bytes(json_lines("a", 3))
    unit = WorkUnit("a", f"{tmp_path}/a.jsonl", (tmp_path / "a.jsonl").stat().st_size)
    with Lease(build):
        monkeypatch.setattr(StagedFile, "publish", taken_over)
        with pytest.raises(BuildLostError, match="taken over"):
            run_unit(TokenizePass(TokenizeSettings()), unit, build)
        assert not build.exists(receipt_path("a"))


def test_a_beat_never_brings_a_claim_back(tmp_path: Path) -> None:
    held = Lease(build_of(tmp_path, "old"))
    with held:
        (tmp_path / owner_path("old")).unlink()
        held._raise_beat()
        assert not (tmp_path / owner_path("old")).exists()


def test_the_beat_rises_while_a_build_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.002)
    with Lease(build_of(tmp_path, "mine")):
        until = time.monotonic() + 10
        beat = 0
        while beat < 4 and time.monotonic() < until:
            beat = json.loads((tmp_path / beat_path("mine")).read_bytes())["beat"]
    assert beat >= 4


def test_a_store_that_does_not_answer_for_a_moment_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.002)
    failed = threading.Event()
    write = Build.write

    def failing(*arguments: Any) -> None:
        if not failed.is_set():
            failed.set()
            raise OSError("no answer")
        write(*arguments)

    with Lease(build_of(tmp_path, "mine")) as held:
        monkeypatch.setattr(Build, "write", failing)
        assert failed.wait(10)
        held.check()


def test_an_interrupt_while_waiting_leaves_no_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim(tmp_path, "there", host="elsewhere")

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(lease.time, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt), Lease(build_of(tmp_path, "mine")):
        pass
    assert not (tmp_path / "runs/mine").exists()


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"[" * 10_000, b'{"format":"x"}'])
def test_what_is_no_claim_keeps_nobody_out(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / owner_path("odd")
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with Lease(build_of(tmp_path, "mine")) as held:
        held.check()


def test_a_claim_under_the_name_of_another_run_is_none(tmp_path: Path) -> None:
    path = claim(tmp_path, "one")
    other = tmp_path / owner_path("two")
    other.parent.mkdir()
    path.rename(other)
    with Lease(build_of(tmp_path, "mine")) as held:
        held.check()


def test_what_an_owner_calls_itself_is_escaped(tmp_path: Path) -> None:
    claim(tmp_path, "evil", user="x\ncomplete: yes\x1b[2J")
    with pytest.raises(BuildInUseError) as refused, Lease(build_of(tmp_path, "mine")):
        pass
    assert "\\ncomplete: yes\\x1b[2J" in str(refused.value)
