"""Decompression: whole, cut, flipped and concatenated streams of every codec."""

import bz2
import gzip
import hashlib
import io
import lzma
import random
import zlib
from collections.abc import Callable

import pytest
import zstandard
from growth import growth
from isal import isal_zlib

from transforms.reading import gzip_members
from transforms.reading.byte_stream import decompress
from transforms.reading.coverage import Coverage
from transforms.reading.members import Damage
from transforms.reading.raw_input import RawInput


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


CODECS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "zst": _zstd,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}


def lines(count: int, seed: int) -> bytes:
    draw = random.Random(seed)
    return b"".join(
        b"line %d %f %d\n" % (i, draw.random(), draw.randrange(9)) for i in range(count)
    )


def read(data: bytes, name: str) -> tuple[list[bytes], list[Damage]]:
    """The pieces and the damages; asserts that the whole file was read, counted and hashed."""
    raw = RawInput(lambda: io.BytesIO(data))
    coverage = Coverage()
    events = list(decompress(raw, name, coverage))
    assert raw.size == len(data)
    assert raw.sha256 == hashlib.sha256(data).hexdigest()
    pieces = [event for event in events if isinstance(event, bytes)]
    damages = [event for event in events if isinstance(event, Damage)]
    suspects = [damage.suspect for damage in damages]
    assert coverage.decoded_bytes == sum(map(len, pieces + suspects))
    if not damages:
        assert coverage == Coverage(coverage.decoded_bytes)
    return pieces, damages


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(
    "parts",
    [[b""], [lines(1000, 1)], [lines(5, i) for i in range(50)], [lines(90_000, 1), b"", b"x"]],
    ids=["empty", "one", "many", "large"],
)
def test_every_member_is_decoded(codec: str, parts: list[bytes]) -> None:
    pieces, damages = read(b"".join(map(CODECS[codec], parts)), "f")
    assert b"".join(pieces) == b"".join(parts)
    assert not damages


@pytest.mark.parametrize("codec", CODECS)
def test_a_huge_ratio_does_not_make_huge_pieces(codec: str) -> None:
    pieces, damages = read(CODECS[codec](bytes(30_000_000)), "f")
    assert sum(map(len, pieces)) == 30_000_000
    assert max(map(len, pieces)) <= 2 << 20
    assert not damages


@pytest.mark.parametrize("codec", CODECS)
def test_a_file_cut_anywhere_gives_what_was_decoded_and_one_damage(codec: str) -> None:
    parts = [lines(300, 1), lines(20_000, 2)]
    members = [CODECS[codec](part) for part in parts]
    data, boundary = b"".join(members), len(members[0])
    draw = random.Random(codec)
    for cut in [*(draw.randrange(12, len(data)) for _ in range(30)), len(data) - 1]:
        pieces, damages = read(data[:cut], f"f.{codec}")
        assert b"".join(parts).startswith(b"".join(pieces))
        if cut != boundary:
            assert [damage.ends_stream for damage in damages] == [True]
            assert damages[0].compressed_offset <= cut
        if cut >= boundary:
            assert b"".join(pieces).startswith(parts[0])


@pytest.mark.parametrize("codec", CODECS)
def test_a_flipped_bit_costs_at_most_its_member(codec: str) -> None:
    parts = [lines(40, i) for i in range(30)]
    members = [CODECS[codec](part) for part in parts]
    starts = [sum(map(len, members[:i])) for i in range(len(members) + 1)]
    draw = random.Random(codec)
    for _ in range(60):
        position = draw.randrange(starts[3], starts[-3])
        hit = max(i for i, start in enumerate(starts) if start <= position)
        data = bytearray(b"".join(members))
        data[position] ^= 1 << draw.randrange(8)
        pieces, damages = read(bytes(data), f"f.{codec}")
        content = b"".join(pieces)
        assert content.startswith(b"".join(parts[:hit]))
        assert content.endswith(b"".join(parts[hit + 1 :]))
        if not damages:  # a byte that means nothing, as the time in a gzip header
            assert content == b"".join(parts)
        else:
            assert not any(damage.ends_stream for damage in damages)


def hard_to_compress(size: int, seed: int) -> bytes:
    """Letters at random: 5 bits a byte, so that compressed members are large."""
    return bytes(random.Random(seed).choices(b"abcdefghijklmnopqrstuvwxyzABCDEF", k=size))


