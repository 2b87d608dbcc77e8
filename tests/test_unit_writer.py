"""What is written of a unit: shards cut where they are full, indexes, books that must balance."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_inputs import json_lines

from tokenizer import EncodedDocuments
from transforms.documents import DocumentColumns, Reason, RecordBatch, Reject
from transforms.errors import BooksError, MismatchError, UnitFailedError
from transforms.passes import tokenize
from transforms.passes.tokenize import TokenizePass
from transforms.passes.work_pass import WorkUnit, run_unit
from transforms.settings import TokenizeSettings
from transforms.shards import index
from transforms.shards.build import Build
from transforms.shards.formats import shard_format
from transforms.shards.formats.npy import NpyWriter
from transforms.shards.index import DOCUMENTS_SCHEMA, REJECTS_SCHEMA, ParquetLog, read_rows
from transforms.shards.receipt import InputFacts, Receipt
from transforms.shards.settings import ShardSettings
from transforms.shards.staged_file import StagedFile
from transforms.shards.unit_writer import UnitWriter

UNIT = "u.jsonl"
FACTS = InputFacts(
    part=None,
    bytes=10,
    sha256="0" * 64,
    records=0,
    decoded_bytes=10,
    lost_bytes=0,
    undecoded_bytes=0,
    is_truncated=False,
    html_extractor=None,
)


def batch_of(lengths: Sequence[int], first: int) -> tuple[RecordBatch, EncodedDocuments]:
    """Documents of so many tokens each; their ids count up."""
    count = len(lengths)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    documents = DocumentColumns(
        text=pa.array(["x"] * count, pa.string()),
        id=pa.array([f"d{first + i}" for i in range(count)], pa.string()),
        url=pa.nulls(count, pa.string()),
        record=np.arange(first, first + count),
        byte_offset=np.zeros(count, np.int64),
    )
    encoded = EncodedDocuments(
        tokens=np.arange(offsets[-1], dtype=np.uint32),
        offsets=offsets,
        valid=np.ones(count, np.bool_),
        special_token_texts=np.zeros(count, np.int64),
    )
    return RecordBatch(count, documents), encoded


def write(folder: Path, batches: Sequence[Sequence[int]], max_tokens: int | None) -> Receipt:
    with UnitWriter(
        Build.at(str(folder), "run"), UNIT, np.dtype("<u4"), ShardSettings(max_tokens=max_tokens)
    ) as writer:
        first = 0
        for lengths in batches:
            writer.write(*batch_of(lengths, first))
            first += len(lengths)
        facts = dataclasses.replace(FACTS, records=first)
        described = {"tokenizer": {}, "read": {}, "shards": {"max_tokens": max_tokens}}
        return writer.publish(fingerprint="0" * 64, settings=described, source=facts)


@pytest.mark.parametrize(
    ("batches", "max_tokens", "shards"),
    [
        ([[2, 2, 2, 2]], 4, [4, 4]),
        ([[2], [2], [2], [2]], 4, [4, 4]),
        ([[2, 2, 2, 2, 2, 2]], 4, [4, 4, 4]),
        ([[3, 2, 2]], 4, [3, 4]),
        ([[5, 1, 1]], 4, [5, 2]),
        ([[1, 5, 1]], 4, [1, 5, 1]),
        ([[5], [1], [5], [1]], 4, [5, 1, 5, 1]),
        ([[9, 9]], 4, [9, 9]),
        ([[4, 4]], 4, [4, 4]),
        ([[1] * 9], 1, [1] * 9),
        ([[7, 7, 7]], None, [21]),
        ([[]], 4, []),
    ],
)
def test_a_shard_ends_with_the_last_document_that_fits(
    batches: list[list[int]], max_tokens: int | None, shards: list[int], tmp_path: Path
) -> None:
    receipt = write(tmp_path, batches, max_tokens)
    assert [shard.tokens for shard in receipt.shards] == shards


def cut_plainly(lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """The rule, one document after the other."""
    shards: list[list[int]] = []
    for length in lengths:
        if not shards or sum(shards[-1]) + length > max_tokens:
            shards.append([])
        shards[-1].append(length)
    return shards


@given(
    st.lists(st.lists(st.integers(1, 9), max_size=6), min_size=1, max_size=5), st.integers(1, 12)
)
@settings(derandomize=True, max_examples=60, deadline=None)
def test_shards_are_cut_by_the_rule_however_documents_come(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[int]], max_tokens: int
) -> None:
    receipt = write(tmp_path_factory.mktemp("cut"), batches, max_tokens)
    lengths = [length for batch in batches for length in batch]
    expected = cut_plainly(lengths, max_tokens)
    assert [shard.tokens for shard in receipt.shards] == [sum(shard) for shard in expected]
    assert [shard.documents for shard in receipt.shards] == [len(shard) for shard in expected]


def test_rows_say_where_each_document_lies(tmp_path: Path) -> None:
    write(tmp_path, [[2, 3], [4, 1]], 5)
    rows = pq.read_table(tmp_path / f"documents/{UNIT}.parquet").to_pylist()
    assert [(row["shard"], row["start"], row["length"]) for row in rows] == [
        (0, 0, 2),
        (0, 2, 3),
        (1, 0, 4),
        (1, 4, 1),
    ]
    assert np.load(tmp_path / f"tokens/{UNIT}-00001.npy").tolist() == [0, 1, 2, 3, 4]


def test_a_count_of_the_reader_that_is_not_the_writers_commits_nothing(tmp_path: Path) -> None:
    with UnitWriter(
        Build.at(str(tmp_path), "run"), UNIT, np.dtype("<u4"), ShardSettings()
    ) as writer:
        writer.write(*batch_of([1, 2], 0))
        with pytest.raises(BooksError, match=r"7 records read, but 2 documents"):
            writer.publish(
                fingerprint="0" * 64,
                settings={},
                source=dataclasses.replace(FACTS, records=7),
            )
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_batch_that_does_not_account_for_its_records_is_refused(tmp_path: Path) -> None:
    batch, encoded = batch_of([1, 2], 0)
    with (
        UnitWriter(
            Build.at(str(tmp_path), "run"), UNIT, np.dtype("<u4"), ShardSettings()
        ) as writer,
        pytest.raises(BooksError, match="a batch of 3 records"),
    ):
        writer.write(dataclasses.replace(batch, records=3), encoded)


def test_lost_bytes_that_no_reject_names_commit_nothing(tmp_path: Path) -> None:
    with UnitWriter(
        Build.at(str(tmp_path), "run"), UNIT, np.dtype("<u4"), ShardSettings()
    ) as writer:
        batch, encoded = batch_of([1], 0)
        reject = Reject(1, 5, Reason.DAMAGED_RECORD, "broken", b"", lost_bytes=7)
        writer.write(dataclasses.replace(batch, records=2, rejects=(reject,)), encoded)
        facts = dataclasses.replace(FACTS, records=2, lost_bytes=8)
        with pytest.raises(BooksError, match="lost bytes: expected 8, wrote 7"):
            writer.publish(fingerprint="0" * 64, settings={}, source=facts)


def test_a_reader_that_counts_one_more_fails_its_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(json_lines("a", 3))
    facts_of = tokenize.facts_of
    monkeypatch.setattr(
        tokenize,
        "facts_of",
        lambda reader: dataclasses.replace(facts_of(reader), records=reader.records + 1),
    )
    build = Build.at(str(tmp_path / "out"), "run")
    with pytest.raises(UnitFailedError, match="4 records read, but 3 documents"):
        run_unit(
            TokenizePass(TokenizeSettings()),
            WorkUnit("a.jsonl", str(path), path.stat().st_size),
            build,
        )
    assert not build.files()
    assert not list(Path(build.staging).iterdir())


# -- the indexes ----------------------------------------------------------------------------------


def write_log(folder: Path, ids: Sequence[str], batches: Sequence[int]) -> bytes:
    """An index of documents with those ids, so many of them at a time."""
    staged = StagedFile(str(folder / "log.parquet"), str(folder / "staging"))
    log = ParquetLog(staged, DOCUMENTS_SCHEMA)
    first = 0
    for count in batches:
        part = ids[first : first + count]
        numbers = np.arange(first, first + len(part))
        columns: dict[str, Any] = {
            field.name: pa.array(numbers).cast(field.type)
            for field in DOCUMENTS_SCHEMA
            if field.name not in ("id", "url")
        }
        log.append({**columns, "id": list(part), "url": [None] * len(part)})
        first += count
    entry = log.finish("log.parquet")
    assert entry.rows == len(ids)
    content = Path(staged.local_path).read_bytes()
    staged.discard()
    return content


def group_rows(content: bytes) -> list[int]:
    metadata = pq.read_metadata(pa.BufferReader(content))
    return [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]


@pytest.mark.parametrize("rows", [0, 1, 9, 10, 11, 20, 25])
def test_a_row_group_has_so_many_rows_at_most(
    rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "_GROUP_ROWS", 10)
    ids = [f"d{number}" for number in range(rows)]
    content = write_log(tmp_path, ids, [rows])
    assert group_rows(content) == [10] * (rows // 10) + [rows % 10] * (rows % 10 > 0)
    assert pq.read_table(pa.BufferReader(content))["id"].to_pylist() == ids


def test_a_row_group_ends_with_the_row_that_fills_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "_GROUP_BYTES", 1000)
    ids = ["x" * 400] * 7  # and 64 bytes of other columns a row
    assert group_rows(write_log(tmp_path, ids, [7])) == [3, 3, 1]
    # The last row of all fills a group: none is left over, and none is lost.
    assert group_rows(write_log(tmp_path, ids[:6], [6])) == [3, 3]


@given(st.data())
@settings(derandomize=True, max_examples=40, deadline=None)
def test_the_bytes_of_an_index_do_not_depend_on_batches(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("log")
    sizes = data.draw(st.lists(st.integers(0, 500), min_size=1, max_size=60))
    ids = ["x" * size for size in sizes]
    batches = []
    while sum(batches) < len(ids):
        batches.append(data.draw(st.integers(1, len(ids) - sum(batches))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "_GROUP_BYTES", 2000)
        patch.setattr(index, "_GROUP_ROWS", 16)
        assert write_log(folder, ids, batches) == write_log(folder, ids, [len(ids)])


def test_the_bytes_of_rejects_do_not_depend_on_the_size_of_batches(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(b"".join(b'{"text": %d, "x": "%s"}\n' % (n, b"y" * n) for n in range(1200)))
    written = []
    for batch_bytes in (1 << 10, 50_000, 2 << 20):
        read = dataclasses.replace(TokenizeSettings().read, batch_bytes=batch_bytes)
        build = Build.at(str(tmp_path / str(batch_bytes)), "run")
        unit = WorkUnit("bad.jsonl", str(path), path.stat().st_size)
        run_unit(TokenizePass(TokenizeSettings(read=read)), unit, build)
        written.append(Path(build.path("rejects/bad.jsonl.parquet")).read_bytes())
    assert written[0] == written[1] == written[2]
    assert pq.read_table(pa.BufferReader(written[0])).num_rows == 1200


def test_long_strings_do_not_pile_up_in_memory(tmp_path: Path) -> None:
    staged = StagedFile(str(tmp_path / "log.parquet"), str(tmp_path / "staging"))
    log = ParquetLog(staged, REJECTS_SCHEMA)
    before = pa.total_allocated_bytes()
    peak = 0
    for number in range(60):
        log.append(
            {
                "record": [number],
                "byte_offset": [0],
                "reason": ["invalid-json"],
                "detail": ["x"],
                "lost_bytes": [0],
                "excerpt": [b"%03d" % number * (1 << 18)],
            }
        )
        peak = max(peak, pa.total_allocated_bytes() - before)
    log.finish("log.parquet")
    assert peak < 60 << 20, "a row group is 16 MiB, and it is written once it is full"
    content = Path(staged.local_path).read_bytes()
    assert len(group_rows(content)) > 2


def test_an_index_of_other_columns_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["x"]}), tmp_path / "x.parquet")
    with pytest.raises(MismatchError, match="columns: expected"):
        list(read_rows(str(tmp_path / "x.parquet"), "x.parquet", DOCUMENTS_SCHEMA, ["id"]))


def test_the_columns_of_the_indexes_are_those_of_the_format() -> None:
    assert DOCUMENTS_SCHEMA.to_string().splitlines() == [
        "id: string",
        "url: string",
        "record: int64 not null",
        "shard: int32 not null",
        "start: int64 not null",
        "length: int64 not null",
        "text_bytes: int64 not null",
        "text_xxh3: uint64 not null",
    ]
    assert REJECTS_SCHEMA.to_string().splitlines() == [
        "record: int64 not null",
        "byte_offset: int64 not null",
        "reason: string not null",
        "detail: string not null",
        "lost_bytes: int64 not null",
        "excerpt: binary not null",
    ]


# -- the token shards -----------------------------------------------------------------------------


class ShortWrites:
    """A raw file that takes at most 1,000 bytes at a time, as a raw file may."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, content: memoryview) -> int:
        return int(self._file.write(content[:1000]))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def test_a_short_write_loses_no_tokens(tmp_path: Path) -> None:
    writer = NpyWriter(str(tmp_path / "x.npy"), np.dtype("<u4"))
    writer._file = ShortWrites(writer._file)  # type: ignore[assignment]
    tokens = np.arange(5000, dtype="<u4")
    writer.append(tokens)
    writer.finish()
    assert np.array_equal(np.load(tmp_path / "x.npy"), tokens)


