"""Uploads in parts that a killed process leaves: the next run ends its own, and no other."""

import gzip
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from fault_proxy import Fault, Request, no_faults
from store_commands import build, content_of, tokenmill, upload
from store_servers import RunningStore

from pipeline.lease import tell_refused
from pipeline.shuffling import remove_blocks
from transforms.filesystem import list_files, read_whole
from transforms.shards.build import Build
from transforms.shards.layout import block_paths, intent_path
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
    killed: list[int] = []

    def kills(request: Request) -> Fault:
        if killed:
            return Fault.ERROR_503
        if not is_part(3, request):
            return Fault.NONE
        os.killpg(process.pid, signal.SIGKILL)
        killed.append(process.pid)
        return Fault.LOST_ANSWER

    store.proxy.faults = kills
    with subprocess.Popen(
        [sys.executable, "-m", "pipeline", "build", "--input", source, "--output", output],
        env={**os.environ, **store.environment},
        start_new_session=True,
    ) as process:
        assert process.wait() == -signal.SIGKILL
    store.proxy.faults = no_faults
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


def test_a_store_that_tells_no_uploads_ends_no_build(
    store: RunningStore, inputs: Path, expected: dict[str, bytes]
) -> None:
    source, output = upload(inputs, store), f"{store.root}/out"
    store.proxy.faults = lambda request: (
        Fault.REFUSED if is_listing_of_uploads(request) else Fault.NONE
    )
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


def publish_large(target: Build, unit: str) -> None:
    with target.stage(f"tokens/{unit}.npy") as staged:
        Path(staged.local_path).write_bytes(bytes(17 << 20))
        target.publish(unit, [staged])


def test_of_a_shared_build_the_attempt_that_succeeds_ends_what_another_left(
    store: RunningStore,
) -> None:
    """Nobody may clear the run of a pipeline that goes on."""
    target = Build.at(f"{store.root}/out", "pipeline", is_shared=True)
    publish_large(target, "a.jsonl")
    assert list(target.files_below("runs")) == []
    for name in ("a.jsonl", "other.jsonl"):
        store.begin_upload(f"out/tokens/{name}.npy")
    publish_large(target, "a.jsonl")
    assert len(store.uploads()) == 2, "no attempt before this one has noted anything"

    stays = Build.at(target.root, "pipeline", is_leased=True)
    target.write("runs/pipeline/owner.json", b"{}")
    publish_large(stays, "a.jsonl")  # its note stays, like that of an attempt that died
    publish_large(target, "a.jsonl")
    assert store.uploads() == ["out/tokens/other.jsonl.npy"]
    assert read_whole(f"{store.root}/out/tokens/a.jsonl.npy") == bytes(17 << 20)


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
