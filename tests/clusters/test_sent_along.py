"""Workers that have Beam and nothing else are sent tokenmill: --extra_package and --setup_file.

    submitter   Beam, tokenmill, setuptools       no compiler's tools: no pybind11
        │ --extra_package WHEEL, or --setup_file setup.py, which Beam packs here
        ▼
    boot        Beam's own, the entry point of its container images, run as a process
        ▼ pip install
    worker      Beam

Dependencies and what builds the sdist come from the package index, as on a cluster that has one.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import build_arguments, run
from engines import REPOSITORY, Engine, process_flags, running_engine
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
def boot_home() -> Path:
    """Where `boot` is, and an environment of Beam alone."""
    home = Path(os.environ.get("TOKENMILL_BOOT", "none"))
    if not (home / "boot").exists():
        pytest.skip("no boot: make test-flink and test-prism build it where Go is")
    return home


@pytest.fixture(scope="session")
def installer(
    boot_home: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Engine]:
    """An engine whose workers can ask for what was sent along: Flink is one without Beam's jars."""
    name = os.environ["TOKENMILL_ENGINE"]
    if name == "spark":
        pytest.skip("on Spark Beam's jars must be the cluster's: it does not see those of a job")
    if name == "prism":
        yield request.getfixturevalue("engine")
        return
    home = Path(os.environ["TOKENMILL_ENGINE_HOME"])
    with running_engine(f"bare-{name}", home, tmp_path_factory.mktemp("bare")) as running:
        yield running


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
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
    boot_home: Path, wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The interpreter of `pip install 'tokenmill[submit]'` in a clean environment."""
    folder = tmp_path_factory.mktemp("submitter") / "environment"
    call("/bin/sh", make_environment(boot_home, folder.parent), folder)
    python = folder / "bin" / "python"
    for package in SENT:
        code = f"import importlib.util as i, sys; sys.exit(i.find_spec({package!r}) is not None)"
        call(python, "-c", code)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    call(*pip, f"{wheel}[submit]")
    missing = subprocess.run([python, "-c", "import pybind11"], capture_output=True, check=False)
    assert missing.returncode, "pybind11 is there: what is packed without it?"
    yield python
    shutil.rmtree(folder)


def make_environment(boot_home: Path, folder: Path) -> Path:
    """A script that makes an environment with Beam and nothing of ours at its first argument.

    Beam's packages are those of another environment, half a gigabyte that nobody has to copy.
    """
    (packages,) = (boot_home / "beam").glob("lib/python*/site-packages")
    script = folder / "make_environment"
    script.write_text(
        f'"{boot_home}/beam/bin/python" -m venv --without-pip "$1" &&\n'
        f'echo "{packages}" > "$1/lib/{packages.parent.name}/site-packages/beam.pth"\n'
    )
    return script


def boot_command(boot_home: Path, folder: Path) -> Path:
    """A command for PROCESS: `boot` in an environment of its own, as on a machine of its own."""
    machines = folder / "machines"
    machines.mkdir()
    script = folder / "boot"
    script.write_text(
        "#!/bin/sh\n"
        f'machine=$(mktemp -d "{machines}/XXXXXX") &&\n'
        f'sh "{make_environment(boot_home, folder)}" "$machine/environment" || exit 1\n'
        # Else it would make another environment below /opt.
        "export RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1\n"
        'export PATH="$machine/environment/bin:$PATH"\n'
        # Python looks for modules in the working folder, which may be a checkout.
        'cd "$machine" || exit 1\n'
        # Prism quotes the worker's number as for a shell.
        f'eval exec "{boot_home}/boot" --semi_persist_dir="$machine/staged" "$*"\n'
    )
    script.chmod(0o755)
    return script


@pytest.mark.parametrize("how", ["extra_package", "setup_file"])
def test_workers_that_have_beam_alone_write_the_same_bytes(
    installer: Engine,
    boot_home: Path,
    submitter: Path,
    checkout: Path,
    wheel: Path,
    inputs: Path,
    vocabulary: Path,
    at_home: Path,
    tmp_path: Path,
    how: str,
) -> None:
    sent = {
        "extra_package": [f"--extra_package={wheel}"],
        # Else boot has pip build with what the worker has: no pybind11, and setuptools of old.
        "setup_file": [
            f"--setup_file={checkout / 'setup.py'}",
            "--experiments=pip_use_build_isolation",
        ],
    }
    command = boot_command(boot_home, tmp_path)
    flags = [*installer.submit_flags(), *process_flags(command, {"PYTHONPATH": ""}), *sent[how]]
    arguments = [*build_arguments(inputs, vocabulary, tmp_path / "out"), *flags]
    built = run(None, *arguments, cwd=tmp_path, python=submitter)
    assert built.returncode == 0, built.stderr
    assert output_bytes(tmp_path / "out") == output_bytes(at_home)
    installer.wait_until_idle()
    machines = list((tmp_path / "machines").iterdir())
    assert machines
    for machine in machines:
        python = machine / "environment/bin/python"
        found = call(python, "-c", "import tokenizer; print(tokenizer.__file__)")
        assert found.startswith(str(machine)), "not what was sent"
        shutil.rmtree(machine)
