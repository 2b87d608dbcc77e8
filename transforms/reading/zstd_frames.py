"""Zstandard (RFC 8878): a file is any number of frames, some of which are skippable.

    28 b5 2f fd header | block block ... last block | [checksum]     a frame
    5x 2a 4d 18 size(4) | anything                                   a skippable frame

The decoder is fed whole blocks, found by their three-byte headers. A block
gives at most 128 KiB, so memory is bounded whatever the ratio (the decoder of
the zstandard package has no limit of its own), the end of a frame is known
without asking the decoder, and a file that ends too early is told from damage.

A frame that says it is small is decoded in one call, a fifth faster: the
decoder then writes where the content stays. What that call refuses is decoded
again by blocks, to give what there is and to say what is wrong.
"""

from collections.abc import Iterator

import zstandard

from transforms.reading.members import (
    PIECE_BYTES,
    ChecksumFailed,
    MemberDamaged,
    MemberTruncated,
    without_first,
)
from transforms.reading.raw_input import RawInput

_MAX_BLOCK_BYTES = 128 << 10
_MAX_WINDOW_BYTES = 1 << 31  # what `zstd --long=31` writes
_BLOCKS_PER_CALL = PIECE_BYTES // _MAX_BLOCK_BYTES
_CHECKSUM_BYTES = 4
_WHOLE_BYTES = 16 << 20  # of a frame that is decoded in one call
_RLE, _RESERVED = 1, 3


class Zstd:
    """Decodes frames with libzstd."""

    name = "zstd"
    magic = b"\x28\xb5\x2f\xfd"

    def __init__(self) -> None:
        # One context for all frames of a file: making one costs more than a small frame.
        self._context = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)

    def small_member(self, raw: RawInput) -> bytes | None:
        return _whole_frame(raw, self._context)

    def member(self, raw: RawInput) -> Iterator[bytes]:
        magic = raw.peek(4)
        if len(magic) == 4 and is_skippable(magic):
            _skip_frame(raw)
            return
        start = raw.position
        delivered = 0
        try:
            for piece in _frame(raw, self._context, _BLOCKS_PER_CALL):
                delivered += len(piece)
                yield piece
        except _BlockFailed:
            # The blocks before it in the same call are lost with it: take them one by one.
            with raw.reopen(start) as again:
                try:
                    yield from without_first(_frame(again, self._context, 1), delivered)
                except _BlockFailed as error:
                    raise MemberDamaged(error.offset, error.detail) from error
            raise

    def starts_here(self, raw: RawInput) -> bool:
        start = raw.position
        try:
            next(_frame(raw, self._context, 1), b"")
        except MemberDamaged:
            return False
        finally:
            raw.rewind(start)
        return True


def is_skippable(magic: bytes) -> bool:
    """Whether these four bytes begin a skippable frame."""
    return magic[1:4] == b"\x2a\x4d\x18" and magic[0] >> 4 == 5


class _BlockFailed(MemberDamaged):
    """The decoder refused a group of blocks."""


def _skip_frame(raw: RawInput) -> None:
    start = raw.position
    head = raw.peek(8)
    if not raw.skip(8 + int.from_bytes(head[4:], "little")) or len(head) < 8:
        raise MemberTruncated(
            raw.position, f"the file ends inside the skippable zstd frame that begins at {start}"
        )


def _whole_frame(raw: RawInput, context: zstandard.ZstdDecompressor) -> bytes | None:
    """The content of the frame that `raw` stands at, and move to its end.

    None, and no move, when the frame does not say that it is small, or is not sound.
    """
    start = raw.position
    try:
        header_bytes, has_checksum = _read_header(raw)
        content_bytes = zstandard.frame_content_size(raw.peek(header_bytes))
        if not 0 < content_bytes <= _WHOLE_BYTES:
            return None
        raw.advance(header_bytes)
        # Twice as many blocks as needed are not written by any encoder.
        blocks_bytes, has_last = _measure_blocks(
            raw, start, 2 * content_bytes // _MAX_BLOCK_BYTES + 16
        )
        raw.rewind(start)
        size = header_bytes + blocks_bytes + _CHECKSUM_BYTES * has_checksum
        if not has_last or not raw.ensure(size):
            return None
        content = context.decompress(raw.window(size))
    except (MemberDamaged, zstandard.ZstdError):
        raw.rewind(start)
        return None
    raw.advance(size)
    return content


