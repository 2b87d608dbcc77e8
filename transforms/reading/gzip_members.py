"""Gzip (RFC 1952): a file is any number of members.

    1f 8b 08 flags mtime(4) xfl os [extra] [name] [comment] [header crc] | deflate | crc32 size

Common Crawl puts each record into a member of its own, so a file has 100,000
of them. zlib-like decoders return what they did not use as a copy, which makes
a plain loop quadratic; here each member is fed in steps that start at about
the size of the members before it. A small one, sound and whole in what is buffered, takes one call;
whatever is not goes the careful ways.
"""

import zlib
from collections.abc import Iterator

from isal import isal_zlib

from transforms.reading.members import (
    PIECE_BYTES,
    ChecksumFailed,
    MemberDamaged,
    MemberTruncated,
    decode_stepwise,
    without_first,
)
from transforms.reading.raw_input import RawInput

_FLAG_HEADER_CRC, _FLAG_EXTRA, _FLAG_NAME, _FLAG_COMMENT, _FLAGS_RESERVED = 2, 4, 8, 16, 0xE0
_MAX_HEADER_BYTES = 256 << 10
_MIN_STEP, _MAX_STEP = 512, 1 << 20
_PROBE_BYTES = 64 << 10
_SMALL_MEMBER_BYTES = 64 << 10
_PLAIN_HEADER = b"\x1f\x8b\x08" + b"\0"  # no name, no extra field, no checksum of its own
_GZIP_WBITS = 16 + zlib.MAX_WBITS  # with the header and the checksum
_ISAL_ERROR: type[Exception] = isal_zlib.error  # type: ignore[assignment]  # a stub's slip


class Gzip:
    """Decodes members with ISA-L, over twice as fast as zlib; zlib goes over what it refuses."""

    name = "gzip"
    magic = b"\x1f\x8b\x08"

    def __init__(self) -> None:
        self._average_bytes = _MAX_STEP // 2  # compressed size of the members so far

    def small_member(self, raw: RawInput) -> bytes | None:
        if self._average_bytes > _SMALL_MEMBER_BYTES:
            return None
        fed = raw.window(max(8 * self._average_bytes, _MIN_STEP))
        if fed[:4] != _PLAIN_HEADER:
            return None
        decoder = isal_zlib.decompressobj(wbits=_GZIP_WBITS)
        try:
            content = decoder.decompress(fed, PIECE_BYTES)
        except _ISAL_ERROR:
            return None
        if not decoder.eof:
            return None
        size = len(fed) - len(decoder.unused_data)
        raw.advance(size)
        self._average_bytes = (self._average_bytes + size) // 2
        return content

    def member(self, raw: RawInput) -> Iterator[bytes]:
        start = raw.position
        delivered = 0
        try:
            for piece in self._fast_member(raw):
                delivered += len(piece)
                yield piece
        except _ISAL_ERROR:
            # The failed call took its output with it. zlib decodes the member again, up to
            # the very byte; this also gives a second opinion before anything is lost.
            with raw.reopen(start) as again:
                yield from without_first(_careful_member(again), delivered)
                raw.skip(max(0, again.position - raw.position))

    def _fast_member(self, raw: RawInput) -> Iterator[bytes]:
        start = raw.position
        raw.advance(_header_bytes(raw))
        decoder = isal_zlib.decompressobj(wbits=-zlib.MAX_WBITS)
        step = min(max(2 * self._average_bytes, _MIN_STEP), _MAX_STEP)
        crc = size = held_bytes = 0
        held: list[bytes] = []
        while not decoder.eof:
            if not raw.ensure(1):
                yield b"".join(held)
                raise _truncated(raw, start)
            fed = raw.window(step)
            piece = decoder.decompress(fed, PIECE_BYTES)
            unused = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
            raw.advance(len(fed) - len(unused))
            step = min(2 * step, _MAX_STEP)
            crc = isal_zlib.crc32(piece, crc)
            size += len(piece)
            held.append(piece)
            held_bytes += len(piece)
            if held_bytes >= PIECE_BYTES and not decoder.eof:
                yield b"".join(held)
                held, held_bytes = [], 0
        yield from _checked(raw, start, b"".join(held), size, crc)
        self._average_bytes = (self._average_bytes + raw.position - start) // 2

    def starts_here(self, raw: RawInput) -> bool:
        window = raw.peek(_PROBE_BYTES)
        # Known values of the last two bytes of the fixed header: one more filter on chance.
        if len(window) < 20 or window[8] not in (0, 2, 4) or 13 < window[9] < 255:
            return False
        try:
            header = _header_bytes(raw)
            decoder = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
            content = decoder.decompress(window[header:], PIECE_BYTES)
        except (MemberDamaged, zlib.error):
            return False
        trailer = decoder.unused_data[:8]
        return not decoder.eof or len(trailer) < 8 or trailer == _trailer(content)


