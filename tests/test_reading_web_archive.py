"""WARC and WET: real archives one by one, HTTP oddities, and damage at any byte."""

import gzip
import zlib
from collections import Counter
from pathlib import Path

import pytest
from warcio.archiveiterator import ArchiveIterator

from tokenizer.errors import ConfigurationError
from transforms.documents import Reason, RecordBatch
from transforms.reading import ReadSettings, open_reader

PAGE = b"<!doctype html><html><body><p>Some words that are the page.</p></body></html>"
WORDS = b"Some words that are the page."


def record(kind: str, block: bytes, content_type: str = "text/plain", **fields: str) -> bytes:
    lines = [f"WARC/1.0\r\nWARC-Type: {kind}", f"WARC-Record-ID: <urn:{len(block)}>"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    lines += [f"Content-Type: {content_type}", f"Content-Length: {len(block)}", "", ""]
    return "\r\n".join(lines).encode() + block + b"\r\n\r\n"


def http(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode()
    return record("response", head + body, "application/http; msgtype=response")


def read(path: Path, **options: int) -> list[RecordBatch]:
    with open_reader(str(path), ReadSettings(**options)) as reader:  # type: ignore[arg-type]
        batches = list(reader)
    assert reader.input_bytes == path.stat().st_size
    assert reader.records == sum(batch.records for batch in batches)
    for batch in batches:
        assert batch.records == len(batch.documents) + len(batch.rejects)
    return batches


def texts(batches: list[RecordBatch]) -> list[bytes]:
    return [value.as_buffer().to_pybytes() for batch in batches for value in batch.documents.text]


def reasons(batches: list[RecordBatch]) -> list[Reason]:
    return [reject.reason for batch in batches for reject in batch.rejects]


def read_bytes(
    tmp_path: Path, data: bytes, name: str = "a.warc", **options: int
) -> list[RecordBatch]:
    (tmp_path / name).write_bytes(data)
    return read(tmp_path / name, **options)


# path below archives/, records, documents, faults
ARCHIVES: list[tuple[str, int, int, list[Reason]]] = [
    ("aut/example.txt.warc.gz", 6, 1, []),  # one text/plain, one of no declared type
    ("aut/example.warc.gz", 822, 129, []),
    ("aut/issue-493.warc", 32, 3, []),
    ("commoncrawl/whirlwind.warc.gz", 4, 1, []),
    ("commoncrawl/whirlwind.warc.wat.gz", 2, 0, []),  # metadata only
    ("commoncrawl/whirlwind.warc.wet.gz", 2, 1, []),
    ("dolma/cc_en_head-0091.jsonl.gz", 10, 10, []),
    ("dolma/cc_en_head-0174.jsonl.gz", 10, 10, []),
    ("dolma/sample-0000.warc.gz", 48, 24, []),
    ("dolma/sample-0001.warc.gz", 34, 17, []),
    ("dolma/test.jsonl.zst", 1, 0, [Reason.MISSING_TEXT]),  # its field is `message`
    ("resiliparse/block-sized-records.warc.gz", 3, 0, []),  # WARC-Type: unknown
    ("resiliparse/warcfile.warc.gz", 50, 16, []),
    ("warcio/example-bad-non-chunked.warc.gz", 6, 1, []),  # all records in one gzip member
    ("warcio/example-resource.warc.gz", 3, 1, []),
    ("warcio/example-space-in-target-uri.warc.gz", 2, 0, []),  # a picture
    ("warcio/example-trunc.warc", 4, 0, [Reason.DAMAGED_RECORD]),  # Content-Length 2 too small
    ("warcio/example-wrong-chunks.warc.gz", 2, 1, []),  # a record over two gzip members
    ("warcio/example.warc.gz", 6, 1, []),
]


@pytest.mark.parametrize(("name", "records", "documents", "faults"), ARCHIVES, ids=lambda v: str(v))
def test_an_archive_from_the_wild(
    shared_data: Path, name: str, records: int, documents: int, faults: list[Reason]
) -> None:
    batches = read(shared_data / "archives" / name)
    assert sum(batch.records for batch in batches) == records
    assert len(texts(batches)) == documents
    assert [reason for reason in reasons(batches) if reason.counts_as_fault] == faults


def test_no_archive_is_left_out(shared_data: Path) -> None:
    names = {
        path.relative_to(shared_data / "archives").as_posix()
        for path in (shared_data / "archives").glob("*/*")
    }
    assert names == {name for name, *_ in ARCHIVES} | {"aut/badexample.arc.gz"}


def test_the_older_arc_format_is_refused_with_the_remedy(shared_data: Path) -> None:
    path = shared_data / "archives" / "aut" / "badexample.arc.gz"
    with pytest.raises(ConfigurationError, match="input_format"):
        open_reader(str(path), ReadSettings())


def test_an_arc_file_that_is_called_a_warc_is_named_as_what_it_is(tmp_path: Path) -> None:
    batches = read_bytes(tmp_path, b"filedesc://a.arc 0.0.0.0 2004 text/plain 76\n1 0 I\n")
    (reject,) = [reject for batch in batches for reject in batch.rejects]
    assert reject.reason is Reason.DAMAGED_RECORD
    assert "ARC" in reject.detail


@pytest.mark.parametrize("version", ["0.18", "1.0", "1.1"])
def test_versions_of_the_format_are_read_alike(tmp_path: Path, version: str) -> None:
    data = b"".join(wet(3)).replace(b"WARC/1.0", b"WARC/" + version.encode())
    batches = read_bytes(tmp_path, data + data.replace(b"\r", b""), "a.wet")
    assert len(texts(batches)) == 6
    assert reasons(batches) == []


def test_records_are_those_that_warcio_counts(shared_data: Path) -> None:
    unreadable_to_warcio = {"example-bad-non-chunked.warc.gz", "example-wrong-chunks.warc.gz"}
    paths = [*(shared_data / "archives").glob("*/*warc*"), *(shared_data / "web").glob("*.wet.gz")]
    for path in sorted(paths):
        if path.name in unreadable_to_warcio:
            continue
        with path.open("rb") as file:
            expected = sum(1 for _ in ArchiveIterator(file))
        assert sum(batch.records for batch in read(path)) == expected, path


def test_wet_documents_are_those_that_warcio_reads(shared_data: Path) -> None:
    for path in sorted((shared_data / "web").glob("*.wet.gz")):
        with path.open("rb") as file:
            expected = [
                (
                    warc.rec_headers["WARC-Record-ID"],
                    warc.rec_headers["WARC-Target-URI"],
                    warc.content_stream().read(),
                )
                for warc in ArchiveIterator(file)
                if warc.rec_type == "conversion"
            ]
        batches = read(path, batch_bytes=1 << 18)
        columns = [batch.documents for batch in batches]
        ids = [value for column in columns for value in column.id.to_pylist()]
        urls = [value for column in columns for value in column.url.to_pylist()]
        assert list(zip(ids, urls, texts(batches), strict=True)) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (http(PAGE, "Content-Type: text/html"), WORDS),
        (http(PAGE, "Content-Type: application/xhtml+xml; charset=utf-8"), WORDS),
        (http(PAGE), WORDS),  # no type, but it begins like HTML
        (http(b"k\xe4se", "Content-Type: text/plain; charset=latin-1"), "k\u00e4se".encode()),
        (http(b"\xef\xbb\xbfmark", "Content-Type: text/plain"), b"mark"),
        (http(gzip.compress(PAGE), "Content-Type: text/html", "Content-Encoding: gzip"), WORDS),
        (http(zlib.compress(PAGE), "Content-Type: text/html", "Content-Encoding: deflate"), WORDS),
        (
            http(zlib.compress(PAGE)[2:-4], "Content-Type: text/html", "Content-Encoding: deflate"),
            WORDS,
        ),
        (http(PAGE, "Content-Type: text/html", "Content-Encoding: gzip"), WORDS),  # it is not
        (
            http(
                b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
                "Content-Type: text/plain",
                "Transfer-Encoding: chunked",
            ),
            b"abcde",
        ),
        (http(PAGE, "Content-Type: text/html", "Transfer-Encoding: chunked"), WORDS),  # it is not
        (record("resource", PAGE, "text/html"), WORDS),
        (record("response", PAGE, "text/html"), WORDS),  # not over HTTP
    ],
)  # fmt: skip
def test_a_page_becomes_its_text(tmp_path: Path, data: bytes, expected: bytes) -> None:
    batches = read_bytes(tmp_path, data)
    assert (texts(batches), reasons(batches)) == ([expected], [])


