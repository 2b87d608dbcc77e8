"""WARC records whose Content-Length lies: how far the damage goes, and what stays intact."""

import base64
import gzip
import hashlib
import random
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from growth import growth

from transforms.documents import Reason, Reject
from transforms.reading import ReadSettings, open_reader

LIAR = 7
COUNT = 20


def record(
    block: bytes, length: int | None = None, kind: str = "conversion", **fields: str
) -> bytes:
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:{zlib.crc32(block)}>\r\n"
    head += "Content-Type: text/plain\r\n"
    head += "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    head += f"Content-Length: {len(block) if length is None else length}\r\n\r\n"
    return head.encode() + block + b"\r\n\r\n"


def block_of(number: int) -> bytes:
    words = random.Random(number).choices(["word", "other", "more", "\n\n", "\r\n\r\n"], k=number)
    return f"text {number} {' '.join(words)}.".encode()


def join_plain(records: list[bytes]) -> bytes:
    return b"".join(records)


def join_one_member(records: list[bytes]) -> bytes:
    return gzip.compress(b"".join(records), 1, mtime=0)


def join_members(records: list[bytes]) -> bytes:
    return b"".join(gzip.compress(record, 1, mtime=0) for record in records)


def join_frames(records: list[bytes]) -> bytes:
    return b"".join(zstandard.compress(record) for record in records)


def join_member_pairs(records: list[bytes]) -> bytes:
    pairs = [b"".join(records[i : i + 2]) for i in range(0, len(records), 2)]
    return b"".join(gzip.compress(pair, 1, mtime=0) for pair in pairs)


JOINS: list[Callable[[list[bytes]], bytes]] = [
    join_plain,
    join_one_member,
    join_members,
    join_frames,
    join_member_pairs,
]


def read(path: Path, **options: int) -> tuple[list[bytes], list[Reject]]:
    with open_reader(str(path), ReadSettings(**options)) as reader:  # type: ignore[arg-type]
        batches = list(reader)
    texts = [v.as_buffer().to_pybytes() for batch in batches for v in batch.documents.text]
    rejects = [reject for batch in batches for reject in batch.rejects]
    assert reader.records == len(texts) + len(rejects)
    return texts, rejects


def read_bytes(folder: Path, data: bytes, **options: int) -> tuple[list[bytes], list[Reject]]:
    (folder / "a.warc.wet").write_bytes(data)
    return read(folder / "a.warc.wet", **options)


def lengths_that_lie() -> dict[str, int]:
    """Content-Lengths for the record LIAR, by what is wrong with them."""
    records = [record(block_of(i)) for i in range(COUNT)]
    truth = len(block_of(LIAR))
    one = truth + 4 + len(records[LIAR + 1]) - 4
    to_end = sum(map(len, records[LIAR:])) - (len(records[LIAR]) - truth - 4)
    return {
        "zero": 0,
        "one less": truth - 1,
        "into the next header": truth + 50,
        "into the next block": one - 5,
        "exactly the next record": one,
        "exactly three records": one + sum(map(len, records[LIAR + 2 : LIAR + 4])),
        "exactly the next record and its newlines": one + 4,
        "exactly the last block": to_end - 4,
        "exactly to the end": to_end,
        "beyond the end": 1_000_000,
        "above the limit": 10**9,
        "absurd": 10**17,
    }


@pytest.mark.parametrize("join", JOINS, ids=lambda join: join.__name__)
@pytest.mark.parametrize("lie", lengths_that_lie())
def test_a_length_that_lies_costs_its_own_record(
    tmp_path: Path, join: Callable[[list[bytes]], bytes], lie: str
) -> None:
    blocks = [block_of(i) for i in range(COUNT)]
    records = [record(block) for block in blocks]
    records[LIAR] = record(blocks[LIAR], lengths_that_lie()[lie])
    texts, rejects = read_bytes(tmp_path, join(records))
    assert texts == blocks[:LIAR] + blocks[LIAR + 1 :]
    (reject,) = rejects
    assert reject.reason is Reason.DAMAGED_RECORD
    assert reject.record == LIAR
    assert reject.byte_offset == sum(map(len, records[:LIAR]))
    assert reject.lost_bytes == len(records[LIAR])
    assert records[LIAR].startswith(reject.excerpt)
    assert len(reject.excerpt) == len(records[LIAR]) or lie in ("above the limit", "absurd")


