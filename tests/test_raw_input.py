"""The window over raw bytes: nothing is missed where two reads meet."""

import io

import pytest

from transforms.reading import raw_input
from transforms.reading.raw_input import RawInput


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
    import hashlib

    monkeypatch.setattr(raw_input, "READ_BYTES", 16)
    content = bytes(range(256)) * 3
    raw = RawInput(lambda: io.BytesIO(content))
    raw.skip(100)
    raw.rewind(40)
    assert raw.peek(3, 2) == content[42:45]
    raw.find(b"\xff")
    raw.drain()
    assert (raw.size, raw.sha256) == (len(content), hashlib.sha256(content).hexdigest())