@dataclasses.dataclass
class Claim:
    path: str = "tokens/x.npy"
    dtype: str = "<u4"
    tokens: int = 3


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.arange(3, dtype="<u2"), "header: expected"),
        (np.arange(4, dtype="<u4"), "header: expected"),
        (np.arange(3, dtype=">u4"), "header: expected"),
        (np.arange(3, dtype="<i4"), "header: expected"),
        (np.arange(3, dtype="<u4").reshape(3, 1), "header: expected"),
        (np.array([None] * 3), "header"),
    ],
)
def test_a_shard_that_is_not_as_claimed_is_refused(
    array: Any, message: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(MismatchError, match=message):
        shard_format("npy").open(str(tmp_path / "x.npy"), Claim())


def test_bytes_behind_or_missing_from_a_shard_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.arange(3, dtype="<u4"))
    content = path.read_bytes()
    for changed in (content + b"\0", content + b"\0" * 4, content[:-1], content[:-4]):
        path.write_bytes(changed)
        with pytest.raises(MismatchError, match="can not hold the 3 tokens"):
            shard_format("npy").open(str(path), Claim())
    path.write_bytes(content)
    assert shard_format("npy").open(str(path), Claim()).read(1, 3).tolist() == [1, 2]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x02\x00" + b"\0" * 200,
        b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 9000,
        b"\x93NUMPY\x01\x00\x10\x00{'descr': 1}    \n",
        b"\x93NUMPY\x01\x00\x76\x00" + b"(" * 117 + b"\n",
    ],
)
def test_a_broken_header_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(MismatchError, match=r"tokens/x\.npy: no \.npy header"):
        shard_format("npy").open(str(tmp_path / "x.npy"), Claim())


def test_a_header_of_another_version_of_the_format_is_refused(tmp_path: Path) -> None:
    """Later versions say the length of their header in another way."""
    path = tmp_path / "x.npy"
    np.save(path, np.arange(5, dtype="<u4"))
    content = bytearray(path.read_bytes())
    assert content[6] == 1
    content[6] = 2
    path.write_bytes(content)
    with pytest.raises(MismatchError, match=r"version 1\.0"):
        shard_format("npy").open(str(path), Claim())