def compress_large(codec: str, content: bytes) -> bytes:
    """Fast, and bzip2 in blocks of 100 kB."""
    if codec == "bz2":
        return bz2.compress(content, 1)
    return lzma.compress(content, preset=0) if codec == "xz" else CODECS[codec](content)


@pytest.mark.parametrize("codec", CODECS)
def test_a_large_damaged_member_gives_what_is_before_the_damage_once(codec: str) -> None:
    """It delivered something before the damage; what is decoded again must not come twice."""
    parts = [hard_to_compress(size, 5) for size in (1_700_000, 2_000_000, 1_200_000)]
    members = [compress_large(codec, part) for part in parts]
    data = bytearray(b"".join(members))
    middle = len(members[0]) + len(members[1]) // 2
    for byte in range(middle, middle + 24):
        data[byte] ^= 0xA5
    pieces, damages = read(bytes(data), f"f.{codec}")
    content = b"".join(pieces)
    assert [damage.ends_stream for damage in damages] == [False]
    assert content.startswith(parts[0])
    assert content.endswith(parts[2])
    inside = content[len(parts[0]) : -len(parts[2])]
    # Wrong letters can come before a decoder notices, or none does but the checksum.
    same = next((i for i, (a, b) in enumerate(zip(inside, parts[1], strict=False)) if a != b), None)
    assert (same or len(inside)) > 0.4 * len(parts[1])
    assert len(inside) <= len(parts[1]) + 1000


@pytest.mark.parametrize("codec", CODECS)
def test_a_member_that_is_cut_gives_all_that_its_bytes_can_tell(codec: str) -> None:
    content = hard_to_compress(3_000_000, 7)
    data = compress_large(codec, content)
    if codec == "zst":  # without its size in the header, as from a pipe
        compressor = zstandard.ZstdCompressor().compressobj()
        data = compressor.compress(content) + compressor.flush()
    for share in (0.3, 0.7, 0.95):
        cut = int(share * len(data))
        pieces, (damage,) = read(data[:cut], f"f.{codec}")
        decoded = b"".join(pieces)
        assert content.startswith(decoded)
        assert len(decoded) > share * len(content) - (300 << 10), "but a block or two"
        assert damage.ends_stream


def test_a_second_opinion_that_finds_nothing_wrong_is_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """ISA-L refuses; zlib decodes the whole member, small or large: no damage, nothing twice."""

    class Refusing:
        eof = False
        unused_data = unconsumed_tail = b""

        def __init__(self, wbits: int) -> None:
            self.calls = 0
            self.inner = zlib.decompressobj(wbits=wbits)

        def decompress(self, fed: bytes, max_length: int) -> bytes:
            self.calls += 1
            if self.calls == 3:
                raise isal_zlib.error("refused")
            piece = self.inner.decompress(fed, max_length)
            self.eof = self.inner.eof
            self.unused_data = self.inner.unused_data
            self.unconsumed_tail = self.inner.unconsumed_tail
            return piece

    monkeypatch.setattr(gzip_members.isal_zlib, "decompressobj", Refusing)
    parts = [lines(10, 1), hard_to_compress(5_000_000, 1), lines(10, 2), hard_to_compress(99, 3)]
    pieces, damages = read(b"".join(map(gzip.compress, parts)), "f.gz")
    assert b"".join(pieces) == b"".join(parts)
    assert damages == []


def test_a_gzip_header_cut_in_any_of_its_fields_is_truncation() -> None:
    plain = gzip.compress(b"content")
    extra, name, comment, crc = b"\x03\x00abc", b"name\0", b"comment\0", b"\x12\x34"
    header = plain[:3] + b"\x1e" + plain[4:10] + extra + name + comment + crc
    for cut in range(1, len(header) + 1):
        before = gzip.compress(b"before")
        raw, coverage = RawInput(lambda: io.BytesIO(before + header[:cut])), Coverage()  # noqa: B023
        events = list(decompress(raw, "f.gz", coverage))
        damage = events[-1]
        assert [event for event in events if isinstance(event, bytes) and event] == [b"before"]
        assert isinstance(damage, Damage)
        assert damage.ends_stream
        assert damage.compressed_offset <= len(before) + cut
        if cut >= 3:
            assert coverage.is_truncated, cut
            assert "the file ends inside" in damage.detail


