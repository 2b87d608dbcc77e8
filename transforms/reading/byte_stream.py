"""Raw file -> decompressed pieces, and a Damage wherever the container is broken.

    RawInput ──► codec, by the first bytes ──► member, member, ... ──► bytes | Damage

One bad byte costs what its member still had to give, not the file: after
damage the next member is searched for, and taken when it can be decoded. That
the stream was decoded to its end is always checked; a truncated file ends with
a Damage.

A part of a file has the members that begin in it:

    members    |--A--|----B----|--C--|----D----|
    part       [start .............stop)           A, B, C | PartEnd | what follows, while asked for

Its start is where a member begins, for the part before ended there: each part makes sure of it.
"""

import bz2
import lzma
from collections.abc import Callable, Generator, Iterator

from transforms.errors import UnitFailedError
from transforms.reading.coverage import Coverage
from transforms.reading.gzip_members import Gzip
from transforms.reading.members import (
    PIECE_BYTES,
    ChecksumFailed,
    Codec,
    Damage,
    Event,
    MemberDamaged,
    MemberStart,
    MemberTruncated,
    PartEnd,
    StepwiseDecoder,
    decode_stepwise,
    without_first,
)
from transforms.reading.raw_input import RawInput
from transforms.reading.zstd_frames import Zstd, is_skippable

_STEP_BYTES = 64 << 10
HEAD_BYTES = 512  # that tell the codec
_MEMBER_START = MemberStart()
_PART_END = PartEnd()


class Stepwise:
    """bzip2 and xz, by the decoders of the standard library. A check that fails is an error."""

    def __init__(self, name: str, magic: bytes, decoder: Callable[[], StepwiseDecoder]) -> None:
        self.name = name
        self.magic = magic
        self._decoder = decoder
        self._errors = (OSError, ValueError, lzma.LZMAError)

    def small_member(self, raw: RawInput) -> bytes | None:
        return None

    def member(self, raw: RawInput) -> Iterator[bytes]:
        start = raw.position
        delivered = 0
        try:
            for piece in self._decode(raw, lambda decoded: _STEP_BYTES):
                delivered += len(piece)
                yield piece
        except MemberTruncated:
            raise
        except MemberDamaged:
            # Again, with steps of one byte from where the failed call began.
            with raw.reopen(start) as again:
                careful = self._decode(again, lambda decoded: max(1, delivered - decoded))
                yield from without_first(careful, delivered)
            raise

    def _decode(self, raw: RawInput, step: Callable[[int], int]) -> Iterator[bytes]:
        return decode_stepwise(raw, raw.position, self._decoder(), self._errors, step)

    def starts_here(self, raw: RawInput) -> bool:
        try:
            self._decoder().decompress(raw.peek(_STEP_BYTES), 1)
        except self._errors:
            return False
        return True


_CODECS: dict[str, Callable[[], Codec]] = {
    ".gz": Gzip,
    ".zst": Zstd,
    ".zstd": Zstd,
    ".bz2": lambda: Stepwise("bzip2", b"BZh", bz2.BZ2Decompressor),
    ".xz": lambda: Stepwise("xz", b"\xfd7zXZ\0", lzma.LZMADecompressor),
}
_BZIP2_BLOCK, _BZIP2_END = b"1AY&SY", b"\x17rE8P\x90"
_TEXT_CONTROLS = b"\t\n\r\f\x1b"


def choose_codec(head: bytes, path: str) -> Codec | None:
    """The codec of a file by its first bytes; None when it is not compressed.

    The bytes win over the name: files in the wild are often misnamed, and a
    `.gz` that a client unpacked on the way is read as it is. Only where the
    bytes are of no known kind and are no text either does the name decide, so
    that a compressed file with a damaged first byte is damage, not text.
    """
    if head.startswith(Gzip.magic):
        return Gzip()
    if head.startswith(Zstd.magic) or is_skippable(head[:4]):
        return Zstd()
    if head[:3] == b"BZh" and (head[4:10] in (_BZIP2_BLOCK, _BZIP2_END) or len(head) < 10):
        return _CODECS[".bz2"]()
    if head.startswith(b"\xfd7zXZ\0"):
        return _CODECS[".xz"]()
    if any(byte < 32 and byte not in _TEXT_CONTROLS for byte in head):
        for ending, codec in _CODECS.items():
            if path.lower().endswith(ending):
                return codec()
    return None


def decompress(raw: RawInput, path: str, coverage: Coverage) -> Iterator[bytes | Damage]:
    """Yields the decompressed bytes of a file in pieces of about 1 MiB, and each Damage.

    Nothing follows a Damage that ends the stream. Errors of the file system
    propagate. Time is linear in the size of the file, for any number of
    members; memory is a few MiB beside the window a zstd frame or an xz
    stream asks for. What was decoded and what was not is added to `coverage`.
    """
    for event in decompress_members(raw, path, coverage):
        if not isinstance(event, MemberStart | PartEnd):
            yield event


