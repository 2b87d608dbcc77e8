"""Heads of WARC records inside other bytes: where one begins, and whether a block swallowed some.

A record says how long its block is, and may say too much:

    WARC/1.0 ... Content-Length: 90     but the block has 30 bytes
    thirty bytes of a page
                                        an empty line: here the record ends
    WARC/1.0 ... Content-Length: 9
    a victim.                           90 bytes end here, with the victim
                                        an empty line, as after each record

It looks as a sound record does. Yet a block that holds a WARC legally, an archive of archives or a
page about the format, differs from it: the records that a file holds are each followed by two
newlines, also the last of them, and then come those of the record that holds the file. A lie ends
where a victim's *block* does, for the newlines after that are taken for its own. So a block is
said to swallow records when, after an empty line in it, a chain of complete records begins, the
last of which ends exactly where the block does. A page that quotes heads has no such chain, unless
somebody writes it by intention; a WARC-Block-Digest that agrees with the block speaks for it then.
"""

import re

_HEAD = rb"WARC/\d[.]\d\d?\r?\n[A-Za-z-]+[ \t]*:"
# At the start of a line, and a header field after it: a page may quote the bare words.
HEAD = re.compile(rb"(?:\A|(?<=\n))" + _HEAD)
HEAD_AFTER_EMPTY_LINE = re.compile(rb"(?<=\r\n\r\n)" + _HEAD)
LONGEST_MATCH = 256
NEWLINES = b"\r\n\r\n"

_LENGTH = re.compile(rb"\nContent-Length[ \t]*:[ \t]*(\d{1,18})[ \t]*\r?\n", re.IGNORECASE)
_TYPE = re.compile(rb"\nWARC-Type[ \t]*:", re.IGNORECASE)
_MAX_HEAD_BYTES = 8 << 10
_FIRST_STEPS, _BYTES_A_STEP = 1000, 64


class SwallowedRecords:
    """Looks for records inside blocks; in all at most a step for every 64 bytes of the stream.

    A step reads one head. Honest files never come near the limit, and a file whose records all
    lie about each other costs no more than time linear in its size: blocks are believed then.
    """

    def __init__(self) -> None:
        self._steps = 0

    def find(self, data: bytes, begin: int, end: int, offset: int) -> int:
        """Where the first record swallowed by the block `data[begin:end]` begins; -1 for none.

        `offset` is the block's in the stream.
        """
        seen: set[int] = set()
        at = data.find(NEWLINES + b"WARC/", begin, end)
        if at >= 0 and data.startswith(b"HTTP/", begin) and data.find(NEWLINES, begin, end) == at:
            at = data.find(NEWLINES + b"WARC/", at + 1, end)  # a payload that begins with a head
        while at >= 0:
            head = at + len(NEWLINES)
            if self._chain_ends(data, head, end, seen, _FIRST_STEPS + offset // _BYTES_A_STEP):
                return head
            at = data.find(NEWLINES + b"WARC/", head, end)
        return -1

    def _chain_ends(self, data: bytes, head: int, end: int, seen: set[int], max_steps: int) -> bool:
        """Whether records follow one another from `head` to exactly `end`."""
        while head not in seen and self._steps < max_steps:
            seen.add(head)
            self._steps += 1
            record_end = _record_end(data, head, end)
            if record_end == end:
                return True
            if not data.startswith(NEWLINES + b"WARC/", record_end, end):
                return False
            head = record_end + len(NEWLINES)
        return False


def _record_end(data: bytes, head: int, end: int) -> int:
    """Where the block of the record at `head` ends; `end + 1` when there is no such record."""
    header_end = data.find(NEWLINES, head, min(end, head + _MAX_HEAD_BYTES)) + len(NEWLINES)
    if header_end < len(NEWLINES) or not HEAD.match(data, head):
        return end + 1
    length = _LENGTH.search(data, head, header_end)
    if not length or not _TYPE.search(data, head, header_end):
        return end + 1
    return min(header_end + int(length[1]), end + 1)
