"""Fixtures that more than one test module uses."""

import os
import shutil
from pathlib import Path

import pytest
from small_build import make_build, write_inputs

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real files beside the checkout (or at $TOKENMILL_SHARED_DATA); skips where there are none."""
    folder = Path(os.environ.get("TOKENMILL_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}")
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small sound build in `output`, made of what is in `input`."""
    folder = tmp_path_factory.mktemp("made")
    write_inputs(folder / "input")
    make_build(folder / "input", folder / "output")
    return folder


@pytest.fixture
def output(made: Path, tmp_path: Path) -> Path:
    """A copy of the sound build, to damage."""
    return Path(shutil.copytree(made / "output", tmp_path / "output"))
