"""Parquet: column types, nulls, nested columns and damage."""

import decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from parquet_files import split_footer, with_footer

from tokenizer.errors import ConfigurationError
from transforms.documents import Reason, RecordBatch
from transforms.reading import ReadSettings, open_reader

TEXTS = ["a", None, "", "\u00e4\U0001f600", "e"]


def read(path: Path, **options: object) -> list[RecordBatch]:
    with open_reader(str(path), ReadSettings(**options)) as reader:  # type: ignore[arg-type]
        batches = list(reader)
    assert reader.input_bytes == path.stat().st_size
    assert reader.records == sum(batch.records for batch in batches)
    for batch in batches:
        assert batch.records == len(batch.documents) + len(batch.rejects)
        assert batch.documents.text.offset == batch.documents.text.null_count == 0
        assert batch.documents.id.type == batch.documents.url.type == pa.string()
        assert set(batch.documents.byte_offset.tolist()) <= {-1}
    return batches


def texts(batches: list[RecordBatch]) -> list[bytes]:
    return [value.as_buffer().to_pybytes() for batch in batches for value in batch.documents.text]


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.binary(),
        pa.large_binary(),
        pa.dictionary(pa.int32(), pa.string()),
    ],
    ids=str,
)
def test_every_type_of_text_column_is_read(tmp_path: Path, kind: pa.DataType) -> None:
    plain = pa.array(TEXTS, pa.string())
    column = plain.dictionary_encode() if pa.types.is_dictionary(kind) else plain.cast(kind)
    ids = pa.array([1, 2, None, 4, 5])
    pq.write_table(pa.table({"x": [0] * 5, "text": column, "id": ids}), tmp_path / "f.parquet")
    batches = read(tmp_path / "f.parquet")
    assert texts(batches) == [text.encode() for text in TEXTS if text is not None]
    (batch,) = batches
    assert batch.documents.id.to_pylist() == ["1", None, "4", "5"]
    assert batch.documents.url.to_pylist() == [None] * 4
    assert batch.documents.record.tolist() == [0, 2, 3, 4]
    assert [(r.record, r.reason, r.byte_offset) for r in batch.rejects] == [
        (1, Reason.NULL_TEXT, -1)
    ]


def test_bytes_that_are_no_utf8_are_handed_on(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": pa.array([b"\xff"])}), tmp_path / "f.parquet")
    assert texts(read(tmp_path / "f.parquet")) == [b"\xff"]


def test_nested_columns_are_found_by_a_dotted_path(tmp_path: Path) -> None:
    rows = [{"text": "a", "meta": {"url": "u", "x": 1}}, {"text": None, "meta": None}, None]
    table = pa.table({"doc": rows, "a.b": ["p", "q", "r"]})
    pq.write_table(table, tmp_path / "f.parquet")
    (batch,) = read(
        tmp_path / "f.parquet", text_field="doc.text", url_field="doc.meta.url", id_field="a.b"
    )
    assert batch.documents.text.to_pylist() == ["a"]
    assert batch.documents.url.to_pylist() == ["u"]
    assert batch.documents.id.to_pylist() == ["p"]
    assert [reject.record for reject in batch.rejects] == [1, 2]


def test_a_missing_or_unfit_text_column_is_a_configuration_error(tmp_path: Path) -> None:
    pq.write_table(pa.table({"content": ["a"], "n": [1]}), tmp_path / "f.parquet")
    with pytest.raises(ConfigurationError, match=r"content \(string\), n \(int64\)"):
        read(tmp_path / "f.parquet")
    with pytest.raises(ConfigurationError, match="int64"):
        read(tmp_path / "f.parquet", text_field="n")


def test_batches_are_about_the_size_asked_for(tmp_path: Path) -> None:
    column = pa.array([f"{i:06} " * 20 for i in range(5000)])
    pq.write_table(pa.table({"text": column}), tmp_path / "f.parquet", row_group_size=2000)
    batches = read(tmp_path / "f.parquet", batch_bytes=20_000)
    assert b"".join(texts(batches)) == "".join(column.to_pylist()).encode()
    assert max(batch.documents.text.nbytes for batch in batches) < 60_000


def test_an_oversized_text_is_a_reject(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["short", "x" * 100]}), tmp_path / "f.parquet")
    (batch,) = read(tmp_path / "f.parquet", max_document_bytes=50)
    assert [reject.reason for reject in batch.rejects] == [Reason.OVERSIZED_RECORD]


