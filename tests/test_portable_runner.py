"""The same bytes through Beam's portability framework: its own job service and a worker pool."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sample_inputs import json_lines, output_bytes, write_inputs

from pipeline.commands.build import build
from pipeline.config import BuildConfig
from transforms.shards.build import Build
from transforms.shards.layout import RECEIPTS, unit_of_receipt


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def server(module: str, port: int, *flags: str) -> Iterator[None]:
    """Runs a Beam server until the block ends; waits until it accepts connections."""
    # The worker pool starts its workers as plain `python`.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("loopback.py")), module, *flags],
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(300):
            assert process.poll() is None, f"{module} ended with {process.returncode}"
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture(scope="module")
def beam_flags() -> Iterator[list[str]]:
    jobs, workers = free_port(), free_port()
    job_service = "apache_beam.runners.portability.local_job_service_main"
    worker_pool = "apache_beam.runners.worker.worker_pool_main"
    with (
        server(job_service, jobs, "--port", str(jobs)),
        server(worker_pool, workers, "--service_port", str(workers)),
    ):
        yield [
            "--runner=PortableRunner",
            f"--job_endpoint=127.0.0.1:{jobs}",
            "--environment_type=EXTERNAL",
            f"--environment_config=127.0.0.1:{workers}",
        ]


def run_build(*arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """Runs the command, for two minutes at most: a runner whose worker is gone waits for ever."""
    return subprocess.run(
        [sys.executable, "-m", "pipeline", "build", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_portable_runner_writes_the_same_bytes(tmp_path: Path, beam_flags: list[str]) -> None:
    write_inputs(tmp_path / "in", 20)
    patterns = ["in/*.*", "in/sub/*"]
    local = BuildConfig(
        inputs=tuple(f"{tmp_path}/{pattern}" for pattern in patterns),
        output=str(tmp_path / "local"),
        workers=1,
        max_rejects=0.5,
    )
    assert build(local).exit_code == 0
    # Workers run in another folder: relative paths must not reach them.
    arguments = ["--input", *patterns, "--output", "portable", "--max-rejects", "0.5"]
    ended = run_build(*arguments, *beam_flags, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert output_bytes(tmp_path / "portable") == output_bytes(tmp_path / "local")


def test_a_failure_on_a_portable_worker_ends_the_job_with_its_message(
    tmp_path: Path, beam_flags: list[str]
) -> None:
    pq.write_table(pa.table({"body": ["x"]}), tmp_path / "a.parquet")
    arguments = ["--input", str(tmp_path / "a.parquet"), "--output", str(tmp_path / "out")]
    ended = run_build(*arguments, *beam_flags, cwd=tmp_path)
    assert ended.returncode == 2
    assert "body" in ended.stderr
    assert not (tmp_path / "out" / "manifest.json").exists()


# A worker that takes units until one of them kills it, and one that is killed before it begins.
_KILLED_ON_A_UNIT = """\
import os, runpy, signal
from transforms.passes.tokenize import TokenizePass

def run(work, unit, build, run=TokenizePass.run):
    if unit.name == "b.jsonl":
        os.kill(os.getpid(), signal.SIGKILL)
    return run(work, unit, build)

TokenizePass.run = run
runpy.run_module("apache_beam.runners.worker.sdk_worker_main", run_name="__main__")
"""
_KILLED_AT_ONCE = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"


@pytest.mark.parametrize(
    ("worker", "stall_minutes", "done", "expected"),
    [
        (_KILLED_ON_A_UNIT, "10", {"a.jsonl"}, "failed: a worker died without a word"),
        (_KILLED_AT_ONCE, "0.01", set(), "nobody restarts a worker that died on this runner"),
    ],
    ids=["on a unit", "at once"],
)
def test_a_killed_worker_of_the_embedded_job_service_ends_the_job_with_one_message(
    tmp_path: Path, worker: str, stall_minutes: str, done: set[str], expected: str
) -> None:
    for name, count in (("a", 3), ("b", 2), ("c", 1)):  # taken in this order: the largest first
        (tmp_path / f"{name}.jsonl").write_bytes(json_lines(name, count))
    (tmp_path / "worker.py").write_text(worker)
    ended = run_build(
        *("--input", f"{tmp_path}/*.jsonl", "--output", f"{tmp_path}/out"),
        *("--stall-minutes", stall_minutes, "--runner=PortableRunner", "--job_endpoint=embed"),
        "--environment_type=beam:env:harness_subprocess_python:v1",
        f"--environment_config=exec {sys.executable} {tmp_path}/worker.py 2> {tmp_path}/log",
        cwd=tmp_path,
    )
    assert ended.returncode == 1
    told = [line for line in ended.stderr.splitlines() if not line.startswith("build: ")]
    submitted, message = told
    assert submitted.startswith("submitted: the job ")
    assert expected in message
    assert message.endswith("run the same command again to do the rest")
    names = (unit_of_receipt(path) for path in Build.at(f"{tmp_path}/out").files_below(RECEIPTS))
    assert set(filter(None, names)) == done
    assert not list((tmp_path / "out/runs").glob("*/owner.json"))
