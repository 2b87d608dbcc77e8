"""How the command ends when something outside of it goes wrong: interrupts, full disks, kills."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest
from sample_inputs import json_lines

import transforms.shards.build
from pipeline.cli import main
from pipeline.runners import local
from pipeline.runners.fork_server import for_workers
from transforms.errors import StorageError
from transforms.passes.tokenize import TokenizePass
from transforms.passes.work_pass import WorkUnit, run_unit
from transforms.settings import TokenizeSettings
from transforms.shards.build import Build
from transforms.shards.unit_writer import UnitWriter

TOKENMILL = [sys.executable, "-m", "tokenmill"]


def start(*arguments: str | Path, preload: str = "") -> "subprocess.Popen[str]":
    """The command in a process group of its own; `preload` runs before it, in it alone."""
    code = f"import sys\nsys.argv[0] = 'tokenmill'\n{preload}\nimport tokenmill\ntokenmill.main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


# Each interrupts the whole process group, as a terminal does, at a named point.
POINTS = {
    "while modules are imported": (
        "import os, signal, builtins\n"
        "real = builtins.__import__\n"
        "def hook(name, *a, **k):\n"
        "    if name == 'pipeline.commands.build' or name == 'pyarrow':\n"
        "        builtins.__import__ = real; os.killpg(0, signal.SIGINT)\n"
        "    return real(name, *a, **k)\n"
        "builtins.__import__ = hook"
    ),
    "when the fork server has just been started": (
        "import os, signal\n"
        "import pipeline.runners.fork_server as module\n"
        "real = module.warm_up\n"
        "module.warm_up = lambda named: (real(named), os.killpg(0, signal.SIGINT))"
    ),
    "while inputs are listed": (
        "import os, signal\n"
        "import pipeline.commands.build as module\n"
        "module.list_units = lambda *a: os.killpg(0, signal.SIGINT)"
    ),
}


@pytest.mark.parametrize("point", POINTS)
def test_an_interrupt_is_one_line_and_no_traceback(point: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(json_lines("a", 5))
    arguments = ("build", "--input", tmp_path / "a.jsonl", "--output", tmp_path / "out")
    process = start(*arguments, "--workers", "1", preload=POINTS[point])
    _, error = process.communicate(timeout=120)
    assert process.returncode == 1
    (line,) = error.splitlines()
    assert line.startswith("tokenmill: interrupted")


def test_workers_start_without_interrupts_and_without_the_callers_script() -> None:
    before = signal.getsignal(signal.SIGINT)
    script = sys.modules["__main__"]
    with for_workers():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert not hasattr(sys.modules["__main__"], "__file__")
        assert os.environ["OPENBLAS_NUM_THREADS"]
    assert signal.getsignal(signal.SIGINT) is before
    assert sys.modules["__main__"] is script


def test_a_full_disk_is_told_with_its_place_and_ends_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.jsonl").write_bytes(json_lines("a", 5))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(UnitWriter, "write", full)
    arguments = ["--input", str(tmp_path / "a.jsonl"), "--output", str(tmp_path / "out")]
    assert main(["build", *arguments]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"tokenmill: {tmp_path}/out: No space left on device, while a.jsonl ")
    unit = WorkUnit("a.jsonl", str(tmp_path / "a.jsonl"), 1)
    with pytest.raises(StorageError, match=r"out2: No space left"):
        run_unit(TokenizePass(TokenizeSettings()), unit, Build.at(str(tmp_path / "out2"), "run"))


def test_a_disk_that_is_full_for_the_manifest_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(transforms.shards.build, "write_whole", full)
    with pytest.raises(OSError, match=r"No space left on device: '/out/manifest\.json'"):
        Build.at("/out").write("manifest.json", b"{}")


def test_a_worker_passes_a_full_disk_on_as_it_is() -> None:
    report = (
        "Traceback (most recent call last):\n  ...\n"
        "transforms.errors.StorageError: /out: No space left on device, while a was written "
        "[while running 'RunPass/RunUnit']\nafter record 3:\n"
    )
    error = local.known_error(report)
    assert isinstance(error, StorageError)
    assert str(error) == "/out: No space left on device, while a was written"


def test_a_killed_fork_server_is_called_that(tmp_path: Path) -> None:
    line = json_lines("a", 50)
    for name in "ab":
        (tmp_path / f"{name}.jsonl").write_bytes(line * 4000)
    arguments = ("build", "--input", tmp_path / "*.jsonl", "--output", tmp_path / "out")
    process = start(*arguments, "--workers", "2")
    parent = psutil.Process(process.pid)
    servers: list[psutil.Process] = []
    while not servers and process.poll() is None:
        # Whose workers both are at work: each watches its parent in a thread.
        servers = [
            child
            for child in parent.children()
            if len(workers := child.children()) == 2
            and all(worker.num_threads() > 1 for worker in workers)
        ]
    servers[0].kill()
    _, error = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "the process that starts workers was killed" in error.splitlines()[-1]
    assert "Traceback" not in error


def test_a_command_leaves_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in.jsonl").write_bytes(json_lines("a", 5))
    output = tmp_path / "out"
    # Not below tmp_path: the name of a socket has at most 107 bytes.
    with tempfile.TemporaryDirectory() as scratch:
        monkeypatch.setenv("TMPDIR", scratch)
        for arguments in (
            ["build", "--input", tmp_path / "in.jsonl", "--output", output],
            ["verify", output],
        ):
            process = start(*arguments)
            _, error = process.communicate()
            assert process.returncode == 0, error
        assert os.listdir(scratch) == []
