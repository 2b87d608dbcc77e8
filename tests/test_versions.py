"""Versions of a build that grows: a chain of hashes, each verified and opened by itself."""

import json
import os
import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from watch_story import Story, said

import tokenmill
import transforms.shards.build
from pipeline.cli import main
from pipeline.commands.build import build
from pipeline.lease import Lease
from pipeline.versions import manifest_of_version
from transforms.errors import MismatchError
from transforms.passes.tokenize import TokenizePass
from transforms.passes.work_pass import WorkUnit
from transforms.shards.build import Build
from transforms.shards.json_records import canonical_json
from transforms.shards.layout import version_path
from transforms.shards.version import Version, read_versions, read_versions_up_to


@pytest.fixture
def grown(story: Story) -> Story:
    """Two versions: a.jsonl, then b.jsonl."""
    story.add("a.jsonl")
    story.watch(lambda: story.add("b.jsonl"))
    return story


def test_each_version_names_the_one_before_it_and_is_verified_by_itself(
    grown: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = read_versions(Build.at(str(grown.output)))
    assert (first.previous, second.previous) == (None, first.sha256)
    assert (first.units, second.units) == (1, 2)
    output = str(grown.output)
    assert main(["verify", output, "--version", first.sha256[:12]]) == 0
    assert capsys.readouterr().out.startswith(f"verified: {os.path.relpath(output)}, version 1")
    damaged = grown.output / "tokens/b.jsonl.npy"
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert main(["verify", output, "--version", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["version_sha256"] == first.sha256
    assert main(["verify", output, "--version", "2"]) == 1
    assert main(["verify", output]) == 1
    assert "--repair" not in said(capsys), "a build with versions can not be repaired so"


def test_a_version_is_verified_although_those_after_it_are_broken(grown: Story) -> None:
    (grown.output / "versions/00000002.json").write_bytes(b"{}")
    assert main(["verify", str(grown.output), "--version", "1"]) == 0
    assert main(["verify", str(grown.output), "--version", "2"]) == 1
    assert main(["verify", str(grown.output)]) == 1


def test_a_version_is_opened_as_it_was_whatever_came_later(grown: Story) -> None:
    corpus = tokenmill.open(grown.output, version=1)
    assert [document.unit for document in corpus] == ["a.jsonl"] * 3
    again = pickle.loads(pickle.dumps(corpus))
    assert [document.id for document in again] == [document.id for document in corpus]
    inputs = next(iter(again.batches(4, 1, seed=1))).input
    grown.watch(lambda: grown.add("c.jsonl"))
    assert len(tokenmill.open(grown.output)) == 9
    first = read_versions(Build.at(str(grown.output)))[0]
    later = tokenmill.open(grown.output, version=first.sha256)
    assert (next(iter(later.batches(4, 1, seed=1))).input == inputs).all()
    assert tokenmill.verify(grown.output, version=1).is_sound


@pytest.mark.parametrize("wanted", ["0", "3", "-1", "01", "", "abc", "0" * 64])
def test_a_version_that_is_not_there_is_refused(
    wanted: str, grown: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(grown.output), f"--version={wanted}"]) == 2
    assert "--version: expected a number from 1 to 2" in said(capsys)


def change(path: Path, **values: Any) -> None:
    record = {**json.loads(path.read_bytes()), **values}
    path.write_bytes(json.dumps(record, sort_keys=True, separators=(",", ":")).encode() + b"\n")


@pytest.mark.parametrize(
    ("name", "values", "place"),
    [
        ("versions/00000001.json", {"manifest": "0" * 64}, "versions/00000002.json"),
        ("versions/00000002.json", {"previous": "0" * 64}, "versions/00000002.json"),
        ("versions/00000002.json", {"units": 3}, "versions/00000002.json"),
        ("versions/00000002.json", {"manifest": "0" * 64}, "manifest.json"),
        ("versions/00000002.json", {"added": {"b.jsonl": "0" * 64}}, "receipts/b.jsonl.json"),
        ("versions/00000002.json", {"number": 7}, "versions/00000002.json"),
        ("versions/00000002.json", {"fingerprint": "0" * 64}, "versions/00000002.json"),
        ("versions/00000002.json", {"added": {}, "units": 1}, "versions/00000002.json"),
        ("versions/00000002.json", {"added": {"a.jsonl": "0" * 64}}, "versions/00000002.json"),
        ("versions/00000002.json", {"added": {"../../z": "0" * 64}}, "versions/00000002.json"),
        ("versions/00000002.json", {"added": {"a\0b": "0" * 64}}, "versions/00000002.json"),
        ("versions/00000001.json", {"added": {}, "units": 0}, "versions/00000001.json"),
    ],
)
def test_a_changed_record_of_a_version_is_found(
    name: str,
    values: dict[str, Any],
    place: str,
    grown: Story,
    capsys: pytest.CaptureFixture[str],
) -> None:
    change(grown.output / name, **values)
    assert main(["verify", str(grown.output)]) == 1
    assert place in said(capsys)
    assert main(["verify", str(grown.output), "--version", "2"]) == 1
    with pytest.raises(MismatchError):
        grown.watch(once=True)


def test_a_missing_record_of_a_version_is_found(
    grown: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    (grown.output / "versions/00000001.json").unlink()
    assert main(["verify", str(grown.output)]) == 1
    assert "versions/00000001.json: the file is missing" in said(capsys)


def test_a_manifest_that_a_crash_left_at_the_version_before_is_written_again(
    story: Story,
) -> None:
    story.add("a.jsonl")
    story.watch(once=True)
    before = (story.output / "manifest.json").read_bytes()
    story.add("b.jsonl")
    story.watch(once=True)
    after = (story.output / "manifest.json").read_bytes()
    (story.output / "manifest.json").write_bytes(before)
    assert main(["verify", str(story.output)]) == 1
    assert main(["verify", str(story.output), "--version", "1"]) == 0
    story.watch(once=True)
    assert (story.output / "manifest.json").read_bytes() == after
    assert len(story.versions) == 2


def test_a_file_of_a_version_that_has_gone_ends_the_watch_before_it_begins(grown: Story) -> None:
    (grown.output / "tokens/a.jsonl.npy").unlink()
    with pytest.raises(MismatchError, match=r"receipts/a\.jsonl\.json: files .* are missing"):
        grown.watch(once=True)


def test_verify_beside_a_watch_at_work_takes_what_is_not_committed_yet_for_no_stray(
    grown: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    run = TokenizePass.run

    def run_and_verify(self: TokenizePass, unit: WorkUnit, target: Build) -> Any:
        receipt = run(self, unit, target)  # its files are there, and no receipt yet
        found.append(main(["verify", str(grown.output)]))
        return receipt

    monkeypatch.setattr(TokenizePass, "run", run_and_verify)
    grown.watch(lambda: grown.add("c.jsonl"))
    assert found == [0]


def test_a_version_that_comes_while_verify_reads_is_no_difference(
    grown: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipt = Build.receipt
    calls = []

    def receipt_late(self: Build, unit: str) -> Any:
        calls.append(unit)
        if len(calls) == 1:
            grown.add("c.jsonl")
            grown.watch(once=True)
        return receipt(self, unit)

    monkeypatch.setattr(Build, "receipt", receipt_late)
    assert tokenmill.verify(grown.output).differences == ()
    assert len(grown.versions) == 3


@pytest.mark.parametrize("host", ["", "elsewhere"])
def test_an_owner_that_was_killed_hides_no_difference_and_one_elsewhere_may_be_alive(
    host: str, grown: Story
) -> None:
    manifest = grown.output / "manifest.json"
    with Lease(Build.at(str(grown.output), "run", is_leased=True)):
        owner = json.loads((grown.output / "runs/run/owner.json").read_bytes())
    owner |= {"process_start": "1", "host": host or owner["host"]}
    left = grown.output / "runs/run/owner.json"
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(canonical_json(owner))
    first = manifest_of_version(Build.at(str(grown.output)), "1")[1]
    manifest.write_bytes(first.to_json())
    assert tokenmill.verify(grown.output).is_sound == bool(host)


def test_a_file_without_a_receipt_beside_versions_is_told_of_and_may_be_of_a_pipeline_at_work(
    grown: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    (grown.output / "tokens/c.jsonl.npy").write_bytes(b"")
    assert main(["verify", str(grown.output)]) == 0
    assert "1 file that no receipt names, such as tokens/c.jsonl.npy" in said(capsys)


def test_a_corpus_that_has_grown_since_it_was_pickled_is_refused(grown: Story) -> None:
    corpus, first = tokenmill.open(grown.output), tokenmill.open(grown.output, version=2)
    pickled, pickled_version = pickle.dumps(corpus), pickle.dumps(first)
    assert len(pickle.loads(pickled)) == 6
    grown.watch(lambda: grown.add("c.jsonl"))
    with pytest.raises(MismatchError, match="what grows is opened by its version"):
        pickle.loads(pickled)
    assert len(pickle.loads(pickled_version)) == 6


def test_starting_over_removes_versions_durably_before_units_the_newest_first(
    grown: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete, sync_folders = Build.delete, transforms.shards.build.sync_folders
    done: list[str] = []

    def delete_noted(self: Build, relatives: Iterable[str]) -> None:
        given = list(relatives)
        done.extend(given)
        delete(self, given)

    def sync_noted(paths: Iterable[str]) -> None:
        given = list(paths)
        done.extend(f"synced {Path(path).parent.name}" for path in given)
        sync_folders(given)

    monkeypatch.setattr(Build, "delete", delete_noted)
    monkeypatch.setattr(transforms.shards.build, "sync_folders", sync_noted)
    build(grown.config(overwrite=True))
    at = done.index("versions/00000002.json")
    assert done[at : at + 3] == [
        "versions/00000002.json",
        "versions/00000001.json",
        "synced versions",
    ]
    assert done.index("receipts/a.jsonl.json") > at


def test_of_a_store_few_records_are_asked_for_that_come_after_the_wanted_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Build.at(str(tmp_path), "run")
    before = None
    for number in range(1, 601):
        added = {f"{number}.jsonl": "0" * 64}
        version = Version(number, before, "0" * 64, "0" * 64, number, added)
        (tmp_path / version_path(number)).parent.mkdir(exist_ok=True)
        (tmp_path / version_path(number)).write_bytes(version.to_json())
        before = version.sha256
    read = Build.read
    asked = []

    def read_noted(self: Build, relative: str) -> bytes:
        asked.append(relative)
        return read(self, relative)

    monkeypatch.setattr(Build, "is_local", False)
    monkeypatch.setattr(Build, "read", read_noted)
    assert len(read_versions(source)) == 600
    asked.clear()
    assert len(read_versions_up_to(source, "300")) == 300
    assert len(asked) == 512
