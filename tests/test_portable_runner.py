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
from sample_inputs import output_bytes, write_inputs

from pipeline.commands.build import build
from pipeline.config import BuildConfig


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


def run_build(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Runs the command, for two minutes at most: a runner whose worker is gone waits for ever."""
    return subprocess.run(
        [sys.executable, "-m", "pipeline", "build", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_portable_runner_writes_the_same_bytes(tmp_path: Path, beam_flags: list[str]) -> None:
    folder = tmp_path / "in"
    write_inputs(folder, 20)
    patterns = [str(folder / "*.*"), str(folder / "sub/*")]
    local = BuildConfig(
        inputs=tuple(patterns), output=str(tmp_path / "local"), workers=1, max_rejects=0.5
    )
    assert build(local).exit_code == 0
    arguments = ["--input", *patterns, "--output", str(tmp_path / "portable")]
    ended = run_build(*arguments, "--max-rejects", "0.5", *beam_flags)
    assert ended.returncode == 0, ended.stderr
    assert output_bytes(tmp_path / "portable") == output_bytes(tmp_path / "local")


def test_a_failure_on_a_portable_worker_ends_the_job_with_its_message(
    tmp_path: Path, beam_flags: list[str]
) -> None:
    pq.write_table(pa.table({"body": ["x"]}), tmp_path / "a.parquet")
    arguments = ["--input", str(tmp_path / "a.parquet"), "--output", str(tmp_path / "out")]
    ended = run_build(*arguments, *beam_flags)
    assert ended.returncode == 2
    assert "body" in ended.stderr
    assert not (tmp_path / "out" / "manifest.json").exists()