@pytest.mark.parametrize("keep", [0, 3, 100, -1, -9], ids=str)
def test_a_file_without_its_footer_is_one_reject(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "f.parquet"
    pq.write_table(pa.table({"text": ["a"] * 1000}), path)
    path.write_bytes(path.read_bytes()[:keep])
    (batch,) = read(path)
    assert [reject.reason for reject in batch.rejects] == [Reason.DAMAGED_STREAM]
    assert len(batch.documents) == 0


def test_a_damaged_page_costs_the_rows_after_it_in_its_group(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    column = [f"{i:06} " * 50 for i in range(3000)]
    pq.write_table(
        pa.table({"text": column}), path, row_group_size=1000, data_page_size=4096,
        write_batch_size=16,
        use_dictionary=False,
    )  # fmt: skip
    chunk = pq.read_metadata(path).row_group(1).column(0)
    data = bytearray(path.read_bytes())
    middle = chunk.data_page_offset + chunk.total_compressed_size // 2
    data[middle : middle + 600] = b"\xff" * 600
    path.write_bytes(data)
    batches = read(path)
    got = texts(batches)
    wanted = [text.encode() for text in column]
    assert got[:1000] == wanted[:1000]
    assert got[-1000:] == wanted[2000:]
    survivors = got[1000:-1000]
    assert survivors == wanted[1000 : 1000 + len(survivors)]
    assert 300 < len(survivors) < 600
    rejects = [reject for batch in batches for reject in batch.rejects]
    assert {reject.reason for reject in rejects} == {Reason.DAMAGED_RECORD}
    assert [reject.record for reject in rejects] == list(range(1000 + len(survivors), 2000))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([decimal.Decimal("1.50"), None]), ["1.50", None]),
        (pa.array([float("nan"), 1.5]), ["nan", "1.5"]),
        (pa.array([b"\x00\xff", None], pa.binary(2)), ["00ff", None]),
        (pa.array([b"\x01" * 16, None], pa.uuid()), ["01" * 16, None]),
        (pa.array([b"a\xffb", b"\xc3\xa4"]), ["a\ufffdb", "\u00e4"]),
        (pa.array(["x", "y"]).dictionary_encode(), ["x", "y"]),
        (pa.array([True, None]), ["true", None]),
        (pa.array([[1], []]), [None, None]),
        (pa.array([{"a": 1}, None]), [None, None]),
        (pa.array(["u" * 70_000, "\u4e2d" * 30_000]), ["u" * 65_536, "\u4e2d" * 21_845]),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_ids_of_any_type_have_a_text_or_none(
    tmp_path: Path, values: pa.Array, expected: list[str | None]
) -> None:
    pq.write_table(pa.table({"text": ["a", "b"], "id": values}), tmp_path / "f.parquet")
    (batch,) = read(tmp_path / "f.parquet")
    assert batch.documents.text.to_pylist() == ["a", "b"]
    assert batch.documents.id.to_pylist() == expected


@pytest.mark.parametrize(
    "column",
    [
        pa.array([["a"]]),
        pa.array([{"a": "b"}]),
        pa.array([b"ab"], pa.binary(2)),
        pa.array([decimal.Decimal("1.5")]),
        pa.array([[("k", "v")]], pa.map_(pa.string(), pa.string())),
    ],
    ids=lambda column: str(column.type),
)
def test_a_column_that_holds_no_text_is_named_with_its_type(
    tmp_path: Path, column: pa.Array
) -> None:
    pq.write_table(pa.table({"text": column}), tmp_path / "f.parquet")
    with pytest.raises(ConfigurationError) as refused:
        read(tmp_path / "f.parquet")
    assert f"found: {str(column.type).split('<')[0]}" in str(refused.value)
    assert ". The columns are: text (" in str(refused.value)
    assert "--" not in str(refused.value)


def test_two_columns_of_the_name_are_refused(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    pq.write_table(table, tmp_path / "f.parquet")
    with pytest.raises(ConfigurationError, match="found: 2 of that name"):
        read(tmp_path / "f.parquet")


def test_a_column_of_nothing_but_nulls_is_null_texts(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": pa.nulls(3)}), tmp_path / "f.parquet")
    (batch,) = read(tmp_path / "f.parquet")
    assert [reject.reason for reject in batch.rejects] == [Reason.NULL_TEXT] * 3


def test_row_groups_may_be_empty_and_stand_in_any_order(tmp_path: Path) -> None:
    with pq.ParquetWriter(tmp_path / "f.parquet", pa.schema({"text": pa.string()})) as writer:
        for some in (["a"], [], ["b", "c"], []):
            writer.write_table(pa.table({"text": pa.array(some, pa.string())}))
    assert texts(read(tmp_path / "f.parquet")) == [b"a", b"b", b"c"]


def test_encrypted_columns_cost_their_rows(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    pq.write_table(pa.table({"text": ["a"] * 9, "id": ["i"] * 9}), path)
    data, footer = split_footer(path.read_bytes())
    # A column chunk has its offset, field 2, and its metadata, field 3, which becomes field 14.
    at = footer.index(b"\x26\x00\x1c")
    path.write_bytes(with_footer(data, footer[: at + 2] + b"\xcc" + footer[at + 3 :]))
    batches = read(path)
    rejects = [reject for batch in batches for reject in batch.rejects]
    assert [reject.record for reject in rejects] == list(range(9))
    assert "may be encrypted" in rejects[0].detail


def test_an_error_of_the_disk_is_no_reject(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="absent"):
        read(tmp_path / "absent.parquet")


def test_real_files_are_read_whole(shared_data: Path) -> None:
    for path in sorted((shared_data / "web").glob("*.parquet")):
        table = pq.read_table(path)
        batches = read(path, batch_bytes=1 << 20)
        assert texts(batches) == [text.encode() for text in table["text"].to_pylist()]
        ids = [value for batch in batches for value in batch.documents.id.to_pylist()]
        assert ids == table["id"].to_pylist()