def _header_bytes(raw: RawInput) -> int:
    """Size of the header that `raw` stands at."""
    fixed = raw.peek(10)
    if not fixed.startswith(Gzip.magic[: len(fixed)]):
        raise MemberDamaged(
            raw.position, f"expected a gzip member or the end of the file, found {fixed[:4].hex()}"
        )
    if len(fixed) < 10:
        raise _truncated(raw, raw.position)
    flags = fixed[3]
    if flags & _FLAGS_RESERVED:
        raise MemberDamaged(raw.position, f"reserved bits are set in the gzip flags {flags:#x}")
    size = 10
    if flags & _FLAG_EXTRA:
        size += 2 + int.from_bytes(raw.peek(12)[10:], "little")
    for flag in (_FLAG_NAME, _FLAG_COMMENT):
        if flags & flag:
            zero = raw.peek(_MAX_HEADER_BYTES).find(b"\0", size)
            if zero < 0:
                raise _truncated(raw, raw.position)
            size = zero + 1
    size += 2 if flags & _FLAG_HEADER_CRC else 0
    if not raw.ensure(size):
        raise _truncated(raw, raw.position)
    return size


def _truncated(raw: RawInput, start: int) -> MemberTruncated:
    return MemberTruncated(
        raw.position, f"the file ends inside the gzip member that begins at {start}"
    )


def _checked(raw: RawInput, start: int, last: bytes, size: int, crc: int) -> Iterator[bytes]:
    """Yields the last piece of a member if its trailer agrees."""
    if not raw.ensure(8):
        yield last
        raise _truncated(raw, start)
    expected = crc.to_bytes(4, "little") + (size & 0xFFFFFFFF).to_bytes(4, "little")
    found = raw.peek(8)
    raw.advance(8)
    if found == expected:
        yield last
        return
    whole = len(last) == size
    if not whole:
        yield last
    raise ChecksumFailed(
        raw.position - 8,
        f"the gzip member that begins at {start} does not have the checksum and size at its end",
        last if whole else b"",
    )


def _careful_member(raw: RawInput) -> Iterator[bytes]:
    """Decodes a member by zlib, up to the last byte before any damage."""
    start = raw.position
    raw.advance(_header_bytes(raw))
    size = crc = 0
    for piece in decode_stepwise(
        raw, start, _Inflate(), (zlib.error,), lambda decoded: PIECE_BYTES
    ):
        size += len(piece)
        crc = zlib.crc32(piece, crc)
        yield piece
    yield from _checked(raw, start, b"", size, crc)


def _trailer(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(4, "little") + (len(content) & 0xFFFFFFFF).to_bytes(
        4, "little"
    )


class _Inflate:
    """zlib in the shape of a StepwiseDecoder, except that a failing call loses no output."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=-zlib.MAX_WBITS)

    def decompress(self, data: bytes | memoryview, max_length: int) -> bytes:
        fed = self._inner.unconsumed_tail + bytes(data)
        while True:
            attempt = self._inner.copy()
            try:
                piece = attempt.decompress(fed, max_length)
            except zlib.error:
                # Asking for less ends before the damage; the next call goes on from there.
                max_length //= 2
                if not max_length:
                    raise
            else:
                self._inner = attempt
                return piece

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data
