"""One engine for all tests of a run: `make test-flink` and the like say which."""

import base64
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sample_inputs import write_inputs

sys.path.insert(0, str(Path(__file__).parent))

from commands import build_arguments, run
from engines import Engine, running_engine

KEYS_OF_STORE = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The engine that $TOKENMILL_ENGINE names; it and all it started end with the tests."""
    name = os.environ.get("TOKENMILL_ENGINE")
    if name is None:
        pytest.skip("make test-flink, test-spark and test-prism say which engine, and install it")
    # To be told to end is no reason to leave a cluster behind. And what a script starts in the
    # background ignores SIGINT, and so would all that it starts: nothing could be interrupted.
    for asked in (signal.SIGTERM, signal.SIGINT):
        signal.signal(asked, signal.default_int_handler)
    home = Path(os.environ["TOKENMILL_ENGINE_HOME"])
    with pytest.MonkeyPatch.context() as patch:
        # What a job's `env` must not hold: workers have it of the engine that starts them.
        for key, value in KEYS_OF_STORE.items():
            patch.setenv(key, value)
        with running_engine(name, home, tmp_path_factory.mktemp("engine")) as running:
            yield running


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of six inputs in all formats, some records bad."""
    folder = tmp_path_factory.mktemp("inputs")
    write_inputs(folder, 20)
    return folder


@pytest.fixture(scope="session")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that is nowhere but here: a token a byte."""
    path = tmp_path_factory.mktemp("vocabulary") / "bytes.tiktoken"
    ranks = [f"{base64.b64encode(bytes([i])).decode()} {i}\n" for i in range(256)]
    path.write_text("".join(ranks))
    return path


@pytest.fixture(scope="session")
def at_home(inputs: Path, vocabulary: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build of these inputs as it is made here."""
    folder = tmp_path_factory.mktemp("home")
    built = run(None, *build_arguments(inputs, vocabulary, folder / "out"), cwd=folder)
    assert built.returncode == 0, built.stderr
    return folder / "out"


@pytest.fixture
def faults(tmp_path: Path) -> Path:
    """The folder by which workers are asked for faults (worker_faults.py)."""
    folder = tmp_path / "faults"
    folder.mkdir()
    return folder
