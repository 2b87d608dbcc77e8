"""Parts of a large input: where each begins, a function of its bytes and of max_unit_bytes alone.

    700 MB, max_unit_bytes 256 MB: 3 parts, wanted at the bytes 233,333,333 and 466,666,666

    JSON lines, not compressed    there; which lines are whose, part_lines.py says
    JSON lines as .gz, .zst       at the next member or frame: searched for, and proven
    WARC, WET as .gz, .zst        the same, where the member begins with a record
    Parquet                       at the next row group
    anything else                 the file stays whole: text, .bz2, .xz, plain WARC, a file that is
                                  one member or one row group

Bytes that look like the beginning of a member may lie inside of one: a crawler stores downloads,
and what does not compress stands in the file as it is. So a place is taken only where whole members
follow each other from it, each with its checksum, for longer than a stored block can be, or to the
end of the file. Whoever reads the part before it then ends exactly there, or says so and fails
(byte_stream.py): the first part begins where the file does, so the starts of all are proven.

Cost: nothing for a file that is not larger than max_unit_bytes; else its first bytes or its footer,
and for a compressed file some 2 MiB a part. Sizes of blocks in frame headers could be followed from
the beginning instead, and seek tables be believed: the first reads most of the file from a store,
the second has to be proven all the same.
"""

import functools
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import BinaryIO

from transforms.filesystem import open_raw
from transforms.reading.byte_stream import HEAD_BYTES, choose_codec
from transforms.reading.formats import InputFormat, Part, ReadSettings, detect_format
from transforms.reading.gzip_members import Gzip
from transforms.reading.members import Codec, MemberDamaged
from transforms.reading.parquet_decoding import BAD_BYTES, open_parquet
from transforms.reading.parquet_file import WatchedFile
from transforms.reading.parquet_footer import read_row_groups
from transforms.reading.raw_input import RawInput
from transforms.reading.record_heads import HEAD
from transforms.reading.zstd_frames import Zstd

_SEARCHED_BYTES = 16 << 20  # for the next member
_PROVEN_BYTES = 256 << 10  # stored blocks have 64 KiB at most in gzip, 128 in zstd
_MAX_PROOF_BYTES, _MAX_PROOF_DECODED = 16 << 20, 256 << 20

_Opener = Callable[[], BinaryIO]


def find_parts(path: str, size_bytes: int, settings: ReadSettings) -> tuple[Part, ...]:
    """The parts of an input, in its order, from its first byte to its last; none: it stays whole.

    Args:
        path: of the input. size_bytes: of the file. settings: how it is read.

    Raises:
        ConfigurationError: the name tells no format.
        OSError: the file can not be opened or read.
    """
    limit = settings.max_unit_bytes
    if limit is None or size_bytes <= limit:
        return ()
    count = -(-size_bytes // limit)
    wanted = [number * size_bytes // count for number in range(1, count)]
    starts = _starts(functools.partial(open_raw, path), path, settings, wanted)
    ends = [*starts, size_bytes]
    return tuple(zip([0, *starts], ends, strict=True)) if starts else ()


def _starts(
    opener: _Opener, path: str, settings: ReadSettings, wanted: Sequence[int]
) -> Sequence[int]:
    """Where parts begin, the first one apart: at the places that are wanted or after them."""
    input_format = settings.input_format or detect_format(path)
    if input_format is InputFormat.TEXT:
        return []
    if input_format is InputFormat.PARQUET:
        return _group_starts(opener, settings, wanted)
    with RawInput(opener, 0, HEAD_BYTES) as raw:
        codec = choose_codec(raw.peek(HEAD_BYTES), path)
    is_lines = input_format is InputFormat.JSONL
    if codec is None:
        return wanted if is_lines else []
    if not isinstance(codec, Gzip | Zstd):
        return []
    return _member_starts(opener, codec, wanted, has_records=not is_lines)


def _group_starts(opener: _Opener, settings: ReadSettings, wanted: Sequence[int]) -> Sequence[int]:
    """Row groups, where the footer describes them all as one after the other."""
    with opener() as handle:
        source = WatchedFile(handle, settings.max_record_bytes, 2 * settings.batch_bytes)
        try:
            told_rows = open_parquet(source).metadata.num_rows
            groups = read_row_groups(source)
        except (*BAD_BYTES, ValueError, LookupError):
            source.raise_own_error()
            return []
    extents = [extent for group in groups if (extent := group.extent) is not None]
    starts = [start for start, _ in extents]
    follow = all(end <= start for (_, end), start in zip(extents, starts[1:], strict=False))
    is_sound = all(group.rows >= 0 for group in groups) and len(extents) == len(groups)
    if not follow or not is_sound or told_rows != sum(group.rows for group in groups):
        return []
    indexes = {bisect_left(starts, at) for at in wanted}
    return [starts[index] for index in sorted(indexes) if 0 < index < len(starts)]


def _member_starts(
    opener: _Opener, codec: Codec, wanted: Sequence[int], *, has_records: bool
) -> Sequence[int]:
    """Members; none where the first search finds none, for then the file is most likely one."""
    starts: list[int] = []
    for at in wanted:
        if starts and at <= starts[-1]:
            continue
        found = _find_member(opener, codec, at, has_records=has_records)
        if found is not None:
            starts.append(found)
        elif not starts:
            break
    return starts


def _find_member(opener: _Opener, codec: Codec, start: int, *, has_records: bool) -> int | None:
    """The first place from `start` on where a member begins beyond doubt; None: none is near."""
    with RawInput(opener, start) as raw:
        while raw.find(codec.magic, start + _SEARCHED_BYTES):
            with raw.reopen(raw.position) as candidate:
                if _is_proven(candidate, codec, has_records=has_records):
                    return raw.position
            raw.advance(1)
    return None


def _is_proven(raw: RawInput, codec: Codec, *, has_records: bool) -> bool:
    """Whether whole members follow each other from where `raw` stands, and records begin them."""
    start, decoded = raw.position, 0
    while raw.position - start < _PROVEN_BYTES and raw.ensure(1):
        first = b""
        try:
            for piece in codec.member(raw):
                first = first or piece
                decoded += len(piece)
                if raw.position - start > _MAX_PROOF_BYTES or decoded > _MAX_PROOF_DECODED:
                    return False
        except MemberDamaged:
            return False
        if has_records and first and not HEAD.match(first):
            return False
        raw.skip_zeros()
    return not has_records or decoded > 0
