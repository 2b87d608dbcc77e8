"""Uploads in parts that a killed process leaves: the next run ends its own, and no other."""

import gzip
import json
import logging
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from fault_proxy import LASTING, Fault, Request
from store_commands import build, content_of, kill_at, tokenmill, upload
from store_servers import RunningStore

from pipeline.lease import tell_refused
from pipeline.shuffling import remove_blocks
from transforms.filesystem import list_files, read_whole
from transforms.passes.tokenize import TokenizePass
from transforms.passes.work_pass import WorkUnit, run_unit
from transforms.settings import TokenizeSettings
from transforms.shards.build import Build
from transforms.shards.layout import attempt_path, block_paths, intent_path
from transforms.shards.recovery import clear_run
from transforms.shards.unit_records import Intent

pytestmark = [
    pytest.mark.stores,
    pytest.mark.usefixtures("scratch"),
    # Azure forgets such parts by itself, and tells of none.
    pytest.mark.parametrize("store_server", ["s3", "gs"], indirect=True, scope="module"),
]
SHARD = "out/tokens/large.jsonl.gz.npy"
# Beside a build's own files, and in an output whose name begins with the same letters.
FOREIGN = ["out/tokens/foreign.npy", "out2/tokens/large.jsonl.gz.npy"]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An input whose shard has 18 MB, and so goes in three parts."""
    folder = tmp_path_factory.mktemp("large")
    line = json.dumps({"text": "a b" * 2_250}).encode() + b"\n"
    (folder / "large.jsonl.gz").write_bytes(gzip.compress(line * 2_100, 1))
    return folder


@pytest.fixture(scope="module")
def expected(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The build of it on a local disk."""
    output = f"{tmp_path_factory.mktemp('expected')}/out"
    command = [sys.executable, "-m", "pipeline", "build"]
    subprocess.run([*command, "--input", f"{inputs}/**", "--output", output], check=True)
    found = content_of(output)
    assert len(found["tokens/large.jsonl.gz.npy"]) > 17 << 20
    return found


def is_part(number: int, request: Request) -> bool:
    """Whether it sends that part of an upload."""
    return request.method == "PUT" and f"partNumber={number}&" in request.target


def is_listing_of_uploads(request: Request) -> bool:
    """Whether it asks for uploads that have not ended."""
    query = request.target.partition("?")[2]
    return request.method == "GET" and "uploads" in query.replace("=", "&").split("&")


def run_records(store: RunningStore) -> set[str]:
    """What is left of runs."""
    return {file.path.rpartition("/")[2] for file in list_files(f"{store.root}/out/runs")}


def test_the_next_run_aborts_what_a_killed_one_was_uploading_and_nothing_else(
    store: RunningStore, inputs: Path, expected: dict[str, bytes]
) -> None:
    for name in FOREIGN:
        store.begin_upload(name)
    source, output = upload(inputs, store), f"{store.root}/out"
    kill_at(partial(is_part, 3), "build", "--input", source, "--output", output, store=store)
    assert store.uploads() == sorted([SHARD, *FOREIGN])

    build(source, output, store)
    assert store.uploads() == FOREIGN
    assert content_of(output) == expected
    assert run_records(store) == {"run.json", "inputs.json"}
    assert tokenmill("verify", output, store=store).returncode == 0