@pytest.mark.parametrize("join", JOINS, ids=lambda join: join.__name__)
def test_the_last_record_may_lie_too(tmp_path: Path, join: Callable[[list[bytes]], bytes]) -> None:
    records = [record(block_of(i)) for i in range(COUNT)]
    records[-1] = record(block_of(COUNT - 1), 10_000)
    texts, (reject,) = read_bytes(tmp_path, join(records))
    assert len(texts) == COUNT - 1
    assert reject.reason is Reason.DAMAGED_STREAM  # nothing tells it from a file that was cut
    assert reject.lost_bytes == len(records[-1])


@pytest.mark.parametrize("join", JOINS, ids=lambda join: join.__name__)
@pytest.mark.parametrize("has_digest", [True, False])
def test_an_archive_in_an_archive_stays_intact(
    tmp_path: Path, join: Callable[[list[bytes]], bytes], has_digest: bool
) -> None:
    inner = b"".join(record(block_of(i)) for i in range(5))
    blocks = [
        inner,
        b"HTTP/1.1 200 OK\r\nContent-Type: x\r\n\r\n" + inner,
        b"intro\r\n\r\n" + inner,
    ]
    outer = [
        record(block, **({"WARC_Block_Digest": sha1(block)} if has_digest else {}))
        for block in blocks
    ]
    texts, rejects = read_bytes(tmp_path, join([record(b"first"), *outer, record(b"last")]))
    assert texts == [b"first", *blocks, b"last"]
    assert not rejects


def sha1(block: bytes) -> str:
    return "sha1:" + base64.b32encode(hashlib.sha1(block).digest()).decode()


QUOTES = {
    "a whole record, and more": b"See:\r\n\r\n" + record(b"quoted") + b"That was it.",
    "a head": b"See:\r\n\r\nWARC/1.0\r\nWARC-Type: response\r\nContent-Length: 5\r\n\r\n",
    "a head that goes too far": b"See:\r\n\r\n" + record(b"quoted", 10_000),
    "a head as the body": b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n" + record(b"quoted")[:-4],
    "with line feeds": b"See:\n\n" + record(b"quoted").replace(b"\r", b"")[:-2],
}


@pytest.mark.parametrize("join", JOINS, ids=lambda join: join.__name__)
@pytest.mark.parametrize("quote", QUOTES)
def test_a_page_that_quotes_a_record_stays_intact(
    tmp_path: Path, join: Callable[[list[bytes]], bytes], quote: str
) -> None:
    blocks = [b"first", QUOTES[quote], b"last"]
    texts, rejects = read_bytes(tmp_path, join([record(block) for block in blocks]))
    assert texts == blocks
    assert not rejects


@pytest.mark.parametrize(
    "digest",
    [
        sha1,
        lambda block: f"SHA-256:{hashlib.sha256(block).hexdigest()}",
        lambda block: f"md5:{hashlib.md5(block).hexdigest().upper()}",
    ],
    ids=["sha1", "sha256", "md5"],
)
def test_a_page_can_not_forge_a_record_where_blocks_have_digests(
    tmp_path: Path, digest: Callable[[bytes], str]
) -> None:
    forged = b"A page.\r\n\r\n" + record(b"I am from another site.")[:-4]
    outer = record(forged, WARC_Block_Digest=digest(forged))
    texts, rejects = read_bytes(tmp_path, record(b"first") + outer + record(b"last"))
    assert texts == [b"first", forged, b"last"]
    assert not rejects
    # And a digest of something else does not speak for the block.
    outer = record(forged, WARC_Block_Digest=digest(b"A page."))
    texts, (reject,) = read_bytes(tmp_path, record(b"first") + outer + record(b"last"))
    assert texts == [b"first", b"I am from another site.", b"last"]
    assert reject.lost_bytes == len(outer) - len(record(b"I am from another site."))


