"""Inputs and output on a store: workers read and write it, and every byte is that of home.

the engine's own environment    AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY
`env` of PROCESS                what is no secret: AWS_ENDPOINT_URL, AWS_REGION; of stores that
                                have no keys, or an emulator's published ones, everything
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import build_arguments, run
from conftest import KEYS_OF_STORE
from engines import Engine
from sample_inputs import output_bytes
from store_commands import content_of, upload
from store_servers import RunningStore, on_hdfs_too, running_server

from transforms.filesystem import list_files

pytestmark = pytest.mark.clusters


@pytest.fixture(scope="module")
def store_server(engine: Engine, request: pytest.FixtureRequest) -> Iterator[RunningStore]:
    """The server of a scheme, for engines that do not start JVMs for each job, or of s3://."""
    if engine.STARTS_JVMS and request.param != "s3":
        pytest.skip("minutes of starting JVMs: workers are the same, and others' tests look")
    with running_server(request.param) as running:
        yield running


class Submitter:
    """Commands that end well, at home or on the engine, on a store.

    Args:
        engine: where. store: what workers are told of, but for its keys. folder: to work in.
    """

    def __init__(self, engine: Engine, store: RunningStore, folder: Path) -> None:
        self._engine = engine
        given = store.environment.items()
        self._env = {name: value for name, value in given if name not in KEYS_OF_STORE}
        self._folder = folder

    def at_home(self, *arguments: str | Path) -> str:
        """What the command prints."""
        return self._run(None, *arguments)

    def there(self, *arguments: str | Path) -> str:
        """What the command prints whose work the engine's workers do."""
        return self._run(self._engine, *arguments)

    def _run(self, where: Engine | None, *arguments: str | Path) -> str:
        ended = run(where, *arguments, cwd=self._folder, env=self._env)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout


@pytest.fixture
def submit(engine: Engine, store: RunningStore, tmp_path: Path) -> Submitter:
    return Submitter(engine, store, tmp_path)


def records_of(folder: str) -> list[str]:
    """What runs that are over have left in a build or export: nothing that was under way."""
    kept = sorted(file.path for file in list_files(f"{folder}/runs"))
    assert kept
    assert not [path for path in kept if "/staging/" in path or path.endswith("owner.json")]
    return kept


@on_hdfs_too
def test_a_build_on_a_store_has_the_same_bytes_and_is_verified_there(
    submit: Submitter, store: RunningStore, inputs: Path, vocabulary: Path, at_home: Path
) -> None:
    upload(inputs, store)
    there, output = f"{store.root}/in", f"{store.root}/out"
    submit.there(*build_arguments(there, vocabulary, output))
    assert content_of(output) == output_bytes(at_home)
    records = records_of(output)
    said = submit.there("verify", output, "--retokenize", "1", "--input-root", there)
    assert said.startswith(f"verified: {output}\n")
    assert records_of(output) == records, "the verification has left something"


@pytest.mark.parametrize("store_server", ["s3"], indirect=True, scope="module")
def test_a_shuffled_export_on_a_store_has_the_same_bytes_and_is_verified_there(
    engine: Engine, submit: Submitter, store: RunningStore, at_home: Path, tmp_path: Path
) -> None:
    if engine.STARTS_JVMS:
        pytest.skip("three jobs, each with JVMs of its own: others' tests look")
    upload(at_home, store)
    source, output = f"{store.root}/in", f"{store.root}/export"
    export = ["--format", "megatron", "--shuffle", "1", "--output"]
    submit.at_home("export", at_home, *export, tmp_path / "export")
    submit.there("export", source, *export, output)
    assert content_of(output) == output_bytes(tmp_path / "export")
    records = records_of(output)
    assert submit.there("verify", output).startswith(f"verified: {output}\n")
    assert records_of(output) == records, "the verification has left something"
