"""Fixtures that more than one test module uses."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real files beside the checkout (or at $TOKENMILL_SHARED_DATA); skips where there are none."""
    folder = Path(os.environ.get("TOKENMILL_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}")
    return folder
