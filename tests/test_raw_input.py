"""The window over raw bytes: nothing is missed where two reads meet."""

import hashlib
import io
import random

import pytest

from transforms.reading import raw_input
from transforms.reading.raw_input import READ_BYTES, RawInput


@pytest.mark.parametrize("at", range(40))
@pytest.mark.parametrize("pattern", [b"\x1f\x8b\x08", b"x"])
def test_a_pattern_is_found_wherever_two_reads_meet(
    at: int, pattern: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw_input, "READ_BYTES", 16)
    content = b"." * at + pattern + b"." * 20 + pattern
    raw = RawInput(lambda: io.BytesIO(content))
    raw.ensure(1)
    assert raw.find(pattern)
    assert raw.position == at
    raw.advance(1)
    assert raw.find(pattern)
    assert raw.position == at + len(pattern) + 20
    raw.advance(1)
    assert not raw.find(pattern)
    assert raw.position == raw.size == len(content)


def test_every_byte_is_counted_and_hashed_once_however_the_window_moves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(raw_input, "READ_BYTES", 16)
    content = bytes(range(256)) * 3
    raw = RawInput(lambda: io.BytesIO(content))
    raw.skip(100)
    raw.rewind(40)
    assert raw.peek(3, 2) == content[42:45]
    raw.find(b"\xff")
    raw.drain()
    assert (raw.size, raw.sha256) == (len(content), hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 1), (3, 10), (0, READ_BYTES + 5), (7, 3 * READ_BYTES)]
)
def test_a_part_is_counted_and_hashed_alone_and_what_follows_can_be_read(
    start: int, stop: int
) -> None:
    content = random.Random(5).randbytes(3 * READ_BYTES + 99)
    for drains in (True, False):
        raw = RawInput(lambda: io.BytesIO(content), start, stop)
        if drains:
            raw.drain()
        else:
            assert raw.skip(len(content) - start)
            assert not raw.ensure(1)
        assert raw.size - start == stop - start
        assert raw.sha256 == hashlib.sha256(content[start:stop]).hexdigest()
        assert raw.stop == stop


def test_a_search_ends_at_its_limit() -> None:
    content = bytearray(2 * READ_BYTES)
    content[READ_BYTES + 7 : READ_BYTES + 10] = b"abc"
    for limit, found in ((READ_BYTES + 8, True), (READ_BYTES + 7, False), (5, False)):
        raw = RawInput(lambda: io.BytesIO(content))
        assert raw.find(b"abc", limit) == found
        assert not found or raw.position == READ_BYTES + 7