def test_newlines_that_the_length_takes_in_are_text(tmp_path: Path) -> None:
    """A writer that leaves out newlines and one that counts them look the same."""
    for extra in (1, 2, 3, 4):
        lying = record(b"text", 4 + extra)
        texts, rejects = read_bytes(tmp_path, record(b"first") + lying + record(b"last"))
        assert texts == [b"first", b"text\r\n\r\n"[: 4 + extra], b"last"]
        assert not rejects


@pytest.mark.parametrize("extra", [1, 2, 3, 4])
@pytest.mark.parametrize("join", [join_plain, join_one_member, join_members])
def test_newlines_that_the_length_takes_in_are_told_by_the_digest(
    tmp_path: Path, join: Callable[[list[bytes]], bytes], extra: int
) -> None:
    for block in (b"text", b"text\r\n", b""):
        lying = record(block, len(block) + extra, WARC_Block_Digest=sha1(block))
        data = join([record(b"first"), lying, record(b"last")])
        texts, (reject,) = read_bytes(tmp_path, data)
        assert texts == [b"first", b"last"]
        assert reject.lost_bytes == len(lying)
    # The length is right, and the digest is of something else: that says nothing of the length.
    odd = record(b"text\r\n\r\n", WARC_Block_Digest=sha1(b"other"))[:-4]
    texts, rejects = read_bytes(tmp_path, record(b"first") + odd + record(b"last"))
    assert texts == [b"first", b"text\r\n\r\n", b"last"]
    assert not rejects


@pytest.mark.parametrize("join", JOINS, ids=lambda join: join.__name__)
@pytest.mark.parametrize("at", [0, 2, 4])
def test_a_header_of_very_many_lines_costs_its_own_record(
    tmp_path: Path, join: Callable[[list[bytes]], bytes], at: int
) -> None:
    """As the last record it passed for a file that was cut off."""
    records = [record(b"%d" % number) for number in range(4)]
    many = b"".join(b"X-%d: y\r\n" % number for number in range(200_000))
    records.insert(at, record(b"never").replace(b"Content-Type", many + b"Content-Type"))
    texts, (reject,) = read_bytes(tmp_path, join(records))
    assert texts == [b"0", b"1", b"2", b"3"]
    assert reject.reason is Reason.DAMAGED_RECORD
    assert reject.lost_bytes == len(records[at])
    assert "header" in reject.detail


def test_a_length_that_ends_at_an_empty_line_of_the_block_is_told_by_the_digest(
    tmp_path: Path,
) -> None:
    block = b"one paragraph\r\n\r\nand another"
    short = record(block, len(b"one paragraph"), WARC_Block_Digest=sha1(block))
    texts, (reject,) = read_bytes(tmp_path, record(b"first") + short + record(b"last"))
    assert texts == [b"first", b"last"]
    assert reject.lost_bytes == len(short)


def test_an_oversized_record_that_is_sound_loses_nothing_and_is_not_looked_into(
    tmp_path: Path,
) -> None:
    inner = b"".join(record(block_of(i)) for i in range(50))
    for block in (b"x" * 5000, inner, b"WARC" + b"\n\nWARC/1.0\r\nno head" * 200):
        data = record(b"first") + record(block) + record(b"last")
        for content in (
            data,
            gzip.compress(data),
            join_members([record(b"first"), record(block), record(b"last")]),
        ):
            texts, (reject,) = read_bytes(
                tmp_path, content, max_document_bytes=1000, max_record_bytes=1000
            )
            assert texts == [b"first", b"last"]
            assert reject.reason is Reason.OVERSIZED_RECORD
            assert reject.lost_bytes == 0
    texts, (reject,) = read_bytes(
        tmp_path, record(b"x" * 5000)[:-4], max_document_bytes=1000, max_record_bytes=1000
    )
    assert reject.reason is Reason.OVERSIZED_RECORD, "the newlines after it are not missed"


