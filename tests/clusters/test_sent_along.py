"""Workers that have Beam and nothing else are sent tokenmill: --extra_package and --setup_file.

    submitter   Beam, tokenmill, setuptools       no compiler's tools: no pybind11
        │ --extra_package WHEEL, or --setup_file setup.py, which Beam packs here
        ▼
    boot        Beam's own, the entry point of its container images, run as a process
        ▼ pip install
    worker      Beam

Dependencies and what builds the sdist come from the package index, as on a cluster that has one.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import build_arguments, run
from engines import REPOSITORY, Engine
from prism_server import PrismServer
from sample_inputs import output_bytes

pytestmark = pytest.mark.clusters

SENT = ("pipeline", "tokenizer", "tokenmill", "transforms")
BUILT_FROM = (
    *SENT,
    "pyproject.toml",
    "setup.py",
    "MANIFEST.in",
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
)


def call(*command: str | Path) -> str:
    """Runs a command as somebody would who has no checkout; returns what it prints."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    ended = subprocess.run(
        list(map(str, command)), cwd="/", env=outside, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="session")
def prism(engine: Engine) -> PrismServer:
    """The engine that has Beam's `boot` and an environment of Beam alone beside it."""
    if not isinstance(engine, PrismServer):
        pytest.skip("on Prism: the clusters of these tests do not read what a job's jar brings")
    return engine


@pytest.fixture(scope="session")
def checkout(prism: PrismServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources."""
    folder = tmp_path_factory.mktemp("checkout")
    ignored = shutil.ignore_patterns("__pycache__", "*.so")
    for name in BUILT_FROM:
        if (REPOSITORY / name).is_dir():
            shutil.copytree(REPOSITORY / name, folder / name, ignore=ignored)
        else:
            shutil.copy(REPOSITORY / name, folder)
    return folder


@pytest.fixture(scope="session")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `make wheel` does, for machines like this one."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    call(*pip, "--no-deps", "--no-build-isolation", "--wheel-dir", folder, checkout)
    (made,) = folder.glob("tokenmill-*.whl")
    return made


@pytest.fixture(scope="session")
def submitter(
    prism: PrismServer, wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The interpreter of `pip install 'tokenmill[submit]'` in a clean environment."""
    folder = tmp_path_factory.mktemp("submitter") / "environment"
    python = beam_alone(prism, folder)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    call(*pip, f"{wheel}[submit]")
    missing = subprocess.run([python, "-c", "import pybind11"], capture_output=True, check=False)
    assert missing.returncode, "pybind11 is there: what is packed without it?"
    yield python
    shutil.rmtree(folder)  # half a gigabyte


def beam_alone(prism: PrismServer, folder: Path) -> Path:
    """The interpreter of a new environment that holds Beam and nothing of ours."""
    shutil.copytree(prism.home / "beam", folder, symlinks=True)
    python = folder / "bin" / "python"
    for package in SENT:
        code = f"import importlib.util as i, sys; sys.exit(i.find_spec({package!r}) is not None)"
        call(python, "-c", code)
    return python


@pytest.mark.parametrize("how", ["extra_package", "setup_file"])
def test_workers_that_have_beam_alone_write_the_same_bytes(
    prism: PrismServer,
    submitter: Path,
    checkout: Path,
    wheel: Path,
    inputs: Path,
    vocabulary: Path,
    at_home: Path,
    tmp_path: Path,
    how: str,
) -> None:
    python = beam_alone(prism, tmp_path / "worker")
    sent = {
        "extra_package": [f"--extra_package={wheel}"],
        # Else boot has pip build with what the worker has: no pybind11, and setuptools of old.
        "setup_file": [
            f"--setup_file={checkout / 'setup.py'}",
            "--experiments=pip_use_build_isolation",
        ],
    }
    flags = ["--runner=PrismRunner", f"--prism_location={prism.home}/prism", *sent[how]]
    # Prism quotes the worker's number as for a shell.
    boot = tmp_path / "boot"
    staged = tmp_path / "staged"
    boot.write_text(f"#!/bin/sh\neval exec '{prism.home}/boot' --semi_persist_dir='{staged}' $*\n")
    boot.chmod(0o755)
    path = os.pathsep.join([str(python.parent), os.environ["PATH"]])
    # It would make another environment below /opt; this one is as new.
    env = {"PATH": path, "PYTHONPATH": "", "RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT": "1"}
    config = json.dumps({"command": str(boot), "env": env})
    flags += ["--environment_type=PROCESS", f"--environment_config={config}"]
    arguments = [*build_arguments(inputs, vocabulary, tmp_path / "out"), *flags]
    built = run(None, *arguments, cwd=tmp_path, python=submitter)
    assert built.returncode == 0, built.stderr
    assert output_bytes(tmp_path / "out") == output_bytes(at_home)
    code = "import tokenizer; print(tokenizer.__file__)"
    assert call(python, "-c", code).startswith(str(python.parent.parent)), "not what was sent"
    shutil.rmtree(tmp_path / "worker")
