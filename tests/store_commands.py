"""The command in a process of its own, on a store that runs, and what it leaves there."""

import os
import subprocess
import sys
from pathlib import Path

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
