"""Names, settings, plain text, and what a Reader tells of its input."""

import gzip
import hashlib
from pathlib import Path

import pyarrow as pa
import pytest

from tokenizer.errors import ConfigurationError
from transforms.documents import Reason
from transforms.reading import (
    InputFormat,
    ReadSettings,
    detect_format,
    open_reader,
    sample_fields,
)
from transforms.reading.batching import BatchBuilder, encoded, readable
from transforms.reading.formats import printable


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
    with pytest.raises(ConfigurationError, match=rf"(?s)^input_format: {name}.*\.jsonl"):
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
    for name in ("a.jsonl", "a.wet", "a.warc"):
        (tmp_path / name).write_bytes(b"")
        with open_reader(str(tmp_path / name), ReadSettings()) as reader:
            assert list(reader) == []
        assert (reader.records, reader.input_bytes, reader.is_truncated) == (0, 0, False)


@pytest.mark.parametrize(
    "name", ["a.jsonl.gz", "a.warc.gz", "a.txt.zst", "a.jsonl.bz2", "a.wet.xz"]
)
def test_an_empty_file_is_no_compressed_one(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"")
    with open_reader(str(tmp_path / name), ReadSettings()) as reader:
        rejects = [reject for batch in reader for reject in batch.rejects]
    assert [reject.reason for reject in rejects] == [Reason.DAMAGED_STREAM]
    assert "the file is empty" in rejects[0].detail
    assert reader.is_truncated


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


def test_a_name_in_a_message_can_not_forge_a_line() -> None:
    with pytest.raises(ConfigurationError) as refused:
        detect_format("a\ncomplete: \x1b[2J\udcff\u202e.csv")
    assert str(refused.value).startswith("input_format: a\\ncomplete: \\x1b[2J\\udcff\\u202e.csv: ")
    assert str(refused.value).isprintable()
    assert printable("\u00e4 \u4e2d") == "\u00e4 \u4e2d"


def test_a_record_may_be_four_times_its_document() -> None:
    assert ReadSettings().max_document_bytes == 64 << 20
    assert ReadSettings().max_record_bytes == 256 << 20
    assert ReadSettings(max_document_bytes=100).max_record_bytes == 400
    assert ReadSettings(max_document_bytes=1 << 30).max_record_bytes == 1 << 30
    assert ReadSettings(max_document_bytes=100, max_record_bytes=100).max_record_bytes == 100


def test_a_batch_is_full_by_all_that_it_holds() -> None:
    settings = ReadSettings(batch_bytes=10_000)
    for text, document_id, url in (
        (b"x" * 1000, None, None),
        (b"", "x" * 1000, None),
        (b"", "", "u" * 1000),
    ):
        builder = BatchBuilder(settings)
        batches = []
        for _ in range(100):
            builder.document(builder.count(), 0, text, document_id, url)
            batches += builder.rest() if builder.is_full else ()
        assert [batch.records for batch in batches] == [10] * 10
    builder = BatchBuilder(settings)
    for _ in range(39):
        builder.reject(builder.count(), 0, Reason.NOT_TEXT, "", b"")
        assert not builder.is_full
    builder.reject(builder.count(), 0, Reason.NOT_TEXT, "", b"")
    assert builder.is_full
    assert [batch.records for batch in builder.rest()] == [40]


def test_a_text_above_the_limit_is_a_reject_in_a_batch() -> None:
    builder = BatchBuilder(ReadSettings(max_document_bytes=10))
    for text in (b"x" * 10, b"x" * 11):
        builder.document(builder.count(), 7, text, "id", None)
    (batch,) = builder.rest()
    assert batch.documents.text.to_pylist() == ["x" * 10]
    (reject,) = batch.rejects
    assert (reject.record, reject.byte_offset, reject.reason) == (1, 7, Reason.OVERSIZED_RECORD)
    assert reject.excerpt == b"x" * 11


def test_bytes_of_ids_that_are_no_utf8_are_replaced_one_by_one() -> None:
    names = pa.array([b"a\xffb", None, b"", b"\xe2\x82", b"good"]).view(pa.string())
    assert readable(names).to_pylist() == ["a\ufffdb", None, "", "\ufffd", "good"]
    long = pa.array([b"\xff" * 30_000, b"u" * 65_537]).view(pa.string())
    assert readable(long).to_pylist() == ["\ufffd" * 21_845, "u" * 65_536]
    assert encoded("\ud800" + "\u4e2d" * 30_000) == b"?" + ("\u4e2d" * 21_845).encode()
    assert encoded(None) is None


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="a file that can not be read")
def test_an_input_that_can_not_be_read_is_named() -> None:
    for input_format in (InputFormat.JSONL, InputFormat.WARC, InputFormat.PARQUET):
        settings = ReadSettings(input_format=input_format)
        with pytest.raises(OSError, match="'/proc/self/mem'"):
            sample_fields("/proc/self/mem", settings)
        with (
            pytest.raises(OSError, match="'/proc/self/mem'"),
            open_reader("/proc/self/mem", settings) as reader,
        ):
            list(reader)