def _frame(
    raw: RawInput, context: zstandard.ZstdDecompressor, blocks_per_call: int
) -> Iterator[bytes]:
    """Decodes the frame that `raw` stands at."""
    start = raw.position
    header_bytes, has_checksum = _read_header(raw)
    decoder = context.decompressobj(write_size=PIECE_BYTES)
    try:
        decoder.decompress(raw.window(header_bytes))
    except zstandard.ZstdError as error:
        raise _damaged(start, start, error) from error
    raw.advance(header_bytes)
    last, is_whole = False, True
    while not last:
        position = raw.position
        size, last = _measure_blocks(raw, start, blocks_per_call)
        try:
            piece = decoder.decompress(raw.window(size))
        except zstandard.ZstdError as error:
            raise _BlockFailed(position, str(_damaged(position, start, error))) from error
        raw.advance(size)
        if not (last and has_checksum):
            yield piece
        elif is_whole and raw.ensure(_CHECKSUM_BYTES):
            _check(raw, start, decoder, piece)
            yield piece
        else:
            yield piece
            _check(raw, start, decoder, b"")
        is_whole = False


def _read_header(raw: RawInput) -> tuple[int, bool]:
    """Checks the frame header that `raw` stands at: its size, and if a checksum ends the frame."""
    start = raw.position
    head = raw.peek(18)
    if not head.startswith(Zstd.magic[: len(head)]):
        raise MemberDamaged(
            start, f"expected a zstd frame or the end of the file, found {head[:4].hex()}"
        )
    try:
        parameters = zstandard.get_frame_parameters(head)
        size: int = zstandard.frame_header_size(head)
    except zstandard.ZstdError as error:
        if len(head) < 18:
            raise _truncated(raw, start) from error
        raise _damaged(start, start, error) from error
    if parameters.dict_id:
        raise MemberDamaged(
            start, f"the zstd frame at {start} needs dictionary {parameters.dict_id}"
        )
    return size, bool(parameters.has_checksum)


def _measure_blocks(raw: RawInput, start: int, blocks: int) -> tuple[int, bool]:
    """The size of the next blocks, at most so many, and whether the last of the frame is in."""
    size = 0
    for _ in range(blocks):
        head = raw.peek(3, after=size)
        if len(head) < 3:
            raise _truncated(raw, start)
        block = int.from_bytes(head, "little")
        last, kind, content = bool(block & 1), block >> 1 & 3, block >> 3
        if kind == _RESERVED or (content > _MAX_BLOCK_BYTES and kind != _RLE):
            if size:
                break  # what is before it can still be decoded
            raise MemberDamaged(
                raw.position, f"no block header, {head.hex()}, in the zstd frame at {start}"
            )
        following = size + 3 + (1 if kind == _RLE else content)
        if not raw.ensure(following):
            if size:
                break
            raise _truncated(raw, start)
        size = following
        if last:
            return size, True
    return size, False


def _check(
    raw: RawInput, start: int, decoder: "zstandard.ZstdDecompressionObj", whole: bytes
) -> None:
    """Has the decoder check the checksum that `raw` stands at; `whole` is all of the frame."""
    if not raw.ensure(_CHECKSUM_BYTES):
        raise _truncated(raw, start)
    checksum = raw.peek(_CHECKSUM_BYTES)
    raw.advance(_CHECKSUM_BYTES)
    try:
        decoder.decompress(checksum)
    except zstandard.ZstdError as error:
        raise ChecksumFailed(
            raw.position - _CHECKSUM_BYTES,
            f"the zstd frame that begins at {start} does not have the checksum at its end",
            whole,
        ) from error


def _truncated(raw: RawInput, start: int) -> MemberTruncated:
    return MemberTruncated(
        raw.position, f"the file ends inside the zstd frame that begins at {start}"
    )


def _damaged(position: int, start: int, error: Exception) -> MemberDamaged:
    return MemberDamaged(position, f"{error}, in the zstd frame that begins at {start}")
