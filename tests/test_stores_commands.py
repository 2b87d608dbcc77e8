"""Whole commands on a store: the same bytes as on a local disk, at a bounded cost."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_build import write_inputs
from store_commands import build, content_of, tokenmill, upload
from store_servers import RunningStore, on_hdfs_too

import tokenmill as tokenmill_package
from pipeline.lease import tell_refused
from pipeline.shuffling import remove_blocks
from transforms.filesystem import delete_files, list_files, put_file
from transforms.loading.batches import Batches
from transforms.shards.build import Build
from transforms.shards.layout import claims_folder

pytestmark = pytest.mark.stores


@on_hdfs_too
def test_build_resume_verify_and_inspect_on_a_store(store: RunningStore, tmp_path: Path) -> None:
    write_inputs(tmp_path / "in")
    build(f"{tmp_path}/in/**", f"{tmp_path}/out", store)
    expected = content_of(f"{tmp_path}/out")
    inputs, output = upload(tmp_path / "in", store), f"{store.root}/out"
    build(inputs, output, store)
    assert content_of(output) == expected

    delete_files([f"{output}/receipts/plain.txt.json", f"{output}/manifest.json"])
    assert "resuming: 1 of 2 units done" in build(inputs, output, store)
    assert content_of(output) == expected

    verified = tokenmill("verify", output, store=store)
    assert verified.returncode == 0, verified.stderr
    shown = tokenmill("inspect", output, "--document", "d9", store=store)
    assert shown.returncode == 0, shown.stderr
    local = tokenmill("inspect", f"{tmp_path}/out", "--document", "d9", store=store)
    assert shown.stdout.replace(output, "") == local.stdout.replace(f"{tmp_path}/out", "")

    delete_files(
        [next(name for name in map("/".join, [[output, n] for n in expected]) if "tokens" in name)]
    )
    assert tokenmill("verify", output, store=store).returncode == 1


def test_a_unit_costs_at_most_eight_requests(store: RunningStore, tmp_path: Path) -> None:
    units = 60
    (tmp_path / "in").mkdir()
    for number in range(units):
        line = json.dumps({"text": f"Document number {number}."})
        (tmp_path / f"in/{number:03}.jsonl").write_text(line + "\n", encoding="utf-8")
    inputs, output = upload(tmp_path / "in", store), f"{store.root}/out"
    store.proxy.forget()
    build(inputs, output, store)
    assert len(store.proxy.requests) <= 8 * units
    store.proxy.forget()
    assert f"nothing to do: {units} units done already" in build(inputs, output, store)
    assert len(store.proxy.requests) <= 2 * units


@on_hdfs_too
@pytest.mark.parametrize("more", [[], ["--shuffle", "1", "--shuffle-tokens", "300"]])
def test_an_export_has_the_same_bytes_on_a_store(
    store: RunningStore, tmp_path: Path, scratch: Path, more: list[str]
) -> None:
    write_inputs(tmp_path / "in")
    build(f"{tmp_path}/in/**", f"{tmp_path}/out", store)
    build(upload(tmp_path / "in", store), f"{store.root}/out", store)
    settings = ["--format", "olmo", "--shard-tokens", "100", "--split", "test=0.3", *more]
    for place in (str(tmp_path), store.root):
        made = tokenmill(
            "export", f"{place}/out", "--output", f"{place}/ex", *settings, store=store
        )
        assert made.returncode == 0, made.stderr
    assert content_of(f"{store.root}/ex") == content_of(f"{tmp_path}/ex")
    checked = tokenmill("verify", f"{store.root}/ex", store=store)
    assert checked.returncode == 0, checked.stderr
    assert [path for path in scratch.iterdir() if path.name.startswith("tokenmill-")] == []
    there = tokenmill("find", f"{store.root}/ex", "--id", "d9", store=store)
    assert there.returncode == 0, there.stderr
    assert there.stdout == tokenmill("find", f"{tmp_path}/ex", "--id", "d9", store=store).stdout


def test_an_export_in_order_asks_for_no_blocks(store: RunningStore, tmp_path: Path) -> None:
    write_inputs(tmp_path / "in")
    build(f"{tmp_path}/in/**", f"{tmp_path}/out", store)
    made = tokenmill(
        *("export", f"{tmp_path}/out", "--output", f"{store.root}/ex", "--format", "olmo"),
        store=store,
    )
    assert made.returncode == 0, made.stderr
    assert store.proxy.requests
    assert not [one for one in store.proxy.requests if "shuffle" in one.target]


@on_hdfs_too
def test_with_the_blocks_of_a_shuffle_go_the_claims_of_workers_elsewhere(
    store: RunningStore,
) -> None:
    place = Build.at(f"{store.root}/ex/shuffle", "run")
    place.write("tokens/blocks/000000.bin", b"block")
    place.write(f"{claims_folder('run', 0)}/0", b"a worker")
    place.write(f"{claims_folder('dead', 0)}/0", b"another")
    remove_blocks(place, tell_refused)
    assert not list(list_files(f"{store.root}/ex"))


def test_a_watch_on_a_store_takes_objects_when_they_are_seen(
    store: RunningStore, tmp_path: Path
) -> None:
    write_inputs(tmp_path / "in")
    build(f"{tmp_path}/in/**", f"{tmp_path}/out", store)
    inputs, output = f"{store.root}/in/**", f"{store.root}/out"
    arguments = ["--input", inputs, "--output", output, "--max-rejects", "0.9", "--once"]
    put_file(str(tmp_path / "in/plain.txt"), f"{store.root}/in/plain.txt")
    first = tokenmill("watch", *arguments, store=store)
    assert first.stdout.startswith("version 1: 1 input more"), first.stderr
    upload(tmp_path / "in", store)
    delete_files([f"{store.root}/in/plain.txt"])
    second = tokenmill("watch", *arguments, store=store)
    assert second.stdout.startswith("version 2: 1 input more, 2 inputs"), second.stderr
    found = content_of(output)
    versions = {name for name in found if name.startswith("versions/")}
    assert {name: found[name] for name in found.keys() - versions} == content_of(f"{tmp_path}/out")
    for version in ("1", "2"):
        verified = tokenmill("verify", output, "--version", version, store=store)
        assert verified.returncode == 0, verified.stderr


def export_of(place: str, name: str, store: RunningStore, *settings: str) -> str:
    """The export of `place`/out in that format, to `place`/`name`."""
    output = f"{place}/{name}"
    made = tokenmill("export", f"{place}/out", "--output", output, *settings, store=store)
    assert made.returncode == 0, made.stderr
    return output


@pytest.fixture
def two_builds(store: RunningStore, tmp_path: Path) -> tuple[str, str]:
    """A folder here and one on the store, each with the same build in `out`."""
    write_inputs(tmp_path / "in")
    build(f"{tmp_path}/in/**", f"{tmp_path}/out", store)
    build(upload(tmp_path / "in", store), f"{store.root}/out", store)
    return str(tmp_path), store.root


FORMATS = {
    "megatron": ["--shard-tokens", "100", "--shuffle", "1", "--shuffle-tokens", "300"],
    "npy": ["--shard-tokens", "100", "--sequence-length", "16", "--tail", "carry"],
}


@on_hdfs_too
@pytest.mark.parametrize("name", FORMATS)
def test_exports_of_a_store_are_read_back_and_feed_a_loop(
    store: RunningStore, two_builds: tuple[str, str], name: str
) -> None:
    here, there = (
        export_of(place, name, store, "--format", name, *FORMATS[name]) for place in two_builds
    )
    assert content_of(there) == content_of(here)
    assert tokenmill("verify", there, store=store).returncode == 0
    ending = {"megatron": "bin", "npy": "npy"}[name]
    found = [
        tokenmill("find", place, "--at", f"train/000000.{ending}:7", store=store).stdout
        for place in (here, there)
    ]
    assert found[0] == found[1] != ""
    loops = [
        tokenmill_package.open(place).batches(15 if name == "npy" else 32, 2, seed=3)
        for place in (here, there)
    ]
    assert_same_batches(*loops)


def assert_same_batches(one: Batches, other: Batches) -> None:
    count = 0
    for expected, found in zip(one, other, strict=True):
        assert np.array_equal(found.input, expected.input)
        assert np.array_equal(found.target, expected.target)
        assert np.array_equal(found.documents, expected.documents)
        count += 1
    assert count > 1


def test_a_build_on_a_store_gives_the_batches_of_one_here(
    store: RunningStore, two_builds: tuple[str, str]
) -> None:
    here, there = (
        tokenmill_package.open(f"{place}/out").batches(32, 2, seed=3) for place in two_builds
    )
    assert_same_batches(here, there)
    fresh = tokenmill_package.open(f"{two_builds[1]}/out")
    resumed = fresh.batches(32, 2, seed=3)
    first = next(iter(here))
    resumed.load_state_dict(here.state_dict(first.next_sample))
    assert np.array_equal(next(iter(resumed)).input, list(there)[1].input)
    assert (
        fresh["d9"].tokens.tolist()
        == tokenmill_package.open(f"{two_builds[0]}/out")["d9"].tokens.tolist()
    )


@pytest.mark.parametrize("shuffle", [[], ["--shuffle", "1", "--weight", "code=2"]])
def test_builds_here_and_on_a_store_are_joined(
    store: RunningStore, two_builds: tuple[str, str], shuffle: list[str]
) -> None:
    here, there = two_builds
    settings = ["--format", "olmo", "--shard-tokens", "100", *shuffle]
    outputs = []
    for number, (web, code) in enumerate([(here, here), (there, here), (there, there)]):
        output = f"{there if number else here}/joined{number}"
        sources = [f"web={web}/out", f"code={code}/out"]
        made = tokenmill("export", *sources, "--output", output, *settings, store=store)
        assert made.returncode == 0, made.stderr
        outputs.append(content_of(output))
    assert outputs[0] == outputs[1] == outputs[2]
    checked = tokenmill("verify", output, store=store)
    assert checked.returncode == 0, checked.stderr
    assert len({name for name in outputs[0] if name.endswith(".npy")}) > 2


def test_an_export_fetches_no_whole_shard_of_a_store(
    store: RunningStore, two_builds: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large shard of a build is cut into many of an export: each reads its own ids."""
    copied: list[str] = []
    local_copy = Build.local_copy

    def noted(build: Build, relative: str) -> Any:
        copied.append(relative)
        return local_copy(build, relative)

    monkeypatch.setattr(Build, "local_copy", noted)
    output = Path(two_builds[0]) / "ranges"
    result = tokenmill_package.export(
        f"{two_builds[1]}/out", output, format="bin", shard_tokens=20, workers=None
    )
    assert len(result.manifest.shards) > 3
    assert copied
    assert not [path for path in copied if path.startswith("tokens/")]
