"""JSON lines: a stream of pieces -> blocks of whole lines -> RecordBatches.

A record is a line that is not blank. Damage costs the line it falls into: what
stands before and after the gap is kept where it is a whole object by itself.

    {"text": "a"}\n{"text": "b  ~gap~  c"}\n{"text": "d"}\n
    document a    ; the reject of the gap, 14 bytes lost ; document d
"""

import dataclasses
from collections.abc import Generator, Iterable, Iterator

from transforms.documents import MAX_EXCERPT_BYTES, Reason, RecordBatch, Reject
from transforms.reading.batching import rejects_alone
from transforms.reading.formats import ReadSettings
from transforms.reading.json_block import excerpt_bytes, oversized
from transforms.reading.json_documents import LineParser
from transforms.reading.json_line import LineFault, is_object
from transforms.reading.members import Damage


def read_json_lines(
    pieces: Iterable[bytes | Damage], settings: ReadSettings, offset: int = 0
) -> Iterator[RecordBatch]:
    """Yields the lines of a stream, a batch for about each `settings.batch_bytes` of JSON.

    What a line becomes does not depend on how the stream is cut into pieces
    or batches. Memory: a few blocks, or the longest line allowed. offset: of the
    first piece, where others have the bytes before it.
    """
    reader = _JsonLines(settings, offset)
    for piece in pieces:
        if isinstance(piece, Damage):
            yield from reader.damage(piece)
        else:
            yield from reader.feed(piece)
    yield from reader.finish()


class _JsonLines:
    """The lines that are not yet parsed, and where they stand in the stream."""

    def __init__(self, settings: ReadSettings, offset: int) -> None:
        self._settings = settings
        self._parser = LineParser(settings)
        # One array that grows: pieces kept apart until they are joined take twice the memory of a
        # long line, and the allocator keeps what they leave.
        self._pending = bytearray()
        self._whole_bytes = 0  # of the pending ones: up to and with the last newline
        self._offset = offset  # of the pending bytes in the stream
        self._records = 0
        self._skipped: bytes | None = None  # the beginning of an oversized line
        self._skipped_bytes = 0
        self._is_after_gap = False
        self._gap: Reject | None = None  # handed out when it is known how much it cost

    def feed(self, piece: bytes) -> Iterator[RecordBatch]:
        if self._skipped is not None:
            newline = piece.find(b"\n") + 1
            self._skipped_bytes += newline - 1 if newline else len(piece)
            if not newline:
                return
            yield from self._end_oversized(1)
            piece = piece[newline:]
        if len(piece) >= 2 * self._settings.batch_bytes:
            piece = yield from self._feed_large(piece)
        newline = piece.rfind(b"\n") + 1
        if newline:
            self._whole_bytes = len(self._pending) + newline
        self._pending += piece
        del piece
        if len(self._pending) >= self._settings.batch_bytes:
            yield from self._parse_whole()
        if not self._whole_bytes and len(self._pending) > self._settings.max_record_bytes:
            self._begin_oversized()

    def _feed_large(self, piece: bytes) -> Generator[RecordBatch, None, bytes]:
        """Parses the lines where they are, a batch at a time; returns what is left to feed."""
        begin = 0
        if self._pending:  # of a line that ends in this piece, or of lines before it
            begin = piece.find(b"\n") + 1
            if not begin:
                return piece
            self._pending += memoryview(piece)[:begin]
            self._whole_bytes = len(self._pending)
            yield from self._parse_whole()
        lines = memoryview(piece)
        while len(piece) - begin >= self._settings.batch_bytes:
            end = piece.rfind(b"\n", begin, begin + self._settings.batch_bytes) + 1
            if not end:
                break
            yield from self._parse(lines[begin:end])
            begin = end
        return piece[begin:]

    def damage(self, damage: Damage) -> Iterator[RecordBatch]:
        """Accounts for a break in the stream as one record."""
        yield from self.feed(damage.suspect)
        yield from self._parse_whole()
        detail = f"compressed byte {damage.compressed_offset}: {damage.detail}"
        reason = Reason.DAMAGED_STREAM if damage.ends_stream else Reason.DAMAGED_RECORD
        fault = LineFault(reason, detail)
        if not damage.loses_bytes:
            yield from self._reject(fault, b"")
            return
        unfinished = bytes(self._pending)
        if self._skipped is not None or is_object(unfinished):
            yield from self.finish()
            unfinished = b""
        self._pending = bytearray()
        yield from self._end_gap(0)
        self._is_after_gap = True
        self._gap = self._make_reject(fault, unfinished, len(unfinished))
        self._offset += len(unfinished)

    def finish(self) -> Iterator[RecordBatch]:
        """The stream ends here, or its bytes do not go on."""
        if self._skipped is not None:
            yield from self._end_oversized(0)
        self._whole_bytes = len(self._pending)
        yield from self._parse_whole()
        yield from self._end_gap(0)

    def _end_gap(self, lost_bytes: int) -> Iterator[RecordBatch]:
        """Hands out the gap's reject, to whose loss the end of a line is added."""
        if self._gap is not None:
            lost_bytes += self._gap.lost_bytes
            yield rejects_alone([dataclasses.replace(self._gap, lost_bytes=lost_bytes)])
            self._gap = None

    def _parse_whole(self) -> Iterator[RecordBatch]:
        """Parses the pending lines that are whole; keeps what follows them pending."""
        size, self._whole_bytes = self._whole_bytes, 0
        if not size:
            return
        block = self._pending
        self._pending = block[size:]
        del block[size:]
        batches = self._parse(memoryview(block))
        del block  # a line of 60 MB need not be held while its document is tokenized
        yield from batches

    def _parse(self, block: memoryview) -> Iterator[RecordBatch]:
        """Parses whole lines, which come next in the stream."""
        offset, self._offset = self._offset, self._offset + len(block)
        if self._is_after_gap:
            # The gap may have taken the beginning of this line: then its end belongs to the gap.
            self._is_after_gap = False
            first = bytes(block).partition(b"\n")[0]
            lost = 0 if is_object(first) else len(first)
            if lost:
                block = block[lost + 1 :]
                offset += lost + 1
            yield from self._end_gap(lost)
        batches = self._parser.parse(block, offset, self._records)
        del block
        for batch in batches:
            self._records += batch.records
            yield batch

    def _begin_oversized(self) -> None:
        self._skipped = bytes(self._pending[: excerpt_bytes(self._settings)])
        self._skipped_bytes = len(self._pending)
        self._pending = bytearray()

    def _end_oversized(self, newline_bytes: int) -> Iterator[RecordBatch]:
        """Rejects the line that was skipped, unless it is the end of what a gap began."""
        assert self._skipped is not None
        if self._is_after_gap:
            yield from self._end_gap(self._skipped_bytes)
        else:
            yield from self._reject(oversized(self._skipped_bytes, self._settings), self._skipped)
        self._is_after_gap = False
        self._offset += self._skipped_bytes + newline_bytes
        self._skipped = None

    def _reject(self, fault: LineFault, excerpt: bytes) -> Iterator[RecordBatch]:
        yield from self._end_gap(0)
        yield rejects_alone([self._make_reject(fault, excerpt)])

    def _make_reject(self, fault: LineFault, excerpt: bytes, lost_bytes: int = 0) -> Reject:
        """Counts a record that is none, here in the stream."""
        self._records += 1
        excerpt = excerpt[:MAX_EXCERPT_BYTES]
        record, offset = self._records - 1, self._offset
        return Reject(record, offset, fault.reason, fault.detail, excerpt, lost_bytes)
