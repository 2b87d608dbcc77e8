"""Fixtures that more than one test module uses."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_proxy import no_faults
from small_build import make_build, write_inputs
from store_servers import RunningStore, running_server
from watch_story import Story

from transforms import filesystem

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real files beside the checkout (or at $TOKENMILL_SHARED_DATA); skips where there are none."""
    folder = Path(os.environ.get("TOKENMILL_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}")
    return folder


@pytest.fixture(scope="session")
def package_folder(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Where fetched packages are kept: between runs, or for this one under -p no:cacheprovider."""
    cache = getattr(request.config, "cache", None)
    return tmp_path_factory.mktemp("npm") if cache is None else Path(cache.mkdir("npm"))


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


@pytest.fixture
def story(tmp_path: Path) -> Story:
    """A watch of an empty folder, not begun."""
    return Story(tmp_path)


@pytest.fixture(scope="module", params=["s3", "gs", "az"])
def store_server(request: pytest.FixtureRequest) -> Iterator[RunningStore]:
    """A server of each kind of object store; skips where it is not installed."""
    with running_server(request.param) as running:
        yield running


@pytest.fixture
def store(
    store_server: RunningStore, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[RunningStore]:
    """A folder of the test's own on a server, without faults."""
    for name, value in store_server.environment.items():
        monkeypatch.setenv(name, value)
    filesystem._open_store.cache_clear()
    store_server.proxy.faults = no_faults
    folder = request.node.name.replace("[", "-").replace("]", "")
    store_server.proxy.forget()
    root = f"{store_server.root}/{folder}"
    yield RunningStore(root, store_server.environment, store_server.proxy)
    store_server.proxy.faults = no_faults
    filesystem._open_store.cache_clear()


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where commands keep temporary files; the name of a socket has at most 107 bytes."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)
