"""The look at an input's first records: which fields there are, in any format, in bounded bytes."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from tokenizer.errors import ConfigurationError
from transforms.reading import FieldSample, ReadSettings, check_text_field, sample_fields
from transforms.reading.field_sample import SAMPLE_BYTES

RECORDS = [{"id": 1, "meta": {"url": "u", "more": {}}}, {"content": "first", "id": 2}, {"x": 1}]
LINES = b"\n".join(json.dumps(record).encode() for record in RECORDS) + b"\n"


def sample(path: Path, text_field: str = "text", **options: int) -> FieldSample:
    return sample_fields(str(path), ReadSettings(text_field=text_field), **options)


@pytest.mark.parametrize(
    ("name", "pack"),
    [("a.jsonl", bytes), ("a.jsonl.gz", gzip.compress), ("a.jsonl.zst", zstandard.compress)],
)
def test_the_fields_of_json_lines_are_told(tmp_path: Path, name: str, pack: object) -> None:
    (tmp_path / name).write_bytes(pack(b"\xef\xbb\xbf" + LINES))  # type: ignore[operator]
    fields = ("id", "meta.url", "meta.more", "content", "x")
    assert sample(tmp_path / name) == FieldSample(3, fields, False, None)
    assert sample(tmp_path / name, "content") == FieldSample(3, fields, True, "first")
    assert sample(tmp_path / name, "meta.url").has_text_field is True
    assert sample(tmp_path / name, "content", records=1) == FieldSample(1, fields[:3], False, None)


def test_a_name_with_a_dot_in_it_is_no_path(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"a.b": "text"}')
    assert sample(tmp_path / "a.jsonl", "a.b").has_text_field is False


@pytest.mark.parametrize("newline", [b"", b'"}\n{"other": "short"}\n'])
def test_of_a_huge_first_record_the_fields_that_begin_early_are_told(
    tmp_path: Path, newline: bytes
) -> None:
    head = b'{"id": "x", "meta": {"a": [1, "}"]}, "q\\"k": null, "body": "'
    huge = head + b"x" * (2 * SAMPLE_BYTES) + newline
    (tmp_path / "a.jsonl.zst").write_bytes(zstandard.compress(huge))
    fields = ("id", "meta.a", 'q"k', "body")
    assert sample(tmp_path / "a.jsonl.zst") == FieldSample(1, fields, None, None)
    assert sample(tmp_path / "a.jsonl.zst", "body").has_text_field is True


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"no json\n", b"[" * 9000, b'{"a":' * 9000, b"\xff\0", b"{}x"]
)
def test_where_no_record_can_be_read_nothing_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    assert sample(tmp_path / "a.jsonl").has_text_field is None


def test_columns_of_parquet_are_told(tmp_path: Path) -> None:
    rows = [{"content": None, "meta": {"url": "u"}}, {"content": "t", "meta": {"url": "u"}}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    fields = ("content", "meta.url")
    assert sample(tmp_path / "a.parquet") == FieldSample(0, fields, False, None)
    assert sample(tmp_path / "a.parquet", "content") == FieldSample(2, fields, True, "t")
    (tmp_path / "b.parquet").write_bytes(b"PAR1")
    assert sample(tmp_path / "b.parquet") == FieldSample(0, (), None, None)


def test_formats_without_fields_have_a_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"hello")
    assert sample(tmp_path / "a.txt") == FieldSample(1, (), None, "hello")
    (tmp_path / "a.wet").write_bytes(
        b"WARC/1.0\r\nWARC-Type: conversion\r\nContent-Length: 2\r\n\r\nhi\r\n\r\n"
    )
    assert sample(tmp_path / "a.wet").text == "hi"


def test_a_text_field_that_is_nowhere_is_refused_with_the_fields_there_are() -> None:
    without, within, unknown = (
        FieldSample(3, ("content", "evil\x1b[0m\nfield"), has, None) for has in (False, True, None)
    )
    settings = ReadSettings(text_field="txt")
    with pytest.raises(ConfigurationError) as refused:
        check_text_field({"u": unknown, "a\nb": without}, settings)
    message = str(refused.value)
    assert message.isprintable()
    assert "a\\nb" in message
    assert "'txt'" in message
    assert "content, evil\\x1b[0m\\nfield" in message
    check_text_field({"a": without, "b": within}, settings)
    check_text_field({"a": unknown}, settings)
    check_text_field({}, settings)
