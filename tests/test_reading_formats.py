"""Names, settings, plain text, and what a Reader tells of its input."""

import gzip
import hashlib
from pathlib import Path

import pytest

from tokenizer.errors import ConfigurationError
from transforms.documents import Reason
from transforms.reading import InputFormat, ReadSettings, detect_format, open_reader


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.jsonl", "jsonl"),
        ("gs://bucket/x.y/a.json.gz", "jsonl"),
        ("a.ndjson.zst", "jsonl"),
        ("A.JSONL.BZ2", "jsonl"),
        ("a.parquet", "parquet"),
        ("a.snappy.parquet", "parquet"),
        ("CC-MAIN.warc.wet.gz", "wet"),
        ("a.wet", "wet"),
        ("a.warc.wet.zst", "wet"),
        ("a.warc", "warc"),
        ("a.warc.gz", "warc"),
        ("a.warc.wat.gz", "warc"),
        ("a.txt.xz", "text"),
    ],
)
def test_a_name_tells_the_format(name: str, expected: str) -> None:
    assert detect_format(name) is InputFormat(expected)


@pytest.mark.parametrize("name", ["a.arc.gz", "a.csv", "a", "a.gz", "a.parquet.gz", "x.jsonl/a"])
def test_an_unknown_name_is_refused_with_the_remedy(name: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"(?s){name}.*\.jsonl.*input_format"):
        detect_format(name)


@pytest.mark.parametrize(
    "options",
    [
        {"input_format": "jsonl.gz"},
        {"text_field": ""},
        {"text_field": "a..b"},
        {"text_field": "id.text"},
        {"max_record_bytes": -1},
        {"max_document_bytes": 0},
        {"max_record_bytes": 99, "max_document_bytes": 100},
        {"batch_bytes": 1 << 40},
    ],
    ids=str,
)
def test_settings_that_can_not_work_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        ReadSettings(**options)  # type: ignore[arg-type]


def test_a_reader_tells_size_digest_and_records(tmp_path: Path) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(gzip.compress(b'{"text": "a"}\nbad\n'))
    with open_reader(str(path), ReadSettings(input_format=InputFormat.JSONL)) as reader:
        batches = list(reader)
    assert reader.records == sum(batch.records for batch in batches) == 2
    assert reader.input_bytes == path.stat().st_size
    assert reader.input_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_an_empty_file_has_no_records(tmp_path: Path) -> None:
    for name in ("a.jsonl", "a.jsonl.gz", "a.wet", "a.warc.gz"):
        (tmp_path / name).write_bytes(b"")
        with open_reader(str(tmp_path / name), ReadSettings()) as reader:
            assert list(reader) == []
        assert (reader.records, reader.input_bytes) == (0, 0)


def test_a_text_file_is_one_document(tmp_path: Path) -> None:
    for name, content, text in (
        ("a.txt", b"line\nline\n", b"line\nline\n"),
        ("b.txt.gz", gzip.compress(b"\xef\xbb\xbfmarked"), b"marked"),
        ("c.txt", b"", b""),
        ("d.txt", b"\xff", b"\xff"),
    ):
        (tmp_path / name).write_bytes(content)
        with open_reader(str(tmp_path / name), ReadSettings()) as reader:
            (batch,) = reader
        assert batch.documents.text.view("binary").to_pylist() == [text]
        assert batch.documents.id.to_pylist() == [name]
        assert reader.records == 1


def test_a_text_file_that_is_too_large_or_damaged_is_a_reject(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"x" * 100)
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(b"x" * 10)[:-2])
    options = ReadSettings(max_record_bytes=50, max_document_bytes=50)
    for name, reason in (
        ("a.txt", Reason.OVERSIZED_RECORD),
        ("b.txt.gz", Reason.DAMAGED_STREAM),
    ):
        with open_reader(str(tmp_path / name), options) as reader:
            (batch,) = reader
        assert [reject.reason for reject in batch.rejects] == [reason]
        assert (batch.records, len(batch.documents)) == (1, 0)


def test_a_file_that_is_not_there_is_an_exception(tmp_path: Path) -> None:
    with (
        pytest.raises(OSError, match="absent"),
        open_reader(str(tmp_path / "absent.jsonl"), ReadSettings()) as reader,
    ):
        list(reader)
