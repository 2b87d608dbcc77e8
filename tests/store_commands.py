"""The command in a process of its own, on a store that runs, and what it leaves there."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from fault_proxy import Fault, Request, no_faults
from store_servers import RunningStore

from transforms.filesystem import list_files, put_file, read_whole


def tokenmill(*arguments: str, store: RunningStore) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline", *arguments]
    environment = {**os.environ, **store.environment}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def build(inputs: str, output: str, store: RunningStore) -> str:
    done = tokenmill(
        "build", "--input", inputs, "--output", output, "--max-rejects", "0.9", store=store
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def kill_at(is_last: Callable[[Request], bool], *arguments: str, store: RunningStore) -> None:
    """Runs the command until the server sees this request, the last one; all its processes die."""
    killed: list[int] = []

    def kills(request: Request) -> Fault:
        if killed:
            return Fault.ERROR_503
        if not is_last(request):
            return Fault.NONE
        os.killpg(process.pid, signal.SIGKILL)
        killed.append(process.pid)
        return Fault.LOST_ANSWER

    store.proxy.faults = kills
    command = [sys.executable, "-m", "pipeline", *arguments]
    environment = {**os.environ, **store.environment}
    with subprocess.Popen(command, env=environment, start_new_session=True) as process:
        assert process.wait() == -signal.SIGKILL
    store.proxy.faults = no_faults


def content_of(folder: str) -> dict[str, bytes]:
    """Every file of a build but the records of its runs."""
    files = {
        file.path.removeprefix(f"{folder}/"): read_whole(file.path) for file in list_files(folder)
    }
    return {name: content for name, content in files.items() if not name.startswith("runs/")}


def upload(folder: Path, store: RunningStore) -> str:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            put_file(str(path), f"{store.root}/in/{path.relative_to(folder)}")
    return f"{store.root}/in/**"