def test_brotli_is_decoded(tmp_path: Path) -> None:
    # "Some words that are the page." by `brotli -q 11`, as an uncompressed meta-block
    body = b"\x21\x70\x00\x04" + WORDS + b"\x03"
    data = http(body, "Content-Type: text/plain", "Content-Encoding: br")
    assert texts(read_bytes(tmp_path, data)) == [WORDS]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (record("request", b"GET / HTTP/1.1\r\n\r\n", "application/http"), Reason.NOT_A_DOCUMENT),
        (record("conversion", b"text"), Reason.NOT_A_DOCUMENT),
        (http(PAGE, "Content-Type: text/html", status="404 Not Found"), Reason.NOT_SUCCESSFUL),
        (http(b"\x89PNG", "Content-Type: image/png"), Reason.NOT_TEXT),
        (http(b"who knows"), Reason.NOT_TEXT),
        (http(b"<html></html>", "Content-Type: text/html"), Reason.NO_MAIN_TEXT),
        (http(b"", "Content-Type: text/html"), Reason.NO_MAIN_TEXT),
        (http(b"<div>" * 30_000 + b"text", "Content-Type: text/html"), Reason.NO_MAIN_TEXT),
        (record("response", b"no status", "application/http"), Reason.UNDECODABLE_PAYLOAD),
        (
            http(b"\x1f\x8bjunk", "Content-Type: text/html", "Content-Encoding: gzip"),
            Reason.UNDECODABLE_PAYLOAD,
        ),
        (
            http(gzip.compress(PAGE)[:-20], "Content-Type: text/html", "Content-Encoding: gzip"),
            Reason.UNDECODABLE_PAYLOAD,
        ),
        (http(b"x", "Content-Type: text/html", "Content-Encoding: x"), Reason.UNDECODABLE_PAYLOAD),
        (http(b"x", "Content-Type: text/html", "Content-Encoding: br"), Reason.UNDECODABLE_PAYLOAD),
    ],
)  # fmt: skip
def test_a_record_that_is_no_document_says_why(tmp_path: Path, data: bytes, reason: Reason) -> None:
    (batch,) = read_bytes(tmp_path, data)
    (reject,) = batch.rejects
    assert reject.reason is reason
    assert bool(reject.excerpt) == reason.counts_as_fault