HEADERS = {
    "no type": (b"WARC-Type: conversion\r\n", b""),
    "no length": (b"Content-Length: 5\r\n", b""),
    "two lengths": (b"Content-Length: 5\r\n", b"Content-Length: 5\r\nContent-Length: 6\r\n"),
    "two types": (b"WARC-Type: conversion\r\n", b"WARC-Type: x\r\nWARC-Type: conversion\r\n"),
    "another head": (b"WARC-Type: conv", b"WARC-Ty\r\nWARC/1.0\r\nA: b\r\nWARC-Type: conv"),
    "negative": (b"Length: 5", b"Length: -5"),
    "no empty line": (b"\r\n\r\nnever", b"\r\nnever"),
}  # fmt: skip


@pytest.mark.parametrize("join", JOINS, ids=lambda join: join.__name__)
@pytest.mark.parametrize("fault", HEADERS)
def test_a_header_that_can_not_be_believed_costs_its_own_record(
    tmp_path: Path, join: Callable[[list[bytes]], bytes], fault: str
) -> None:
    bad = record(b"never").replace(*HEADERS[fault])
    assert bad != record(b"never")
    records = [record(b"1"), record(b"2"), bad, record(b"3"), record(b"4")]
    texts, rejects = read_bytes(tmp_path, join(records))
    assert texts == [b"1", b"2", b"3", b"4"]
    assert {reject.reason for reject in rejects} == {Reason.DAMAGED_RECORD}
    assert sum(reject.lost_bytes for reject in rejects) == len(bad)


def test_the_same_length_twice_is_no_contradiction(tmp_path: Path) -> None:
    twice = record(b"12345").replace(b"Content-Length: 5", b"Content-Length: 5\r\ncontent-length:5")
    assert read_bytes(tmp_path, twice) == ([b"12345"], [])


@pytest.mark.parametrize("join", JOINS, ids=lambda join: join.__name__)
def test_a_record_cut_in_its_header_costs_no_neighbour_but_one_it_runs_into(
    tmp_path: Path, join: Callable[[list[bytes]], bytes]
) -> None:
    """A writer that was killed, and went on appending to its file."""
    whole = record(b"never")
    for cut in range(1, len(whole) - 4):
        records = [record(b"1"), record(b"2"), whole[:cut], record(b"3"), record(b"4")]
        texts, rejects = read_bytes(tmp_path, join(records))
        assert texts in ([b"1", b"2", b"3", b"4"], [b"1", b"2", b"4"]), cut
        assert 1 <= len(rejects) <= 2
        if join in (join_members, join_frames):
            assert b"3" in texts


def lying_records(lie: str, count: int) -> list[bytes]:
    size = len(record(b"text", 10_000_000))
    lengths = {
        "beyond the end": [200_000_000 + i for i in range(count)],
        "all to one end": [size * (count - i) - size + 4 for i in range(count)],
        "above the limit": [999_999_999] * count,
        "headers": [4] * count,
    }[lie]
    records = [record(b"text", length) for length in lengths]
    if lie == "headers":
        records = [r.replace(b"\r\n\r\n", b"\r\n") for r in records]
    if lie == "all to one end":
        digits = [b"Content-Length: %08d" % length for length in lengths]
        records = [
            r.replace(b"Content-Length: %d" % n, d)
            for r, n, d in zip(records, lengths, digits, strict=True)
        ]
    return records


@pytest.mark.parametrize("join", [join_plain, join_one_member, join_members])
@pytest.mark.parametrize("lie", ["beyond the end", "all to one end", "above the limit", "headers"])
def test_time_is_linear_though_every_record_lies(
    tmp_path: Path, join: Callable[[list[bytes]], bytes], lie: str
) -> None:

    def read_lies(data: tuple[int, bytes]) -> None:
        texts, rejects = read_bytes(tmp_path, data[1])
        assert len(texts) <= 1
        assert len(rejects) >= data[0] - 1 or lie == "headers"

    small, large = ((count, join(lying_records(lie, count))) for count in (2_000, 16_000))
    assert growth(read_lies, small, large, limit=24) < 24