def decompress_part(
    raw: RawInput, path: str, coverage: Coverage, head: bytes | None
) -> Iterator[bytes | Damage | PartEnd]:
    """Yields as `decompress`; where the part ends a PartEnd, and then what follows in the file.

    head: the first HEAD_BYTES of the file; None where the part begins with them.
    """
    for event in decompress_members(raw, path, coverage, head):
        if not isinstance(event, MemberStart):
            yield event


def decompress_members(
    raw: RawInput, path: str, coverage: Coverage, head: bytes | None = None
) -> Iterator[Event]:
    """Yields as `decompress_part`, and a MemberStart before each member of a compressed file."""
    codec = choose_codec(raw.peek(HEAD_BYTES) if head is None else head, path)
    if codec is None and not raw.ensure(1) and path.lower().endswith(tuple(_CODECS)):
        coverage.is_truncated = True
        yield Damage(0, "the file is empty, and no compressed file is", ends_stream=True)
        return
    if codec is None:
        yield from _as_it_is(raw, coverage)
    else:
        yield from _members(raw, codec, path, coverage)


def _as_it_is(raw: RawInput, coverage: Coverage) -> Iterator[bytes | PartEnd]:
    is_part = True
    while raw.ensure(1):
        limit = raw.stop - raw.position
        if limit <= 0 and is_part:
            is_part = False
            coverage = Coverage()  # the next part counts what follows
            yield _PART_END
        piece = bytes(raw.window(min(PIECE_BYTES, limit) if is_part else PIECE_BYTES))
        raw.advance(len(piece))
        coverage.decoded_bytes += len(piece)
        yield piece


def _members(raw: RawInput, codec: Codec, path: str, coverage: Coverage) -> Iterator[Event]:
    is_part, damage = True, None
    while raw.ensure(1):
        if raw.position >= raw.stop and is_part:
            if raw.position > raw.stop and damage is None:
                raise _no_member(raw, codec, path)
            is_part = False
            coverage = Coverage()  # the next part counts what follows
            yield _PART_END
        yield _MEMBER_START
        small = codec.small_member(raw)
        if small is not None:
            coverage.decoded_bytes += len(small)
            yield small
            damage = None
        else:
            damage = yield from _one_member(raw, codec, coverage)
        if damage is not None:
            coverage.decoded_bytes += len(damage.suspect)
            yield damage
            if damage.ends_stream:
                break
        raw.skip_zeros()  # padding to a block size, by tape and disk tools
    raw.drain()


def _no_member(raw: RawInput, codec: Codec, path: str) -> UnitFailedError:
    return UnitFailedError(
        f"{path}: expected a {codec.name} member to begin at byte {raw.stop}, where a part of the "
        f"file begins; found that one ends at byte {raw.position}. The file looks as if it had "
        "members where it has none: read files whole, with no max_unit_bytes"
    )


def _one_member(
    raw: RawInput, codec: Codec, coverage: Coverage
) -> Generator[bytes, None, Damage | None]:
    start, suspect = raw.position, b""
    failure: MemberDamaged
    try:
        for piece in codec.member(raw):
            coverage.decoded_bytes += len(piece)
            yield piece
        return None
    except ChecksumFailed as error:
        suspect, failure = error.suspect, error
        if _is_end(raw) or codec.starts_here(raw):
            return Damage(error.offset, error.detail, False, loses_bytes=False, suspect=suspect)
        # Damage can also make a decoder see the end of a member where there is none ...
    except MemberDamaged as error:
        failure = error
    # ... or run over all that follows, even to the end of the file: search from the beginning.
    raw.rewind(start + 1)
    found = _find_member(raw, codec)
    if not found:
        coverage.is_truncated = isinstance(failure, MemberTruncated)
    coverage.undecoded_bytes += max(0, raw.position - failure.offset)
    then = f"went on at {raw.position}" if found else f"no more {codec.name} to the end"
    return Damage(failure.offset, f"{failure.detail}; {then}", not found, suspect=suspect)


def _is_end(raw: RawInput) -> bool:
    """Whether only zeros follow, as far as one looks."""
    return not raw.peek(16).strip(b"\0")


def _find_member(raw: RawInput, codec: Codec) -> bool:
    """Moves to the next place where a member begins; False (and at the end) if there is none."""
    while raw.find(codec.magic):
        if codec.starts_here(raw):
            return True
        raw.advance(1)
    return False