def test_a_wet_text_of_another_charset_is_decoded(tmp_path: Path) -> None:
    data = record("conversion", b"k\xe4se", "text/plain; charset=iso-8859-1")
    data += record("conversion", b"k\xe4se") + record("conversion", b"")
    assert texts(read_bytes(tmp_path, data, "a.wet")) == ["k\u00e4se".encode(), b"k\xe4se", b""]


def wet(count: int) -> list[bytes]:
    return [record("conversion", b"text %d\n" % i * 20, WARC_Target_URI="u") for i in range(count)]


def test_an_oversized_record_is_skipped(tmp_path: Path) -> None:
    data = wet(1)[0] + record("conversion", b"x" * 500_000) + wet(1)[0]
    batches = read_bytes(tmp_path, data, "a.wet", max_record_bytes=1000, max_document_bytes=1000)
    assert len(texts(batches)) == 2
    assert reasons(batches) == [Reason.OVERSIZED_RECORD]


def test_newlines_between_records_are_no_records(tmp_path: Path) -> None:
    first, second, third = wet(3)
    for extra in (b"\r\n", b"\n", b"\r\n" * 50, b"\n" * 3000):
        data = extra + first + extra + second + third + extra
        for content in (
            data,
            gzip.compress(data),
            gzip.compress(first + extra) + gzip.compress(second + third),
        ):
            batches = read_bytes(tmp_path, content, "a.wet")
            assert reasons(batches) == []
            assert len(texts(batches)) == 3


def offsets(batches: list[RecordBatch]) -> list[int]:
    return [int(offset) for batch in batches for offset in batch.documents.byte_offset]


def test_byte_offsets_are_those_of_the_decompressed_stream(tmp_path: Path) -> None:
    records = wet(6)
    junk = b"some junk between records\r\n" * 40_000
    data = b"".join(records[:2]) + junk + b"".join(records[2:])
    expected = [data.index(record) for record in records]
    assert offsets(read_bytes(tmp_path, data, "a.wet")) == expected
    assert offsets(read_bytes(tmp_path, gzip.compress(data), "a.wet")) == expected
    # A member whose checksum is wrong is left out, and counts.
    members = [gzip.compress(record) for record in records]
    members[2] = members[2][:-5] + bytes([members[2][-5] ^ 1]) + members[2][-4:]
    batches = read_bytes(tmp_path, b"".join(members), "a.wet")
    data = b"".join(records)
    expected = [data.index(record) for record in records]
    assert offsets(batches) == expected[:2] + expected[3:]
    (reject,) = [reject for batch in batches for reject in batch.rejects]
    assert (reject.record, reject.byte_offset) == (2, expected[2])
    assert reject.lost_bytes == len(records[2])


