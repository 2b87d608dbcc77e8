"""Builds on a store that fails: they end with a local build's bytes, and leave nothing else."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import pytest
from fault_proxy import Fault, Request, no_faults, share_of
from small_build import write_inputs
from store_commands import build, content_of, kill_at, tokenmill, upload
from store_servers import RunningStore, on_hdfs_too

from transforms.filesystem import list_files, write_whole
from transforms.shards.build import Build
from transforms.shards.recovery import clear_run

pytestmark = [pytest.mark.stores, pytest.mark.usefixtures("scratch")]


@pytest.fixture
def expected(store: RunningStore, tmp_path: Path) -> dict[str, bytes]:
    """What a build of the inputs in `in`, beside it and on the store, has to hold."""
    write_inputs(tmp_path / "in")
    build(f"{tmp_path}/in/**", f"{tmp_path}/out", store)
    upload(tmp_path / "in", store)
    return content_of(f"{tmp_path}/out")


def check_whole(store: RunningStore, scratch: Path, expected: dict[str, bytes]) -> None:
    """The build is what it should be, and all else of it is the records of runs that ended."""
    store.proxy.faults = no_faults
    output = f"{store.root}/out"
    assert content_of(output) == expected
    kept = {file.path.rpartition("/")[2] for file in list_files(f"{output}/runs")}
    assert kept == {"run.json", "inputs.json"}
    assert list(scratch.iterdir()) == []
    assert store.uploads() == []


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_failing_requests_change_no_byte(
    store: RunningStore, scratch: Path, expected: dict[str, bytes], share: float
) -> None:
    store.proxy.faults = share_of(share, Fault.ERROR_500, Fault.ERROR_503, Fault.LOST_ANSWER)
    build(f"{store.root}/in/**", f"{store.root}/out", store)
    assert tokenmill("verify", f"{store.root}/out", store=store).returncode == 0
    check_whole(store, scratch, expected)


@pytest.mark.parametrize("seconds", [3.0, pytest.param(60.0, marks=pytest.mark.slow)])
def test_an_outage_is_waited_for(
    store: RunningStore, scratch: Path, expected: dict[str, bytes], seconds: float
) -> None:
    """From the moment in which a unit is about to be committed."""
    begun: list[float] = []
    failed: list[Request] = []

    def fails(request: Request) -> Fault:
        if not begun and is_receipt(request):
            begun.append(time.monotonic())
        if not begun or time.monotonic() > begun[0] + seconds:
            return Fault.NONE
        failed.append(request)
        return Fault.ERROR_503

    store.proxy.faults = fails
    build(f"{store.root}/in/**", f"{store.root}/out", store)
    assert len(failed) > 3
    check_whole(store, scratch, expected)


@pytest.mark.slow  # a connection is given up after half a minute
def test_stalled_connections_are_given_up(
    store: RunningStore, scratch: Path, expected: dict[str, bytes]
) -> None:
    waiting = [("GET", "/in/"), ("PUT", "/out/tokens/"), ("PUT", "/out/receipts/")]

    def fails(request: Request) -> Fault:
        """The first request of each kind."""
        for kind in waiting:
            if request.method == kind[0] and kind[1] in unquote(request.target):
                waiting.remove(kind)
                return Fault.STALL
        return Fault.NONE

    store.proxy.faults = fails
    build(f"{store.root}/in/**", f"{store.root}/out", store)
    assert waiting == []
    check_whole(store, scratch, expected)


def test_a_store_that_refuses_to_delete_ends_no_build(
    store: RunningStore, scratch: Path, expected: dict[str, bytes]
) -> None:
    refused: list[Request] = []

    def fails(request: Request) -> Fault:
        if request.method == "DELETE" or is_delete_of_many(request):
            refused.append(request)
            return Fault.REFUSED
        return Fault.NONE

    store.proxy.faults = fails
    inputs, output = f"{store.root}/in/**", f"{store.root}/out"
    build(inputs, output, store)
    assert refused
    assert content_of(output) == expected
    # What had to stay is cleared by the next run that may.
    store.proxy.faults = no_faults
    assert "nothing to do: 2 units done already" in build(inputs, output, store)
    check_whole(store, scratch, expected)


def is_delete_of_many(request: Request) -> bool:
    """Whether it is a request to delete several objects, as S3 or Azure has it."""
    query = request.target.partition("?")[2]
    return request.method == "POST" and not {"delete", "comp=batch"}.isdisjoint(query.split("&"))


def is_put_of(part: str, request: Request) -> bool:
    """Whether it writes an object with this in its name."""
    return request.method == "PUT" and part in unquote(request.target)


def is_receipt(request: Request) -> bool:
    """Whether it commits a unit."""
    return is_put_of("/out/receipts/", request)


def is_shard(request: Request) -> bool:
    """Whether it publishes a file of a unit that is not committed yet."""
    return is_put_of("/out/tokens/", request)


def is_manifest(request: Request) -> bool:
    """Whether it completes the build."""
    return is_put_of("/out/manifest.json", request)


@pytest.mark.parametrize("last", [is_shard, is_receipt, is_manifest])
def test_a_killed_build_is_resumed(
    store: RunningStore,
    scratch: Path,
    expected: dict[str, bytes],
    last: Callable[[Request], bool],
) -> None:
    """All its processes, as it asks for that: the server sees this request, and no other."""
    inputs, output = f"{store.root}/in/**", f"{store.root}/out"
    arguments = ["--max-rejects", "0.9", "--input", inputs, "--output", output]
    kill_at(last, "build", *arguments, store=store)
    for folder in scratch.glob("pymp-*"):  # the socket of Python's fork server
        shutil.rmtree(folder)
    build(inputs, output, store)
    assert tokenmill("verify", output, store=store).returncode == 0
    check_whole(store, scratch, expected)


@on_hdfs_too
def test_what_a_dead_run_was_writing_is_removed(store: RunningStore) -> None:
    target = Build.at(f"{store.root}/out", "mine")
    for name in ("run.json", ".a.npy.0123.tmp", "staging/a", "owner.json"):
        write_whole(target.path(f"runs/dead/{name}"), b"1")
    clear_run(target, "dead")
    assert list(target.files_below("runs")) == ["runs/dead/run.json"]
