"""Parts of an input: together they are the whole, record for record, whatever its bytes."""

import bz2
import gzip
import hashlib
import json
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_inputs import json_lines, wet

from transforms.errors import UnitFailedError
from transforms.reading import Part, ReadSettings, find_parts, open_reader
from transforms.reading import parts as parts_module

Rows = list[tuple[Any, ...]]


class Found:
    """What was read: of a file, or of all its parts one after the other."""

    def __init__(self) -> None:
        self.documents: Rows = []
        self.rejects: Rows = []
        self.sums = [0, 0, 0]
        self.is_truncated = False

    def read(self, path: Path, options: ReadSettings, part: Part | None) -> None:
        content = path.read_bytes()
        start, stop = part or (0, len(content))
        numbers: list[int] = []
        with open_reader(str(path), options, part) as reader:
            for batch in reader:
                documents = batch.documents
                columns = [documents.text.view(pa.binary()), documents.id, documents.url]
                self.documents += zip(*(column.to_pylist() for column in columns), strict=True)
                self.rejects += [
                    (one.reason, one.detail, one.excerpt, one.lost_bytes) for one in batch.rejects
                ]
                numbers += [*documents.record.tolist(), *(one.record for one in batch.rejects)]
        assert sorted(numbers) == list(range(reader.records))
        assert reader.input_bytes == stop - start
        assert reader.input_sha256 == hashlib.sha256(content[start:stop]).hexdigest()
        found = (reader.decoded_bytes, reader.lost_bytes, reader.undecoded_bytes)
        self.sums = [one + other for one, other in zip(self.sums, found, strict=True)]
        self.is_truncated |= reader.is_truncated


def read_parts(path: Path, options: ReadSettings, parts: Sequence[Part | None]) -> Found:
    found = Found()
    for part in parts:
        found.read(path, options, part)
    return found


def assert_parts_are_the_whole(
    path: Path, max_unit_bytes: int, parts: Sequence[Part] | None = None, **options: Any
) -> Sequence[Part]:
    """Reads a file whole and in parts, those that are found or the given ones; returns them."""
    chosen = ReadSettings(max_unit_bytes=max_unit_bytes, **options)
    if parts is None:
        parts = find_parts(str(path), path.stat().st_size, chosen)
    if not parts:
        return parts
    assert [start for start, _ in parts] == [0, *(stop for _, stop in parts[:-1])]
    assert parts[-1][1] == path.stat().st_size
    whole = read_parts(path, chosen, [None])
    split = read_parts(path, chosen, parts)
    assert split.documents == whole.documents
    assert split.rejects == whole.rejects
    assert split.sums == whole.sums
    assert split.is_truncated == whole.is_truncated
    return parts


ODD_LINES = [
    b'{"text": "plain", "id": 1}\n',
    '{"text": "caf\u00e9 \u4e2d\u6587 \U0001f600", "id": "x"}\n'.encode(),
    b'{"text": "with a return", "url": "u"}\r\n',
    b"\n",
    b"\r\n",
    b"not json\n",
    b'{"text": ""}\n',
    b'{"text": "bad \xff"}\n',
    b'{"text": "' + b"long " * 60 + b'"}\n',
    b'{"other": 1}\n',
]


def odd_lines(count: int, seed: int) -> bytes:
    draw = random.Random(seed)
    unlike = (b'{"text": "%x"}\n' % draw.getrandbits(500) for _ in range(count))
    return b"".join(line + next(unlike) for line in draw.choices(ODD_LINES, k=count))


@given(
    lines=st.lists(st.sampled_from(ODD_LINES), max_size=12).map(b"".join),
    before=st.sampled_from([b"", b"\xef\xbb\xbf"]),
    last=st.sampled_from([b"", b'{"text": "no newline"}', b'{"text": "a re']),
    max_unit_bytes=st.integers(1, 400),
)
@settings(derandomize=True, max_examples=300, deadline=None)
def test_parts_of_any_lines_are_the_whole(
    tmp_path_factory: pytest.TempPathFactory,
    lines: bytes,
    before: bytes,
    last: bytes,
    max_unit_bytes: int,
) -> None:
    path = tmp_path_factory.mktemp("lines") / "a.jsonl"
    path.write_bytes(before + lines + last)
    parts = assert_parts_are_the_whole(path, max_unit_bytes)
    assert bool(parts) == (path.stat().st_size > max_unit_bytes)
    assert all(stop - start <= max_unit_bytes for start, stop in parts)


