"""JSON lines of a part of a file: each line is in one part, wherever parts begin.

    file     {"n": 1} {"n": 2} {"n": 3} {"n": 4}      each line with its newline
    parts    [......... )[....... )[.............)
    lines     1  2        3         4

A line is in the part that holds the newline before it; the first line of the file is in the first
part. So a part lets go what stands before its first newline, and reads on where it ends, to the end
of its last line: what one part lets go is what the part before reads on for, damage included. This
is the rule of Hadoop for compressed files, where no byte before a part can be looked at; one that
begins where a part does is in the part before. A part in a long line, without a newline, has none.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from itertools import chain

from transforms.documents import RecordBatch
from transforms.reading.formats import ReadSettings
from transforms.reading.json_lines import read_json_lines
from transforms.reading.members import Damage, PartEnd


def read_part_lines(
    events: Iterable[bytes | Damage | PartEnd], settings: ReadSettings, *, is_first: bool
) -> Iterator[RecordBatch]:
    """Yields the lines of a part, as read_json_lines does those of a file.

    Args:
        events: the decompressed bytes from where the part begins to the end of the file, with a
            PartEnd where the part ends. They are asked for as long as they are needed.
        settings: how to read. is_first: the part begins where the file does.

    Offsets and record numbers are counted from where the part begins.
    """
    rest, offset = iter(events), 0
    if not is_first:
        own = _after_newline(rest)
        if own is None:
            return
        offset, first = own
        rest = chain([first], rest)
    yield from read_json_lines(_to_last_line(rest), settings, offset)


def _after_newline(events: Iterator[bytes | Damage | PartEnd]) -> tuple[int, bytes | Damage] | None:
    """Moves over the first newline: its end, and what is left of its piece.

    None where the part has no newline, and so no line.
    """
    offset = 0
    for event in events:
        if isinstance(event, PartEnd):
            return None
        content = event.suspect if isinstance(event, Damage) else event
        newline = content.find(b"\n") + 1
        if newline:
            kept = content[newline:]
            if isinstance(event, Damage):
                return offset + newline, dataclasses.replace(event, suspect=kept)
            return offset + newline, kept
        offset += len(content)
    return None


def _to_last_line(events: Iterator[bytes | Damage | PartEnd]) -> Iterator[bytes | Damage]:
    """Yields what the part has, and what follows up to the first newline."""
    is_after_end = False
    for event in events:
        if isinstance(event, PartEnd):
            is_after_end = True
            continue
        if is_after_end:
            content = event.suspect if isinstance(event, Damage) else event
            newline = content.find(b"\n") + 1
            if newline:
                yield content[:newline]
                return
        yield event
