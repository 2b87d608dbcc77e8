"""The global shuffle: uniform, complete, and the same bytes whoever computes it, in what pieces."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from sample_inputs import output_bytes
from small_export import exported, make_source, shard_files, store_documents

import pipeline.commands.export as command
from pipeline.commands.export import ExportConfig, export
from pipeline.commands.verify import verify
from transforms.exports.settings import ExportSettings
from transforms.exports.shuffle import copy_hashes, document_hashes, make_grid
from transforms.passes import scatter as scatter_module
from transforms.passes.export import ExportPass
from transforms.passes.scatter import ScatterPass

SETTINGS: dict[str, Any] = {"shard_tokens": 1500, "splits": (("test", 0.2),), "shuffle": 7}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_source(tmp_path_factory.mktemp("source"))


def shuffled(source: Path, output: Path, format: str, block_tokens: int, **more: Any) -> Path:
    settings = ExportSettings(format=format, **{**SETTINGS, **more})
    export(
        ExportConfig(
            directory=str(source),
            output=str(output),
            settings=settings,
            block_tokens=block_tokens,
        )
    )
    return output


def order_of(output: Path) -> list[tuple[str, str, int]]:
    """Split, unit and record of every document, in the order of shards."""
    return [
        (shard["split"], row["unit"], row["record"])
        for shard, _ in shard_files(output)
        for row in pq.read_table(output / shard["index"]["path"]).to_pylist()
    ]


def test_nothing_is_lost_or_doubled_and_splits_are_those_without_a_shuffle(
    source: Path, tmp_path: Path
) -> None:
    plain = exported(source, tmp_path / "plain", "bin", **{**SETTINGS, "shuffle": None})
    output = shuffled(source, tmp_path / "out", "bin", 2000)
    found, expected = order_of(output), order_of(plain)
    assert len(list(shard_files(output))) > 5
    assert sorted(found) == sorted(expected)
    assert found != expected


def test_documents_stand_in_the_order_of_their_hashes(source: Path, tmp_path: Path) -> None:
    output = shuffled(source, tmp_path / "out", "bin", 2000)
    for split in ("train", "test"):
        hashes = [
            int(document_hashes(7, unit, np.array([record]))[0])
            for name, unit, record in order_of(output)
            if name == split
        ]
        assert hashes == sorted(hashes)
        assert len(hashes) > 10


def test_the_ids_of_a_document_move_with_it(source: Path, tmp_path: Path) -> None:
    output = shuffled(source, tmp_path / "out", "olmo", 2000)
    store = {(row["unit"], row["record"]): ids for row, ids in store_documents(source)}
    for shard, (path, _) in shard_files(output):
        ids = np.fromfile(path, "<u2").tolist()
        for row in pq.read_table(output / shard["index"]["path"]).to_pylist():
            end = row["start"] + row["length"]
            assert ids[row["start"] : end] == store[row["unit"], row["record"]]


@pytest.mark.parametrize("format", ["parquet", "mds"])
def test_no_byte_depends_on_how_much_is_shuffled_at_a_time(
    source: Path, tmp_path: Path, format: str
) -> None:
    whole = shuffled(source, tmp_path / "whole", format, 1 << 25)
    for block_tokens in (300, 4000):
        parts = shuffled(source, tmp_path / str(block_tokens), format, block_tokens)
        assert output_bytes(parts) == output_bytes(whole)


def test_another_seed_is_another_order(source: Path, tmp_path: Path) -> None:
    one = shuffled(source, tmp_path / "one", "bin", 2000)
    two = shuffled(source, tmp_path / "two", "bin", 2000, shuffle=8)
    assert order_of(one) != order_of(two)


def test_blocks_are_gone_when_the_export_is_complete(source: Path, tmp_path: Path) -> None:
    output = shuffled(source, tmp_path / "out", "bin", 2000)
    assert sorted(path.name for path in output.iterdir()) == [
        "documents",
        "manifest.json",
        "receipts",
        "runs",
        "tokenmill.json",
        "tokens",
    ]


class Interrupted(Exception):
    """Stands for a kill."""


@pytest.mark.parametrize("block_tokens", [2000, 5000])
def test_a_run_that_ended_after_the_first_pass_resumes(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_tokens: int
) -> None:
    """Also with another block size, which must not take the old blocks for its own."""
    whole = shuffled(source, tmp_path / "whole", "bin", 2000)
    output = tmp_path / "out"

    def scatter_and_end(*arguments: Any) -> None:
        scatter(*arguments)
        raise Interrupted

    scatter = command.scatter
    with monkeypatch.context() as patch:
        patch.setattr(command, "scatter", scatter_and_end)
        with pytest.raises(Interrupted):
            shuffled(source, output, "bin", 2000)
    assert len(list((output / "shuffle/tokens/blocks").iterdir())) > 2
    shuffled(source, output, "bin", block_tokens)
    assert output_bytes(output) == output_bytes(whole)


@pytest.mark.parametrize("one", [ScatterPass, ExportPass])
def test_either_pass_goes_on_with_what_is_missing(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one: type
) -> None:
    whole = shuffled(source, tmp_path / "whole", "bin", 2000)
    output = tmp_path / "out"
    done: list[str] = []
    run = one.run

    def noted(self: Any, unit: Any, build: Any) -> Any:
        if len(done) == 3:
            raise KeyboardInterrupt
        receipt = run(self, unit, build)
        done.append(unit.name)
        return receipt

    with monkeypatch.context() as patch:
        patch.setattr(one, "run", noted)
        with pytest.raises(KeyboardInterrupt):
            shuffled(source, output, "bin", 2000)
        first = {*done}
        done[:] = [""] * 4  # so that nothing is interrupted
        shuffled(source, output, "bin", 2000)
    again = done[4:]
    assert len(first) == 3
    assert again
    assert not first & {*again}
    assert output_bytes(output) == output_bytes(whole)


def test_blocks_tell_how_many_bytes_of_ids_they_moved(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    monkeypatch.setattr(scatter_module, "report_progress", told.append)
    shuffled(source, tmp_path / "out", "bin", 2000)
    assert len(told) > 2
    assert sum(told) == 2 * sum(len(ids) for _, ids in store_documents(source))


def test_verify_shuffles_again_and_leaves_nothing(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = shuffled(source, tmp_path / "out", "datatrove", 2000)
    before = sorted(output.rglob("*"))
    assert verify(str(output)) == 0
    assert sorted(output.rglob("*")) == before
    damaged = Path(shutil.copytree(output, tmp_path / "damaged"))
    path = damaged / "tokens/train/000001.ds"
    path.write_bytes(b"\1\1" + path.read_bytes()[2:])
    assert verify(str(damaged)) == 1
    assert "tokens/train/000001.ds: expected SHA-256" in capsys.readouterr().err


def test_places_are_uniform_over_shards_and_inside_them() -> None:
    """Chi-square over 100 shards and over 100 places inside: 149 is exceeded once in a thousand."""
    documents, cells = 200_000, 100
    hashes = np.concatenate(
        [document_hashes(3, f"unit {i}", np.arange(documents // 20)) for i in range(20)]
    )
    codes = np.zeros(documents, np.int8)
    grid = make_grid([cells * 1000], 1000, 1 << 25)
    shards = grid.parts_of(codes, hashes)
    fine = make_grid([cells * 1000 * cells], 1000 * cells, 1000)
    inside = fine.parts_of(codes, hashes) % cells
    expected = documents / cells
    for found in (shards, inside):
        counts = np.bincount(found, minlength=cells)
        assert len(counts) == cells
        assert ((counts - expected) ** 2 / expected).sum() < 149
    # Neighbours in a unit are no neighbours afterwards.
    order = np.argsort(np.argsort(hashes)).astype(float)
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.01


def test_a_place_depends_on_seed_and_document_alone() -> None:
    whole = document_hashes(5, "a.jsonl", np.arange(100))
    assert document_hashes(5, "a.jsonl", np.array([40]))[0] == whole[40]
    assert document_hashes(6, "a.jsonl", np.array([40]))[0] != whole[40]
    assert document_hashes(5, "b.jsonl", np.array([40]))[0] != whole[40]


def test_copies_of_a_document_have_places_of_their_own_that_never_change() -> None:
    """Whoever shuffles the same documents later must find the same order."""
    places = copy_hashes(np.array([5, 7], np.uint64), np.array([1, 3]))
    assert places[:2].tolist() == [5, 7]
    assert [f"{one:016x}" for one in places[2:].tolist()] == [
        "f3be7ea97fffd2d8",
        "8d0f90e81141d2fc",
    ]
