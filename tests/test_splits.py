"""Splits: shares are kept, copies stay together, and nothing moves when data is added."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash
from small_build import make_build
from small_export import exported, make_source, shard_files

from tokenizer import text_hashes
from transforms.exports.hashes import hosts_of
from transforms.exports.splits import Splitter, held_out_texts
from transforms.settings import TokenizeSettings


def rows(ids: list[str | None], urls: list[str | None], texts: list[str]) -> pa.RecordBatch:
    hashes = [xxhash.xxh3_64_intdigest(text.encode()) for text in texts]
    return pa.RecordBatch.from_pydict(
        {
            "id": pa.array(ids, pa.string()),
            "url": pa.array(urls, pa.string()),
            "text_xxh3": pa.array(hashes, pa.uint64()),
        }
    )


def many(count: int, hosts: int = 50) -> pa.RecordBatch:
    return rows(
        [f"d{i}" for i in range(count)],
        [f"https://h{i % hosts}.example.org/{i}" for i in range(count)],
        [f"text {i}" for i in range(count)],
    )


def test_hashes_are_xxh3_of_the_text() -> None:
    texts = ["", "a", "naïve 🧵", "x" * 1000]
    expected = [xxhash.xxh3_64_intdigest(text.encode()) for text in texts]
    assert text_hashes(pa.array(texts)).tolist() == expected


@pytest.mark.parametrize("key", ["id", "url", "text"])
def test_shares_are_those_that_were_asked_for(key: str) -> None:
    count = 100_000
    codes = Splitter((("validation", 0.02), ("test", 0.01)), key).split_of(many(count))
    found = np.bincount(codes, minlength=3)
    expected = np.array([0.97, 0.02, 0.01]) * count
    # Chi-square of two degrees of freedom: 13.8 is exceeded once in a thousand seeds.
    assert ((found - expected) ** 2 / expected).sum() < 13.8


def test_documents_of_one_host_are_in_one_split() -> None:
    batch = many(5_000)
    codes = Splitter((("validation", 0.3),), "host").split_of(batch)
    by_host: dict[str, set[int]] = {}
    for host, code in zip(hosts_of(batch.column("url")).to_pylist(), codes, strict=True):
        by_host.setdefault(host, set()).add(int(code))
    assert all(len(found) == 1 for found in by_host.values())
    assert {code for found in by_host.values() for code in found} == {0, 1}


def test_a_document_without_a_key_goes_by_its_text() -> None:
    splitter = Splitter((("validation", 0.5),))
    texts = [f"text {i}" for i in range(100)]
    nameless = rows([None] * 100, [None] * 100, texts)
    by_text = Splitter((("validation", 0.5),), "text").split_of(nameless)
    assert splitter.split_of(nameless).tolist() == by_text.tolist()


def test_the_split_of_a_document_does_not_depend_on_the_others() -> None:
    splitter = Splitter((("validation", 0.1),))
    batch = many(1_000)
    whole = splitter.split_of(batch)
    alone = [int(splitter.split_of(batch.slice(i, 1))[0]) for i in range(1_000)]
    assert whole.tolist() == alone


def test_a_held_out_text_is_held_out_everywhere_in_the_split_named_first() -> None:
    texts, codes = held_out_texts(
        [np.array([7, 5], np.uint64), np.array([7, 9], np.uint64)],
        [np.array([2, 2], np.int8), np.array([1, 2], np.int8)],
    )
    assert texts.tolist() == [5, 7, 9]
    assert codes.tolist() == [2, 1, 2]


def write_copies(folder: Path, count: int, copies: int) -> None:
    """Documents with ids of their own, every text `copies` times."""
    folder.mkdir()
    lines = [
        json.dumps({"id": f"d{i}", "text": f"text number {i // copies}"}) for i in range(count)
    ]
    half = len(lines) // 2
    (folder / "a.jsonl").write_text("\n".join(lines[:half]))
    (folder / "b.jsonl").write_text("\n".join(lines[half:]))


def splits_of(output: Path) -> dict[str, tuple[str, int]]:
    """Split and hash of the text of each document, by id."""
    found: dict[str, tuple[str, int]] = {}
    for shard, _ in shard_files(output):
        for row in pq.read_table(output / shard["index"]["path"]).to_pylist():
            assert row["id"] not in found
            found[row["id"]] = (shard["split"], row["text_xxh3"])
    return found


def test_equal_texts_are_in_one_split_and_added_data_moves_nothing_else(tmp_path: Path) -> None:
    settings = TokenizeSettings(tokenizer="gpt2")
    splits = (("validation", 0.1), ("test", 0.1))
    found = []
    for count in (200, 300):
        write_copies(tmp_path / f"in{count}", count, copies=2)
        build = tmp_path / f"build{count}"
        make_build(tmp_path / f"in{count}", build, settings)
        output = exported(build, tmp_path / f"out{count}", "bin", splits=splits)
        found.append(splits_of(output))
    small, large = found
    assert (len(small), len(large)) == (200, 300)
    for documents in found:
        by_text: dict[int, set[str]] = {}
        for split, text in documents.values():
            by_text.setdefault(text, set()).add(split)
        assert len(by_text) == len(documents) // 2
        assert all(len(names) == 1 for names in by_text.values())
        assert {split for split, _ in documents.values()} == {"train", "validation", "test"}
    assert {name: large[name] for name in small} == small
    by_key = Splitter(splits).by_key(rows(list(small), [None] * len(small), ["" for _ in small]))
    names = np.array(["train", "validation", "test"])[by_key]
    moved = [name for name, key in zip(small, names, strict=True) if small[name][0] != key]
    assert moved  # or nothing here had to move with a copy


def test_a_host_is_in_one_split_and_stays_there_when_data_is_added(tmp_path: Path) -> None:
    found = []
    for count in (150, 250):
        place = tmp_path / str(count)
        (place / "in").mkdir(parents=True)
        lines = [
            {"id": f"d{i}", "url": f"https://host{i % 30}.org/{i}", "text": f"text number {i}"}
            for i in range(count)
        ]
        (place / "in/a.jsonl").write_text("\n".join(map(json.dumps, lines)))
        make_build(place / "in", place / "build", TokenizeSettings(tokenizer="gpt2"))
        output = exported(
            place / "build",
            place / "out",
            "bin",
            splits=(("validation", 0.2), ("test", 0.1)),
            split_key="host",
        )
        found.append({name: split for name, (split, _) in splits_of(output).items()})
    small, large = found
    assert {name: large[name] for name in small} == small
    by_host = [{large[f"d{i}"] for i in range(host, 250, 30)} for host in range(30)]
    assert all(len(splits) == 1 for splits in by_host)
    assert set.union(*by_host) == {"train", "validation", "test"}


def test_splits_together_are_the_build(tmp_path: Path) -> None:
    source = make_source(tmp_path)
    whole = places_in(exported(source, tmp_path / "whole", "bin"))
    parts = places_in(
        exported(source, tmp_path / "parts", "bin", shard_tokens=300, splits=(("test", 0.3),))
    )
    assert len(whole) == len(set(whole)) > 200
    assert sorted(parts) == sorted(whole)


def places_in(output: Path) -> list[tuple[str, int]]:
    """Unit and record of each document."""
    return [
        (row["unit"], row["record"])
        for shard, _ in shard_files(output)
        for row in pq.read_table(output / shard["index"]["path"]).to_pylist()
    ]