def test_after_an_oversized_record_whose_length_is_wrong_the_next_header_is_found(
    tmp_path: Path,
) -> None:
    for wrong in (2_000, 100_000, 499_000, 501_000, 500_300):
        data = wet(1)[0] + record("conversion", b"x" * 500_000) + wet(1)[0] + wet(1)[0]
        data = data.replace(b"Content-Length: 500000", b"Content-Length: %d" % wrong)
        batches = read_bytes(
            tmp_path, data, "a.wet", max_document_bytes=1000, max_record_bytes=1000
        )
        assert len(texts(batches)) == 3, wrong
        rejects = [reject for batch in batches for reject in batch.rejects]
        if wrong < 500_000:  # the bytes that no record claims are a reject of their own
            assert [r.reason for r in rejects] == [Reason.OVERSIZED_RECORD, Reason.DAMAGED_RECORD]
            assert [r.lost_bytes for r in rejects] == [0, 500_000 - wrong + 4]
        else:
            assert [reject.reason for reject in rejects] == [Reason.DAMAGED_RECORD]


def test_garbage_between_records_costs_no_record(tmp_path: Path) -> None:
    first, second, third = wet(3)
    batches = read_bytes(
        tmp_path, b"junk\r\n" + first + second + b"junk\nWARC/1.0 junk\n" + third, "a.wet"
    )
    assert len(texts(batches)) == 3
    assert reasons(batches) == [Reason.DAMAGED_RECORD] * 2


@pytest.mark.parametrize("length", [b"5", b"100000", b"-1", b"x", b"", b"9" * 30])
def test_a_wrong_length_costs_its_record(tmp_path: Path, length: bytes) -> None:
    records = wet(3)
    records[1] = records[1].replace(b"Content-Length: 140", b"Content-Length: " + length)
    assert length in records[1]
    batches = read_bytes(tmp_path, b"".join(records), "a.wet")
    assert len(texts(batches)) == 2
    assert reasons(batches) == [Reason.DAMAGED_RECORD]


@pytest.mark.parametrize("per_member", [1, 30], ids=["member a record", "one member"])
@pytest.mark.parametrize("compress", [True, False], ids=["gzip", "plain"])
def test_a_cut_archive_loses_no_record_before_the_cut(
    tmp_path: Path, per_member: int, compress: bool
) -> None:
    records = wet(30)
    members = [b"".join(records[i : i + per_member]) for i in range(0, 30, per_member)]
    if compress:
        members = [gzip.compress(member) for member in members]
    data = b"".join(members)
    for cut in range(1, len(data), 53):
        batches = read_bytes(tmp_path, data[:cut], "a.wet.gz")
        found = texts(batches)
        assert found == [b"text %d\n" % i * 20 for i in range(len(found))]
        if per_member == 1:
            whole = sum(1 for i in range(30) if len(b"".join(members[: i + 1])) <= cut)
            assert len(found) in (whole, whole + 1)
        assert reasons(batches) in ([Reason.DAMAGED_STREAM], [])


def test_one_bad_byte_costs_one_record(tmp_path: Path) -> None:
    records = wet(12)
    members = [gzip.compress(member) for member in records]
    data = b"".join(members)
    start = len(members[0])
    for position in range(start, len(data) - len(members[-1]), 3):
        flipped = bytearray(data)
        flipped[position] ^= 0x10
        batches = read_bytes(tmp_path, bytes(flipped), "a.wet.gz")
        found = texts(batches)
        wanted = [b"text %d\n" % i * 20 for i in range(12)]
        assert set(found) <= set(wanted), "no altered text"
        assert len(found) >= 11
        assert len(found) + len(reasons(batches)) >= 12
        assert Counter(reasons(batches)) in (Counter(), Counter({Reason.DAMAGED_RECORD: 1}))


def test_damage_between_members_that_hold_pieces_of_records_is_one_reject(tmp_path: Path) -> None:
    """Reading goes on at the next record: what is left of the damaged one is part of its loss."""
    plain = b"".join(record("conversion", b"text %d " % n * 30) for n in range(30))
    members = [gzip.compress(plain[at : at + 700]) for at in range(0, len(plain), 700)]
    members[4] = members[4][:20] + b"\xff" * 30 + members[4][50:]  # no deflate
    data = b"".join(members)
    batches = read_bytes(tmp_path, data, "a.warc.wet.gz")
    assert reasons(batches) == [Reason.DAMAGED_RECORD]
    assert 25 <= len(texts(batches)) <= 28