def test_a_wrong_checksum_is_told_and_the_member_set_apart() -> None:
    for compressed, place in ((gzip.compress(lines(40, 1)), -5), (_zstd(lines(40, 1)), -1)):
        data = bytearray(compressed)
        data[place] ^= 1
        pieces, (damage,) = read(bytes(data), "f")
        assert b"".join(pieces) == b""
        assert damage.suspect == lines(40, 1)
        assert not damage.loses_bytes
        assert "checksum" in damage.detail


def test_a_large_member_is_decoded_to_the_byte_before_the_damage() -> None:
    """ISA-L keeps the output of a failing call; zlib goes over it again."""
    content = lines(120_000, 7)
    data = bytearray(gzip.compress(content))
    middle = len(data) // 2
    data[middle : middle + 64] = b"\xff" * 64
    pieces, damages = read(bytes(data), "f.gz")
    decoded = b"".join(pieces)
    same = next((i for i, (a, b) in enumerate(zip(decoded, content, strict=False)) if a != b), None)
    assert (same or len(decoded)) > 0.4 * len(content)
    assert damages


def test_zeros_behind_a_member_are_padding_and_other_bytes_are_damage() -> None:
    data = gzip.compress(b"a") + bytes(5000)
    assert read(data, "f") == ([b"a"], [])
    assert read(data + gzip.compress(b"b"), "f") == ([b"a", b"b"], [])
    pieces, (damage,) = read(data + b"junk", "f")
    assert pieces == [b"a"]
    assert damage.ends_stream


def test_skippable_frames_and_long_windows_are_read() -> None:
    skippable = b"\x5a\x2a\x4d\x18" + (70_000).to_bytes(4, "little") + bytes(70_000)
    parameters = zstandard.ZstdCompressionParameters(window_log=30, enable_ldm=True)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    long = compressor.compress(lines(500, 1)) + compressor.flush()
    pieces, damages = read(skippable + long + skippable + _zstd(b"b"), "f")
    assert b"".join(pieces) == lines(500, 1) + b"b"
    assert not damages


@pytest.mark.parametrize("kept", [4, 7, 8, 500])
def test_a_file_that_ends_inside_a_skippable_frame_is_truncated(kept: int) -> None:
    skippable = b"\x5a\x2a\x4d\x18" + (700).to_bytes(4, "little") + bytes(700)
    raw, coverage = RawInput(lambda: io.BytesIO(_zstd(b"a") + skippable[:kept])), Coverage()
    piece, damage = list(decompress(raw, "f.zst", coverage))
    assert piece == b"a"
    assert isinstance(damage, Damage)
    assert damage.ends_stream
    assert "skippable" in damage.detail
    assert coverage.is_truncated


def _large_zstd(content: bytes) -> bytes:
    """Without a size in its header, so that it is decoded by blocks."""
    compressor = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    return compressor.compress(content) + compressor.flush()


@pytest.mark.parametrize("block", [b"\x07\x00\x00", b"\xfc\xff\xff"], ids=["reserved", "too large"])
def test_what_can_be_no_block_of_a_zstd_frame_is_named_with_its_place(block: bytes) -> None:
    frame = _large_zstd(b"text")
    sized = zstandard.frame_header_size(frame)
    before = _zstd(b"before")
    pieces, (damage,) = read(before + frame[:sized] + block + frame[sized:] + before, "f.zst")
    assert b"".join(pieces) == b"before" * 2
    assert damage.compressed_offset == len(before) + sized
    assert f"no block header, {block.hex()}" in damage.detail


def test_a_zstd_window_that_is_too_large_is_named_before_any_block_is_read() -> None:
    frame = _large_zstd(b"text")
    huge = frame[:5] + bytes([21 << 3 | 7]) + frame[6:]  # 3.75 GiB
    before = _zstd(b"before")
    pieces, (damage,) = read(before + huge + before, "f.zst")
    assert b"".join(pieces) == b"before" * 2
    assert damage.compressed_offset == len(before)


def test_an_empty_file_of_a_compressed_name_is_damaged_from_its_first_byte() -> None:
    for name in ("f.gz", "f.jsonl.zst"):
        raw, coverage = RawInput(lambda: io.BytesIO(b"")), Coverage()
        (damage,) = decompress(raw, name, coverage)
        assert isinstance(damage, Damage)
        assert damage.compressed_offset == 0
        assert coverage.is_truncated


