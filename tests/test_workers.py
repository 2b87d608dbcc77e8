"""Local workers that end in ways a whole build can not be made to show."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sample_inputs import json_lines

from pipeline import cli
from pipeline.errors import WorkerDiedError
from pipeline.runners import Running, fork_server, local
from transforms.passes.tokenize import TokenizePass
from transforms.passes.work_pass import WorkUnit
from transforms.settings import TokenizeSettings
from transforms.shards.build import Build
from transforms.shards.receipt import Receipt


class DyingClaims(local.UnitClaims):
    """Whoever claims first is killed while it holds the lock; the others wait for the lock.

    Workers import this by its name.
    """

    def __iter__(self) -> Iterator[WorkUnit]:
        with self._claimed.get_lock():
            os.kill(os.getpid(), signal.SIGKILL)
        yield from super().__iter__()


class WatchedPass(TokenizePass):
    """Writes beside each input what its worker has imported."""

    def run(self, unit: WorkUnit, build: Build) -> Receipt:
        receipt = super().run(unit, build)
        Path(unit.path).with_suffix(".imported").write_text("\n".join(sys.modules))
        return receipt


def test_a_local_worker_does_without_beam(tmp_path: Path) -> None:
    units = []
    for name in ("a.jsonl", "b.jsonl"):
        path = tmp_path / name
        path.write_bytes(json_lines(name, 3))
        units.append(WorkUnit(name=name, path=str(path), size_bytes=path.stat().st_size))
    work = WatchedPass(TokenizeSettings())
    build = Build.at(str(tmp_path / "out"), "test")
    local.run_on_workers(work, units, build, Running(workers=2), lambda _: 0)
    imported = [path.read_text().split("\n") for path in sorted(tmp_path.glob("*.imported"))]
    assert len(imported) == 2
    for modules in imported:
        assert "transforms.passes.tokenize" in modules
        assert "apache_beam" not in modules


def test_a_worker_killed_while_it_claims_a_unit_ends_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "UnitClaims", DyingClaims)
    units = []
    for name in ("a.jsonl", "b.jsonl"):
        path = tmp_path / name
        path.write_bytes(json_lines(name, 3))
        units.append(WorkUnit(name=name, path=str(path), size_bytes=path.stat().st_size))
    raised: list[WorkerDiedError] = []

    def run_to_the_end() -> None:
        output = str(tmp_path / "out")
        try:
            build = Build.at(output, "test")
            work = TokenizePass(TokenizeSettings())
            local.run_on_workers(work, units, build, Running(workers=2), lambda _: 0)
        except WorkerDiedError as error:
            raised.append(error)

    job = threading.Thread(target=run_to_the_end, daemon=True)
    job.start()
    job.join(60)
    assert not job.is_alive()
    assert "killed by SIGKILL" in str(raised[0])


@pytest.mark.parametrize(
    ("named", "loaded"),
    [
        (None, []),
        ("", ["cl100k_base"]),
        ("gpt2", ["gpt2"]),
        ("/dev/stdin", []),
        ("Qwen/Qwen3-0.6B", []),
    ],
)
def test_the_fork_server_loads_a_bundled_vocabulary_and_never_beam(
    named: str | None, loaded: list[str]
) -> None:
    """Any other may be a pipe, or asks the network, and the command says what is wrong with it."""
    program = (
        "import sys, tokenizer.tokenizer as module\n"
        "real, asked = module.load_vocabulary, []\n"
        "module.load_vocabulary = lambda name, *rest: (asked.append(name), real(name, *rest))[1]\n"
        "import pipeline.runners.preload, os\n"
        "print(asked, 'apache_beam' in sys.modules, fork_server.PRELOADED_TOKENIZER in os.environ)"
    )
    named_so = {} if named is None else {fork_server.PRELOADED_TOKENIZER: named}
    program = "from pipeline.runners import fork_server\n" + program
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **named_so},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.strip() == f"{loaded} False False"


def test_the_command_names_its_tokenizer_to_the_fork_server() -> None:
    named = cli._named_tokenizer
    assert named(["--input", "a"]) == ""
    assert named(["--tokenizer", "gpt2", "--workers", "2"]) == "gpt2"
    assert named(["--tokenizer=gpt2", "--tokenizer", "o200k_base"]) == "o200k_base"
    assert named(["--tokenizer"]) == ""


def test_threads_that_start_workers_leave_the_callers_main_as_it_was() -> None:
    mine = sys.modules["__main__"]
    first_in, second_in, first_out = (threading.Event() for _ in range(3))

    def first() -> None:
        with fork_server.for_workers():
            first_in.set()
            second_in.wait(0.3)  # it waits for us, where all is well
        first_out.set()

    def second() -> None:
        first_in.wait()
        with fork_server.for_workers():
            second_in.set()
            first_out.wait(0.3)

    threads = [threading.Thread(target=one) for one in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sys.modules["__main__"] is mine


def test_a_little_build_needs_no_fork_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where $TMPDIR is too long for its socket, say."""

    def refuse(_: object) -> None:
        raise OSError("AF_UNIX path too long")

    monkeypatch.setattr(fork_server, "warm_up", refuse)
    (tmp_path / "a.jsonl").write_bytes(json_lines("a", 3))
    given = ["--input", str(tmp_path / "a.jsonl"), "--output", str(tmp_path / "out")]
    assert cli.main(["build", *given]) == 0