def test_a_run_whose_worker_was_killed_aborts_what_that_was_uploading(
    store: RunningStore, inputs: Path, expected: dict[str, bytes]
) -> None:
    store.begin_upload(FOREIGN[0])
    source, output = upload(inputs, store), f"{store.root}/out"
    port = urlsplit(store.proxy.url).port
    killed: list[int] = []

    def kills(request: Request) -> Fault:
        if not killed and is_part(3, request):
            for child in psutil.Process(process.pid).children(recursive=True):
                if any(one.raddr and one.raddr.port == port for one in child.net_connections()):
                    killed.append(child.pid)
                    child.kill()
        return Fault.NONE

    command = [sys.executable, "-m", "pipeline", "build", "--workers", "1"]
    store.proxy.faults = kills
    with subprocess.Popen(
        [*command, "--input", source, "--output", output],
        env={**os.environ, **store.environment},
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.wait() == 1
    assert len(killed) == 1
    assert store.uploads() == [FOREIGN[0]]
    assert "owner.json" not in run_records(store)
    build(source, output, store)
    assert content_of(output) == expected


def test_an_upload_that_was_begun_twice_is_left_by_no_run(
    store: RunningStore, inputs: Path, expected: dict[str, bytes]
) -> None:
    """The answer that the upload has begun is lost, so it is begun again."""
    lost: list[Request] = []

    def loses(request: Request) -> Fault:
        if not lost and request.method == "POST" and "uploads" in request.target:
            lost.append(request)
            return Fault.LOST_ANSWER
        return Fault.NONE

    source = upload(inputs, store)
    store.proxy.faults = loses
    build(source, f"{store.root}/out", store)
    assert lost
    assert store.uploads() == []
    assert content_of(f"{store.root}/out") == expected
    assert run_records(store) == {"run.json", "inputs.json"}


@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.ERROR_404])
def test_a_store_that_tells_no_uploads_ends_no_build(
    fault: Fault, store: RunningStore, inputs: Path, expected: dict[str, bytes]
) -> None:
    source, output = upload(inputs, store), f"{store.root}/out"
    store.proxy.faults = lambda request: fault if is_listing_of_uploads(request) else Fault.NONE
    said = build(source, output, store)
    assert "uploads of processes that were killed may be left; have the bucket abort" in said
    assert content_of(output) == expected
    assert run_records(store) == {"run.json", "inputs.json"}
    assert "may be left" not in build(source, output, store), "nothing was uploaded"


def test_small_files_cost_no_request_for_uploads(store: RunningStore, tmp_path: Path) -> None:
    (tmp_path / "small.txt").write_text("One document.", encoding="utf-8")
    source = upload(tmp_path, store)
    build(source, f"{store.root}/out", store)
    assert not any(map(is_listing_of_uploads, store.proxy.requests))


@pytest.mark.parametrize("fault", LASTING)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_what_is_left_of_a_dead_run_is_cleared_though_a_store_aborts_no_upload(
    fault: Fault, method: str, store: RunningStore
) -> None:
    target = Build.at(f"{store.root}/out", "mine")
    store.begin_upload("out/tokens/a.jsonl.npy")
    note = Intent("a.jsonl", ("tokens/a.jsonl.npy",))
    target.write(intent_path("dead", note.unit), note.to_json())

    def refuses(request: Request) -> Fault:
        is_of_uploads = is_listing_of_uploads(request) or "uploadId=" in request.target
        return fault if is_of_uploads and request.method == method else Fault.NONE

    store.proxy.faults = refuses
    told: list[Exception] = []
    clear_run(target, "dead", told.append)
    has_ended = method == "DELETE" and fault is Fault.ERROR_404  # says the store
    assert len(told) == (0 if has_ended else 1)
    assert list(target.files_below("runs")) == []


@pytest.fixture
def shared(store: RunningStore) -> Build:
    """Where a pipeline writes: nobody may clear its run while it goes on."""
    return Build.at(f"{store.root}/out", "pipeline", is_shared=True)


@pytest.fixture
def unit(inputs: Path) -> WorkUnit:
    path = inputs / "large.jsonl.gz"
    return WorkUnit(path.name, str(path), path.stat().st_size)


WORK = TokenizePass(TokenizeSettings())


def begin_attempt(store: RunningStore, shared: Build, unit: WorkUnit, attempt: str) -> None:
    """What one that is killed while it uploads has done until then."""
    note = Intent(unit.name, (SHARD.removeprefix("out/"),))
    shared.write(attempt_path(shared.run, unit.name, attempt), note.to_json())
    store.begin_upload(SHARD)


