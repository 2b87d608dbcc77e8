"""A window that moves over a decompressed stream and stops where the stream is damaged."""

import re
from collections.abc import Iterable, Iterator

from transforms.reading.members import Damage

# At the start of a line, and a header field behind it: a page may quote the bare words.
_RECORD = re.compile(rb"(?:\A|(?<=\n))WARC/\d[.]\d\d?\r?\n[A-Za-z-]+[ \t]*:")
_LONGEST_MATCH = 256


class RecordWindow:
    """Gives bytes in any amounts, without copying a long record more than twice.

    damage: the break that the buffered bytes end at, or None.
    offset: of the next byte in the decompressed stream.
    """

    def __init__(self, pieces: Iterable[bytes | Damage]) -> None:
        self._events: Iterator[bytes | Damage] = iter(pieces)
        self._data = b""
        self._cursor = 0
        self._ended = False
        self._failed_checksums: list[tuple[Damage, int, bytes]] = []
        self.damage: Damage | None = None
        self.offset = 0

    @property
    def available(self) -> int:
        """Bytes that are buffered."""
        return len(self._data) - self._cursor

    @property
    def at_stop(self) -> bool:
        """No more bytes can be had, because of damage or the end."""
        return self._ended or self.damage is not None

    def ensure(self, count: int) -> bool:
        """Buffer `count` bytes; False when the stream ends or breaks before."""
        if self.available >= count:
            return True
        pieces = [self._data[self._cursor :]]
        size = len(pieces[0])
        while size < count and not self.at_stop:
            known = len(pieces)
            event = next(self._events, None)
            if event is None:
                self._ended = True
            elif isinstance(event, bytes):
                pieces.append(event)
            elif event.loses_bytes:
                self.damage = event
                if len(_RECORD.findall(event.suspect)) > 1:
                    pieces.append(event.suspect)
            else:
                pieces.append(self._checksum_failed(event, is_between=not any(pieces)))
            size += sum(map(len, pieces[known:]))
        self._data, self._cursor = b"".join(pieces), 0
        return len(self._data) >= count

    def take(self, count: int) -> bytes:
        """Move over `count` buffered bytes and return them."""
        start = self._cursor
        self._cursor += count
        self.offset += count
        return self._data[start : self._cursor]

    def peek(self, count: int) -> bytes:
        """The next buffered bytes, at most `count`."""
        return self._data[self._cursor : self._cursor + count]

    def rest(self) -> bytes:
        """All that is buffered."""
        return self._data[self._cursor :]

    def startswith(self, prefix: bytes) -> bool:
        return self._data.startswith(prefix, self._cursor)

    def header_bytes(self) -> int:
        """How far behind the next byte the first empty line ends; 0 when there is none."""
        end = self._data.find(b"\r\n\r\n", self._cursor)
        lenient = self._data.find(b"\n\n", self._cursor, end if end >= 0 else len(self._data))
        if lenient >= 0:
            return lenient + 2 - self._cursor
        return end + 4 - self._cursor if end >= 0 else 0

    def skip(self, count: int) -> bool:
        """Move over `count` bytes without holding them; False when there are fewer."""
        while count:
            if not self.ensure(1):
                return False
            step = min(count, self.available)
            self._cursor += step
            self.offset += step
            count -= step
        return True

    def skip_newlines(self) -> None:
        while self.ensure(1):
            following = self.peek(64)
            newlines = len(following) - len(following.lstrip(b"\r\n"))
            self.skip(newlines)
            if newlines < len(following):
                return

    def seek_record(self) -> None:
        """Move to the next record header, or to where the stream ends or breaks."""
        while True:
            found = _RECORD.search(self._data, self._cursor)
            if found:
                self.skip(found.start() - self._cursor)
                return
            self.skip(max(0, self.available - _LONGEST_MATCH))
            if not self.ensure(self.available + 1):
                self.skip(self.available)
                return

    def step_over_damage(self) -> Damage | None:
        """Drop what is left before the damage, so that reading goes on behind it."""
        damage, self.damage = self.damage, None
        self.skip(self.available) if damage or self._ended else None
        return damage

    def take_failed_checksums(self) -> list[tuple[Damage, int, bytes]]:
        """Failed checksums since the last call: each with its place, and a record it cost."""
        failed, self._failed_checksums = self._failed_checksums, []
        return failed

    def _checksum_failed(self, damage: Damage, *, is_between: bool) -> bytes:
        """What of a member to read although its checksum failed.

        All of it, with a note, except for a member that is exactly one record,
        Common Crawl's form: then it is that record which is damaged.
        """
        if is_between and len(_RECORD.findall(damage.suspect)) <= 1:
            self._failed_checksums.append((damage, self.offset, damage.suspect))
            self.offset += len(damage.suspect)
            return b""
        self._failed_checksums.append((damage, self.offset, b""))
        return damage.suspect