@pytest.mark.parametrize("codec", CODECS)
def test_a_damage_says_where_reading_went_on_or_that_it_did_not(codec: str) -> None:
    first, second = CODECS[codec](lines(40, 1)), CODECS[codec](lines(40, 2))
    broken = first[:-30]
    _, (damage, *_) = read(broken + second, "f")
    assert damage.detail.endswith(f"; went on at {len(broken)}")
    _, (damage, *_) = read(broken, "f")
    name = {"gz": "gzip", "zst": "zstd", "bz2": "bzip2", "xz": "xz"}[codec]
    assert damage.detail.endswith(f"; no more {name} to the end")


def test_the_smallest_gzip_member_is_found_after_damage() -> None:
    smallest = gzip.compress(b"", mtime=0)
    assert len(smallest) == 20
    pieces, (damage,) = read(gzip.compress(b"a") + b"junk" * 10 + smallest, "f.gz")
    assert b"".join(pieces) == b"a"
    assert not damage.ends_stream


def test_gzip_headers_with_all_fields_are_read() -> None:
    plain = gzip.compress(b"content")
    fields = b"\x03\x00abc" + b"name\0" + b"comment\0" + b"\x12\x34"
    data = plain[:3] + b"\x1e" + plain[4:10] + fields + plain[10:]
    assert read(data, "f") == ([b"content"], [])


def test_the_first_bytes_tell_the_codec_not_the_name() -> None:
    assert read(b'{"text": "plain"}\n', "f.gz") == ([b'{"text": "plain"}\n'], [])
    assert read(_zstd(b"zstd"), "f.gz") == ([b"zstd"], [])
    data = bytearray(gzip.compress(b"first") + gzip.compress(b"second"))
    data[0] ^= 1
    pieces, (damage,) = read(bytes(data), "f.gz")
    assert pieces == [b"second"]
    assert damage.compressed_offset == 0


@pytest.mark.parametrize("codec", ["gz", "zst"])
def test_time_is_linear_in_the_number_of_tiny_members(codec: str) -> None:
    member = CODECS[codec](lines(5, 1))

    def read_members(count: int) -> None:
        assert sum(map(len, read(member * count, "f")[0])) == count * len(lines(5, 1))

    assert growth(read_members, 5_000, 20_000, limit=10) < 10


def test_a_small_zstd_frame_is_one_piece_and_one_that_lies_about_its_size_is_damage() -> None:
    content = lines(5000, 1)
    frame = _zstd(content)
    assert read(frame + frame, "f") == ([content, content], [])
    sized = zstandard.frame_header_size(frame)
    at = frame.index(len(content).to_bytes(4, "little"), 0, sized)
    lying = frame[:at] + (len(content) + 1).to_bytes(4, "little") + frame[at + 4 :]
    pieces, (damage,) = read(lying + frame, "f")
    assert b"".join(pieces).endswith(content)
    assert damage.compressed_offset <= len(lying)


def test_a_gzip_member_that_says_it_is_text_is_read() -> None:
    """FTEXT, a flag without a field of its own."""
    plain = gzip.compress(b"content")
    assert read(plain[:3] + b"\x01" + plain[4:], "f") == ([b"content"], [])


@pytest.mark.parametrize("level", [1, 6, 9])
def test_a_member_of_any_level_is_found_after_damage(level: int) -> None:
    """The header says whether the level was the lowest or the highest."""
    members = [gzip_of(random.Random(number).randbytes(500), level) for number in range(3)]
    members[1] = members[1][:100] + b"\xff" * 30 + members[1][130:]
    pieces, (damage,) = read(b"".join(members), "f")
    assert pieces[-1] == random.Random(2).randbytes(500)
    assert not damage.ends_stream


def gzip_of(content: bytes, level: int) -> bytes:
    coder = zlib.compressobj(level, wbits=31)
    return coder.compress(content) + coder.flush()


def test_a_small_gzip_member_with_reserved_flags_is_refused_among_others() -> None:
    """Many small members are decoded by another call, which takes what RFC 1952 forbids."""
    members = [gzip_of(b"content %d" % number, 6) for number in range(40)]
    members[30] = members[30][:3] + b"\xe0" + members[30][4:]
    pieces, (damage,) = read(b"".join(members), "f")
    assert pieces == [b"content %d" % number for number in range(40) if number != 30]
    assert "reserved bits" in damage.detail