def test_each_line_of_a_plain_file_is_found_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content := odd_lines(50, seed=1))
    options = ReadSettings(max_unit_bytes=300)
    for part in find_parts(str(path), len(content), options):
        with open_reader(str(path), options, part) as reader:
            for batch in reader:
                for offset in batch.documents.byte_offset.tolist():
                    at = part[0] + offset
                    assert content[at - 1 : at] in (b"\n", b"")


def test_a_line_longer_than_a_part_leaves_parts_without_records(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    long = json.dumps({"text": "x" * 1000}).encode() + b"\n"
    path.write_bytes(ODD_LINES[0] + long + ODD_LINES[0])
    options = ReadSettings(max_unit_bytes=200)
    parts = assert_parts_are_the_whole(path, 200)
    counts = []
    for part in parts:
        with open_reader(str(path), options, part) as reader:
            list(reader)
        counts.append(reader.records)
    assert counts == [2, 0, 0, 0, 0, 1]


def test_a_line_beyond_the_limit_is_one_reject_of_its_part(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(ODD_LINES[0] + b"y" * 2000 + b"\n" + ODD_LINES[1] * 3)
    for size in (10, 100, 500, 1500):
        limits = {"max_record_bytes": 400, "max_document_bytes": 300}
        assert_parts_are_the_whole(path, size, **limits)


def members_of(content: bytes, sizes: Sequence[int], pack: Callable[[bytes], bytes]) -> list[bytes]:
    """The content in members of so many bytes each, in turn: lines go on from one to the next."""
    members, at = [], 0
    while at < len(content):
        size = sizes[len(members) % len(sizes)]
        members.append(pack(content[at : at + size]))
        at += size
    return members


def pack_gzip(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def pack_zstd(content: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(content)


def pack_after_skippable(content: bytes) -> bytes:
    """As pzstd does: a skippable frame tells how long the one after it is."""
    frame = pack_zstd(content)
    return b"\x50\x2a\x4d\x18\x04\0\0\0" + len(frame).to_bytes(4, "little") + frame


PACKED = {
    "gz": pack_gzip,
    "zst": pack_zstd,
    "zst after skippable": pack_after_skippable,
}


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("sizes", [[1], [700], [300, 5000, 1]])
def test_parts_of_compressed_lines_are_the_whole(
    tmp_path: Path, kind: str, sizes: list[int]
) -> None:
    content = odd_lines(60, seed=2) if sizes != [1] else odd_lines(6, seed=2)
    members = members_of(content, sizes, PACKED[kind])
    path = tmp_path / f"a.jsonl.{kind.split()[0]}"
    path.write_bytes(b"".join(members))
    counts = [len(assert_parts_are_the_whole(path, size)) for size in (60, 200, 500, 1500, 5000)]
    assert counts == sorted(counts, reverse=True)
    assert 1 < counts[0] <= len(members)


def offsets_of(pattern: bytes, content: bytes) -> list[int]:
    return [found.start() for found in re.finditer(re.escape(pattern), content)]


@pytest.mark.parametrize("kind", PACKED)
def test_damage_costs_the_same_in_parts_and_in_the_whole(tmp_path: Path, kind: str) -> None:
    draw = random.Random(3)
    content = b"".join(b'{"text": "%d", "id": %d}\n' % (draw.getrandbits(99), n) for n in range(90))
    members = members_of(content, [500, 90], PACKED[kind])
    sound = b"".join(members)
    path = tmp_path / f"a.jsonl.{kind.split()[0]}"
    path.write_bytes(sound)
    parts = find_parts(str(path), len(sound), ReadSettings(max_unit_bytes=600))
    assert len(parts) > 3
    spared = {at for start, _ in parts for at in range(start, start + 24)}  # or there is no part
    if kind == "zst after skippable":  # a wrong size of such a frame leads past where parts begin
        spared |= {at + n for at in offsets_of(b"\x50\x2a\x4d\x18", sound) for n in range(8)}
    for at in draw.sample(sorted(set(range(len(sound))) - spared), 150):
        damaged = bytearray(sound)
        damaged[at] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        assert_parts_are_the_whole(path, 600, parts)
        assert_parts_are_the_whole(path, 600)


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_a_truncated_file_loses_the_same_in_parts_and_in_the_whole(
    tmp_path: Path, kind: str
) -> None:
    content = odd_lines(80, seed=4)
    packed = b"".join(members_of(content, [400], PACKED[kind]))
    path = tmp_path / f"a.jsonl.{kind}"
    for cut in range(3, 200, 13):
        path.write_bytes(packed[:-cut])
        assert_parts_are_the_whole(path, 500)


@pytest.mark.parametrize("size", [300, 1000, 3000])
def test_parts_of_wet_records_are_the_whole(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.warc.wet.gz"
    path.write_bytes(wet("w", 40))
    assert len(assert_parts_are_the_whole(path, size)) > 1


def test_damage_in_wet_costs_the_same_in_parts_and_in_the_whole(tmp_path: Path) -> None:
    draw = random.Random(5)
    sound = wet("w", 40)
    path = tmp_path / "a.warc.wet.gz"
    path.write_bytes(sound)
    parts = find_parts(str(path), len(sound), ReadSettings(max_unit_bytes=1500))
    spared = {at for start, _ in parts for at in range(start, start + 20)}
    for at in draw.sample(sorted(set(range(len(sound))) - spared), 150):
        damaged = bytearray(sound)
        damaged[at] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        assert_parts_are_the_whole(path, 1500, parts)
        assert_parts_are_the_whole(path, 1500)


def test_a_record_over_several_members_is_not_split(tmp_path: Path) -> None:
    """A writer that begins a member for every 200 bytes, wherever records begin."""
    content = gzip.decompress(wet("w", 40))
    path = tmp_path / "a.warc.wet.gz"
    path.write_bytes(b"".join(members_of(content, [200], pack_gzip)))
    assert_parts_are_the_whole(path, 800)


def write_parquet(path: Path, rows: int, group_rows: int) -> None:
    table = pa.table(
        {
            "text": [None if n % 7 == 3 else f"text {n} " * (1 + n % 5) for n in range(rows)],
            "id": [f"d{n}" for n in range(rows)],
        }
    )
    pq.write_table(table, path, row_group_size=group_rows, compression="none")


@pytest.mark.parametrize("size", [200, 2000, 9000])
def test_parts_of_a_parquet_file_are_the_whole(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.parquet"
    write_parquet(path, 500, 20)
    assert len(assert_parts_are_the_whole(path, size)) > 1


def test_a_damaged_row_group_costs_its_part_what_it_costs_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_parquet(path, 300, 20)
    sound = path.read_bytes()
    footer = int.from_bytes(sound[-8:-4], "little") + 8
    draw = random.Random(6)
    for at in draw.sample(range(4, len(sound) - footer), 60):
        damaged = bytearray(sound)
        damaged[at] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        assert assert_parts_are_the_whole(path, 3000)


def test_files_without_places_to_begin_at_stay_whole(tmp_path: Path) -> None:
    lines = json_lines("a", 200)
    contents = {
        "one.jsonl.gz": gzip.compress(lines, mtime=0),
        "one.jsonl.zst": zstandard.compress(lines),
        "two.jsonl.bz2": bz2.compress(lines) * 2,
        "plain.warc.wet": gzip.decompress(wet("w", 40)),
        "text.txt": lines,
        "broken.parquet": b"PAR1" + lines,
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        options = ReadSettings(max_unit_bytes=500)
        assert find_parts(str(tmp_path / name), len(content), options) == (), name
    pq.write_table(pa.table({"text": ["one group"] * 900}), tmp_path / "one.parquet")
    size = (tmp_path / "one.parquet").stat().st_size
    assert find_parts(str(tmp_path / "one.parquet"), size, ReadSettings(max_unit_bytes=99)) == ()


def test_a_small_file_is_not_even_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts_module, "open_raw", None)
    assert find_parts("a.jsonl.zst", 100, ReadSettings(max_unit_bytes=100)) == ()
    assert find_parts("a.jsonl.zst", 10**12, ReadSettings(max_unit_bytes=None)) == ()


def test_a_stored_download_is_not_taken_for_members(tmp_path: Path) -> None:
    """What does not compress stands in a member as it is, its own members with it."""
    draw = random.Random(7)
    inner = b"".join(pack_gzip(draw.randbytes(300)) for _ in range(40))
    outer = gzip.compress(inner, compresslevel=0, mtime=0)
    assert inner in outer
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(outer + pack_gzip(b'{"text": "b"}\n'))
    parts = find_parts(str(path), path.stat().st_size, ReadSettings(max_unit_bytes=4000))
    assert parts == ((0, len(outer)), (len(outer), path.stat().st_size))
    assert_parts_are_the_whole(path, 4000)


def test_a_part_that_begins_inside_a_member_fails_the_part_before(tmp_path: Path) -> None:
    members = members_of(odd_lines(60, seed=8), [400], pack_gzip)
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(b"".join(members))
    wrong = len(members[0]) + 5
    with (
        pytest.raises(UnitFailedError, match=f"begin at byte {wrong}"),
        open_reader(str(path), ReadSettings(), (0, wrong)) as reader,
    ):
        list(reader)
