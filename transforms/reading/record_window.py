"""A window that moves over a decompressed stream and stops where the stream is damaged."""

import io
import re
from collections import deque
from collections.abc import Iterable, Iterator

from transforms.reading.members import Damage, Event, MemberStart
from transforms.reading.record_heads import HEAD, HEAD_AFTER_EMPTY_LINE, LONGEST_MATCH, NEWLINES

MAX_HEADER_BYTES = 1 << 20
_SMALL_HEADER_BYTES = 8 << 10
_LARGE_BYTES = 1 << 20


class RecordWindow:
    """Gives bytes in any amounts; a long record is joined from its pieces once.

        |...| front, from the cursor on | later piece | later piece |   damage, or the end,
                                                                        or a member's record

    Where a member of the compressed file begins with a record's head, as each does in Common
    Crawl's files, the bytes of the member before it can not go on: the window stops there until
    `begin_record` moves over the boundary. A record that goes on in the next member is joined. The
    end of a part of a file is such a boundary, and the last: there the next part's record begins.

    Attributes:
        damage: the break that the buffered bytes end at, or None.
        failed_checksums: each with its place and a record it cost; the reader empties the list.
        offset: of the next byte in the decompressed stream.
    """

    def __init__(self, events: Iterable[Event], framed_members: int = 0) -> None:
        """Of a part of a file, framed_members is how many are known to be before it."""
        self._events: Iterator[Event] = iter(events)
        self._front = b""
        self._cursor = 0
        self._later: deque[bytes] = deque()
        self._later_bytes = 0
        self._joined: io.BytesIO | None = None  # counts as the first of the later pieces
        self._joined_limit = 0
        self._held: bytes | Damage | None = None  # what the next member begins with
        self._is_member_start = True
        self._ended = False
        self._is_part_end = False
        self._framed_members = framed_members  # those that begin with a head
        self._framed_offset = -1  # of the last of them
        self._has_unframed_record = False
        self._no_empty_line_before = 0  # an offset, as far as was looked
        self.damage: Damage | None = None
        self.failed_checksums: list[tuple[Damage, int, bytes]] = []
        self.offset = 0

    @property
    def available(self) -> int:
        """Bytes that are buffered."""
        return len(self._front) - self._cursor + self._later_bytes

    @property
    def at_boundary(self) -> bool:
        """The buffered bytes end where a member begins with a record of its own."""
        return self._held is not None or self._is_part_end

    @property
    def at_stop(self) -> bool:
        """No more bytes can be had: because of damage, a boundary or the end."""
        return self._ended or self.damage is not None or self.at_boundary

    @property
    def is_framed(self) -> bool:
        """Every record so far began with a member of its own, and there were several."""
        return self._framed_members > 1 and not self._has_unframed_record

    def ensure(self, count: int) -> bool:
        """Buffers `count` bytes; False when the stream stops before."""
        if len(self._front) - self._cursor >= count:
            return True
        if count > _LARGE_BYTES and count > 2 * self.available and not self.at_stop:
            # In one piece from the start: pieces that are joined later are held twice. What is
            # there is copied only where as much again is to come: no lie makes that quadratic.
            self._begin_joining(count)
        is_enough = self.available >= count
        while not is_enough and not self.at_stop:
            event = next(self._events, None)
            if isinstance(event, MemberStart):
                self._is_member_start = True
            elif isinstance(event, (bytes, Damage)):
                self._accept(event)
                is_enough = self.available >= count
            elif event is None:
                self._ended = True
            else:
                self._is_part_end = True
        if self._joined is not None:
            self._end_joining()
        return is_enough

    def begin_record(self) -> bool:
        """Moves over newlines and a boundary to a record; False at damage and at the end."""
        while True:
            if self._held is not None and not self.available:
                event, self._held = self._held, None
                self._is_member_start = True
                self._accept(event)
            if self.ensure(1):
                following = self.peek(64)
                record = following.lstrip(b"\r\n")
                if len(record) < len(following):
                    self.skip(len(following) - len(record))
                if record:
                    self._has_unframed_record |= self.offset != self._framed_offset
                    return True
            elif self._held is None:
                return False

    def take(self, count: int) -> bytes:
        """Moves over `count` buffered bytes and returns them."""
        if self._cursor + count > len(self._front):
            self._gather(count)
        start = self._cursor
        self._cursor += count
        self.offset += count
        taken = self._front[start : self._cursor]
        if count > _LARGE_BYTES and self._cursor == len(self._front):
            self._front, self._cursor = b"", 0  # it is the caller's alone
        return taken

    def take_rest(self, count: int) -> bytes | None:
        """The next `count` bytes, where they and two newlines are all that is buffered.

        So it is at the end of a member that is one record, as all are in Common Crawl's files,
        which `ensure`, `peek` and `take` one after the other would make a tenth slower. Moves over
        them; None, and does not move, where anything else is buffered.
        """
        start, end = self._cursor, self._cursor + count
        if self._later or len(self._front) != end + len(NEWLINES):
            return None
        if not self._front.endswith(NEWLINES):
            return None
        taken = self._front[start:end]
        self.offset += count + len(NEWLINES)
        self._front, self._cursor = b"", 0
        return taken

    def peek(self, count: int, after: int = 0) -> bytes:
        """The buffered bytes from `after` on, at most `count`; does not move."""
        start = self._cursor + after
        found = self._front[start : start + count]
        if len(found) == count or not self._later:
            return found
        start -= len(self._front)
        for piece in self._later:
            if len(found) == count:
                break
            found += piece[max(0, start) : max(0, start + count)][: count - len(found)]
            start -= len(piece)
        return found

    def contiguous(self, count: int) -> tuple[bytes, int]:
        """Buffered bytes as they lie in memory, at least `count` from the returned index on."""
        self._gather(count)
        return self._front, self._cursor

    def header_bytes(self) -> int:
        """How many bytes there are to the end of the first empty line; 0 when none is near enough.

        No byte is looked at twice in vain: in a file of a million heads and no empty line each
        head but the first knows from the one before that it has none.
        """
        searched = max(0, self._no_empty_line_before - self.offset)
        for limit in (min(_SMALL_HEADER_BYTES, len(self._front) - self._cursor), MAX_HEADER_BYTES):
            if searched < limit:
                if self._cursor + limit > len(self._front):
                    self._gather(min(self.available, limit))
                begin, end = self._cursor + searched, self._cursor + limit
                crlf = self._front.find(b"\r\n\r\n", begin, end)
                bare = self._front.find(b"\n\n", begin, crlf if crlf >= 0 else end)
                if bare >= 0 or crlf >= 0:
                    return (bare + 2 if bare >= 0 else crlf + 4) - self._cursor
                searched = max(0, min(self.available, limit) - 3)
                self._no_empty_line_before = self.offset + searched
        return 0

    def skip(self, count: int) -> bool:
        """Moves over `count` bytes without holding them; False when the stream stops before."""
        while count:
            if not self.ensure(1):
                return False
            if self._cursor == len(self._front):
                self._front, self._cursor = self._later.popleft(), 0
                self._later_bytes -= len(self._front)
            step = min(count, len(self._front) - self._cursor)
            self._cursor += step
            self.offset += step
            count -= step
        return True

    def seek_record(self, after: int = 0) -> bool:
        """Moves to the first record head that is at least `after` bytes away.

        False, and moved to where the stream stops, when there is none.
        """
        self.skip(min(after, self.available))
        return self._seek(HEAD, None)

    def skip_block(self, count: int) -> bool:
        """Moves over a block without holding it.

        False, and moved there, when a record head stands in it after an empty line or the
        stream stops in it.
        """
        end = self.offset + count
        return not self._seek(HEAD_AFTER_EMPTY_LINE, end) and self.offset == end

    def _seek(self, pattern: re.Pattern[bytes], limit: int | None) -> bool:
        while True:
            found = pattern.search(self._front, self._cursor)
            distance = found.start() - self._cursor if found else 0
            buffered = len(self._front) - self._cursor
            kept = min(LONGEST_MATCH, buffered)
            if found and (limit is None or self.offset + distance < limit):
                self.skip(distance)
                return True
            if limit is not None and limit <= self.offset + buffered:
                self.skip(limit - self.offset)
                return False
            self.skip(buffered - kept)
            if not self.ensure(kept + 1):
                self.skip(kept)
                return False
            if self._later:
                piece = self._later.popleft()
                self._later_bytes -= len(piece)
                self._front, self._cursor = self._front[self._cursor :] + piece, 0

    def step_over_damage(self) -> Damage | None:
        """Drops what is left before the damage, so that reading goes on after it."""
        damage, self.damage = self.damage, None
        if damage or self._ended or self._is_part_end:
            self.skip(self.available)
        return damage

    def _begin_joining(self, count: int) -> None:
        joined = io.BytesIO()
        joined.write(memoryview(self._front)[self._cursor :])
        for piece in self._later:
            joined.write(piece)
        self._later.clear()
        self._front, self._cursor = b"", 0
        self._later_bytes = joined.tell()
        self._joined, self._joined_limit = joined, count

    def _end_joining(self) -> None:
        assert self._joined is not None
        self._front, self._cursor = self._joined.getvalue(), 0
        self._joined = None
        self._later_bytes -= len(self._front)

    def _gather(self, count: int) -> None:
        """Has `count` buffered bytes lie in `_front`, without a moment at which all are twice."""
        missing = self._cursor + count - len(self._front)
        if missing <= 0:
            return
        joined = io.BytesIO()
        joined.write(memoryview(self._front)[self._cursor :])
        self._front, self._cursor = b"", 0
        while missing > 0:
            piece = self._later.popleft()
            self._later_bytes -= len(piece)
            if len(piece) > missing and count > _LARGE_BYTES:  # `take` copies nothing then
                self._later.appendleft(piece[missing:])
                self._later_bytes += len(piece) - missing
                piece = piece[:missing]
            joined.write(piece)
            missing -= len(piece)
            del piece
        self._front = joined.getvalue()

    def _accept(self, event: bytes | Damage) -> None:
        """Buffers a piece, or stops at what can not belong to the record in the buffer."""
        content = event if isinstance(event, bytes) else event.suspect
        if self._is_member_start and content:
            self._is_member_start = False
            if HEAD.match(content):
                if self.available:
                    self._held = event
                    return
                self._framed_members += 1
                self._framed_offset = self.offset
        if isinstance(event, bytes):
            self._append(event)
        elif event.loses_bytes:
            self.damage = event
            if len(HEAD.findall(event.suspect)) > 1:
                self._append(event.suspect)
        else:
            self._append(self._checksum_failed(event))

    def _append(self, piece: bytes) -> None:
        if self._joined is not None:
            room = self._joined_limit - self._joined.tell()
            self._later_bytes += self._joined.write(memoryview(piece)[:room])
            piece = piece[room:]
            if piece:
                self._later.append(piece)
                self._later_bytes += len(piece)
        elif self._cursor == len(self._front) and not self._later:
            self._front, self._cursor = piece, 0
        elif piece:
            self._later.append(piece)
            self._later_bytes += len(piece)

    def _checksum_failed(self, damage: Damage) -> bytes:
        """What of a member to read although its checksum failed.

        All of it, with a note, except for a member that is exactly one record,
        Common Crawl's form: then it is that record which is damaged.
        """
        if not self.available and len(HEAD.findall(damage.suspect)) <= 1:
            self.failed_checksums.append((damage, self.offset, damage.suspect))
            self.offset += len(damage.suspect)
            return b""
        self.failed_checksums.append((damage, self.offset, b""))
        return damage.suspect