@pytest.mark.parametrize("at_part", [None, 3])
def test_of_a_shared_build_the_attempt_that_succeeds_ends_what_another_left(
    at_part: int | None,
    store: RunningStore,
    shared: Build,
    unit: WorkUnit,
    expected: dict[str, bytes],
) -> None:
    """One that had died before, or that began meanwhile, and is killed."""
    other = "out/tokens/other.jsonl.npy"
    store.begin_upload(other)
    begun: list[Request] = []

    def begins(request: Request) -> Fault:
        if not begun and at_part and is_part(at_part, request):
            begun.append(request)
            begin_attempt(store, shared, unit, "second")
        return Fault.NONE

    if at_part is None:
        begin_attempt(store, shared, unit, "first")
    store.proxy.faults = begins
    receipt = run_unit(WORK, unit, shared)
    assert store.uploads() == [other]
    assert list(shared.files_below("runs")) == []
    assert read_whole(f"{store.root}/{SHARD}") == expected[SHARD.removeprefix("out/")]
    assert run_unit(WORK, unit, shared) == receipt


def test_an_attempt_that_a_faster_one_ends_finds_the_unit_done(
    store: RunningStore, shared: Build, unit: WorkUnit, expected: dict[str, bytes]
) -> None:
    """As where Spark tries a slow task a second time."""
    faster: list[object] = []

    def overtakes(request: Request) -> Fault:
        if not faster and is_part(3, request):
            faster.append("begins")
            faster.append(run_unit(WORK, unit, shared))
            # So stores answer parts of uploads that were aborted; moto with status 500.
            return Fault.ERROR_404
        return Fault.NONE

    store.proxy.faults = overtakes
    assert [run_unit(WORK, unit, shared)] == faster[1:]
    assert list(shared.files_below("runs")) == [], "neither a note nor a failure"
    assert store.uploads() == []
    assert read_whole(f"{store.root}/{SHARD}") == expected[SHARD.removeprefix("out/")]


@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.ERROR_501])
def test_where_a_pipeline_may_not_abort_uploads_its_log_says_so_and_the_note_stays(
    fault: Fault,
    store: RunningStore,
    shared: Build,
    unit: WorkUnit,
    caplog: pytest.LogCaptureFixture,
) -> None:
    begin_attempt(store, shared, unit, "first")
    store.proxy.faults = lambda request: fault if is_listing_of_uploads(request) else Fault.NONE
    with caplog.at_level(logging.WARNING):
        receipt = run_unit(WORK, unit, shared)
    assert "uploads of attempts that were killed may be left; have the bucket abort" in caplog.text
    assert shared.receipt(unit.name) == receipt
    assert shared.exists(attempt_path(shared.run, unit.name, "first"))


def test_notes_of_anything_but_a_units_own_files_abort_nothing(store: RunningStore) -> None:
    target = Build.at(f"{store.root}/out", "mine")
    store.begin_upload("out/tokens/b.jsonl.npy")
    for number, (unit, path) in enumerate(
        [("a.jsonl", "tokens/b.jsonl.npy"), ("../a", "tokens/b.jsonl.npy"), ("a", "../out2/b.npy")]
    ):
        target.write(f"runs/dead/staging/{number}.intent", Intent(unit, (path,)).to_json())
    target.write("runs/dead/staging/broken.intent", b"{")
    clear_run(target, "dead")
    assert store.uploads() == ["out/tokens/b.jsonl.npy"]
    assert list(target.files_below("runs")) == []


def test_what_a_shuffle_was_uploading_goes_with_its_blocks(store: RunningStore) -> None:
    blocks = Build.at(f"{store.root}/out/shuffle", "dead")
    names = [f"out/shuffle/{path}" for path in block_paths("blocks/000000")]
    foreign = "out/shuffle/tokens/foreign.bin"
    for name in [*names, foreign]:
        store.begin_upload(name)
    note = Intent("blocks/000000", block_paths("blocks/000000"))
    blocks.write(intent_path("dead", note.unit), note.to_json())
    blocks.write("tokens/blocks/000001.bin", b"1")
    remove_blocks(blocks, tell_refused)
    assert store.uploads() == [foreign]
    assert list(list_files(blocks.root)) == []
