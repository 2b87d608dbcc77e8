"""WARC and WET (ISO 28500): a decompressed stream -> records -> documents.

    WARC/1.0 CRLF  name: value CRLF ... CRLF  block of Content-Length bytes  CRLF CRLF

The framing is our own, over our own decompressed stream. FastWARC was tried:
it ends a file at the first bytes between records that are no header (one
record with a wrong Content-Length costs all that follows it), and a truncated
file ends like a whole one. What this costs more is in docs/decisions.md.
"""

import re
from collections.abc import Iterable, Iterator

from transforms.documents import MAX_EXCERPT_BYTES, Reason, RecordBatch
from transforms.reading.batching import BatchBuilder
from transforms.reading.coverage import Coverage
from transforms.reading.formats import InputFormat, ReadSettings
from transforms.reading.http_payload import (
    Rejected,
    agrees_with_digest,
    conversion_text,
    parse_fields,
    resource_text,
    response_text,
)
from transforms.reading.members import Event
from transforms.reading.record_heads import HEAD, NEWLINES, SwallowedRecords
from transforms.reading.record_window import MAX_HEADER_BYTES, RecordWindow

_MAGIC = b"WARC/"
_LOOK_BYTES = 64  # after a block, for the header that follows
_COMMON_VERSIONS = (b"WARC/1.0\r\n", b"WARC/1.1\r\n")
_VERSION = re.compile(rb"WARC/\d[.]\d\d?[ \t]*\r?\n")
_CUT_INTO_HEAD = re.compile(rb"\n[^:\n]+WARC/\d[.]\d")  # after it a writer was killed
_MANDATORY = frozenset({"content-length", "warc-type", "warc-record-id"})


def read_web_archive(
    events: Iterable[Event],
    settings: ReadSettings,
    input_format: InputFormat,
    coverage: Coverage,
    *,
    is_first: bool = True,
) -> Iterator[RecordBatch]:
    """Yields the records of a WARC or WET stream, or of a part of one.

    In WET, `conversion` records are documents; in WARC, successful responses
    and resources that are HTML (main text) or plain text. Every other record
    is a reject that says why. Memory: one record and one batch. Parts begin where a member of the
    file begins with a record's head; is_first: none is before this one.
    """
    window = RecordWindow(events, framed_members=0 if is_first else 1)
    return _WebArchive(window, settings, input_format, coverage).batches()


class _WebArchive:
    def __init__(
        self,
        window: RecordWindow,
        settings: ReadSettings,
        input_format: InputFormat,
        coverage: Coverage,
    ) -> None:
        self._window = window
        self._coverage = coverage
        self._builder = BatchBuilder(settings)
        self._swallowed = SwallowedRecords()
        self._settings = settings
        self._is_wet = input_format is InputFormat.WET

    def batches(self) -> Iterator[RecordBatch]:
        window = self._window
        while True:
            has_record = window.begin_record()
            if window.failed_checksums:  # of members before the record
                self._note_checksums()
            if has_record:
                self._record()
            elif window.damage is None:
                break
            else:
                self._step_over_damage(window.offset, b"")
            if self._builder.is_full:
                yield from self._builder.rest()
        self._note_checksums()
        yield from self._builder.rest()

    def _record(self) -> None:
        """Reads the record that the window stands at, whatever it is."""
        window, start = self._window, self._window.offset
        head = self._header()
        if head is None:
            self._no_header(start)
            return
        fields, contradicted = parse_fields(head.partition(b"\n")[2])
        fault = _header_fault(head, fields, contradicted)
        if fault:
            self._lost(start, fault, head)
            return
        length = int(fields["content-length"])
        if length > self._settings.max_record_bytes:
            self._oversized(start, head, length)
        elif window.is_framed and (block := window.take_rest(length)) is not None:
            self._sound_record(fields, block, start)
        elif not window.ensure(length):
            detail = f"the block has {window.available} bytes, its Content-Length is {length}"
            self._lost(start, detail, head + window.peek(MAX_EXCERPT_BYTES), is_cut=True)
        elif not self._ends_well(fields, length):
            detail = f"no record ends {length} bytes (its Content-Length) after this header"
            self._lost(start, detail, head + window.peek(MAX_EXCERPT_BYTES))
        else:
            swallowed = 0 if window.is_framed else self._find_swallowed(fields, length)
            if swallowed:
                detail = f"the Content-Length, {length}, takes in records that follow this one"
                excerpt = head + window.peek(min(swallowed, MAX_EXCERPT_BYTES))
                self._lost(start, detail, excerpt, after=swallowed)
                return
            block = window.take(length)
            if window.peek(len(NEWLINES)) == NEWLINES:
                window.take(len(NEWLINES))
            self._sound_record(fields, block, start)

    def _header(self) -> bytes | None:
        """Takes the header; None when none is here or it is not complete."""
        window = self._window
        window.ensure(len(_MAGIC))
        while window.peek(len(_MAGIC)) == _MAGIC:
            if end := window.header_bytes():
                return window.take(end)
            if window.available > MAX_HEADER_BYTES or not window.ensure(window.available + 1):
                break
        return None

    def _no_header(self, start: int) -> None:
        following = self._window.peek(MAX_EXCERPT_BYTES)
        detail = "expected a WARC record header"
        if following.startswith(b"filedesc://"):
            detail += ", found one of ARC, the format before WARC, which is not read"
        is_cut = _MAGIC.startswith(following[: len(_MAGIC)])
        if is_cut and self._window.available > MAX_HEADER_BYTES:
            detail = f"expected the end of the record's header within {MAX_HEADER_BYTES} bytes"
            is_cut = False
        self._lost(start, detail, following, after=1, is_cut=is_cut)

    def _ends_well(self, fields: dict[str, str], length: int) -> bool:
        """Whether what follows the block is the end of a record: newlines, a header, or nothing.

        Two newlines and a header, or the end, are the standard; writers that leave newlines out
        are understood. Two newlines without a header after them may also stand inside a block
        that is longer than its header says: then the block's digest tells, where there is one.
        """
        window = self._window
        is_complete = window.ensure(length + len(NEWLINES))
        following = window.peek(len(NEWLINES) + len(_MAGIC), after=length)
        if following in (NEWLINES, NEWLINES + _MAGIC):
            return True
        if not is_complete and window.damage is not None:
            return False
        has_newlines = following.startswith(NEWLINES)
        window.ensure(length + _LOOK_BYTES)
        following = window.peek(_LOOK_BYTES, after=length).lstrip(b"\r\n")
        has_header = _MAGIC.startswith(following[: len(_MAGIC)])
        if not has_newlines:
            return has_header and not self._holds_newlines(fields, length)
        if has_header:
            return True
        return agrees_with_digest(fields, *self._block(length)) is not False

    def _holds_newlines(self, fields: dict[str, str], length: int) -> bool:
        """Whether the block's digest says that the length took in newlines that follow the block.

        Without a digest that looks like a writer that leaves newlines out: they stay in the text.
        """
        data, begin, end = self._block(length)
        tail = data[max(begin, end - len(NEWLINES)) : end]
        newlines = len(tail) - len(tail.rstrip(b"\r\n"))
        if not newlines or agrees_with_digest(fields, data, begin, end) is not False:
            return False
        return any(agrees_with_digest(fields, data, begin, end - n) for n in range(1, newlines + 1))

    def _find_swallowed(self, fields: dict[str, str], length: int) -> int:
        """Where in the block that comes next another record begins; 0 for nowhere."""
        data, begin, end = self._block(length)
        last = end
        if self._window.peek(len(NEWLINES), after=length) != NEWLINES:
            last -= len(NEWLINES)  # the block took these in, too
        found = self._swallowed.find(data, begin, last, self._window.offset)
        if found < 0 or agrees_with_digest(fields, data, begin, end):
            return 0
        return found - begin

    def _block(self, length: int) -> tuple[bytes, int, int]:
        data, begin = self._window.contiguous(length)
        return data, begin, begin + length

    def _oversized(self, start: int, head: bytes, length: int) -> None:
        """Moves over a record without holding it, or to the record inside it if there is one."""
        window, limit = self._window, self._settings.max_record_bytes
        detail = f"the record has {length} bytes, more than the {limit} of max_record_bytes"
        block_offset = window.offset
        # What begins with a record is an archive in an archive, and can not be told from a lie.
        window.ensure(len(_MAGIC))
        is_archive = window.peek(len(_MAGIC)) == _MAGIC
        if not (window.skip(length) if is_archive else window.skip_block(length)):
            found = window.offset - block_offset
            detail = f"the block has {found} bytes, its Content-Length is {length}"
            self._lost(start, detail, head, is_cut=True)
            return
        self._builder.reject(self._builder.count(), start, Reason.OVERSIZED_RECORD, detail, head)

    def _lost(
        self, start: int, detail: str, excerpt: bytes, after: int = 0, is_cut: bool = False
    ) -> None:
        """Here is no record, or none that can be believed: go on at the next header.

        `after` bytes at the least are left out. `is_cut`: the record ends where the stream
        stops; when no header is found before that, this is the cause.
        """
        window = self._window
        if not window.seek_record(after) and not window.at_boundary:
            if window.damage is not None:
                self._step_over_damage(start, excerpt)
                return
            if is_cut:
                self._coverage.is_truncated = True
                detail = f"the file ends inside a WARC record: {detail}"
                self._reject_lost(start, Reason.DAMAGED_STREAM, detail, excerpt)
                return
        self._reject_lost(start, Reason.DAMAGED_RECORD, detail, excerpt)

    def _step_over_damage(self, start: int, excerpt: bytes) -> None:
        """The stream breaks here, inside or between records."""
        damage = self._window.step_over_damage()
        assert damage is not None
        reason = Reason.DAMAGED_STREAM if damage.ends_stream else Reason.DAMAGED_RECORD
        self._window.seek_record()
        detail = f"compressed byte {damage.compressed_offset}: {damage.detail}"
        self._reject_lost(start, reason, detail, excerpt)

    def _reject_lost(self, start: int, reason: Reason, detail: str, excerpt: bytes) -> None:
        lost_bytes = self._window.offset - start
        excerpt = excerpt[:lost_bytes]  # what follows is another record
        self._builder.reject(self._builder.count(), start, reason, detail, excerpt, lost_bytes)

    def _note_checksums(self) -> None:
        for damage, offset, record in self._window.failed_checksums:
            self._builder.reject(
                self._builder.count(),
                offset,
                Reason.DAMAGED_RECORD,
                f"compressed byte {damage.compressed_offset}: {damage.detail}",
                record,
                len(record),
            )
        self._window.failed_checksums.clear()

    def _sound_record(self, fields: dict[str, str], block: bytes, start: int) -> None:
        """Counts a sound record, as a document or with the reason why it is none."""
        record = self._builder.count()
        try:
            text = self._text(fields, block)
        except Rejected as rejected:
            shown = block if rejected.reason.counts_as_fault else b""
            self._builder.reject(record, start, rejected.reason, rejected.detail, shown)
            return
        self._builder.document(record, start, text, fields.get("warc-record-id"), _target(fields))

    def _text(self, fields: dict[str, str], block: bytes) -> bytes:
        kind = fields.get("warc-type", "").lower()
        if self._is_wet and kind == "conversion":
            return conversion_text(fields, block)
        if not self._is_wet and kind == "response":
            return response_text(fields, block, self._settings.max_record_bytes)
        if not self._is_wet and kind == "resource":
            return resource_text(fields, block)
        raise Rejected(Reason.NOT_A_DOCUMENT, f"WARC-Type: {kind or 'none'}")


def _header_fault(head: bytes, fields: dict[str, str], contradicted: frozenset[str]) -> str:
    """What makes a header unfit to be believed; empty for nothing."""
    if not (head.startswith(_COMMON_VERSIONS) or _VERSION.match(head)):
        return f"expected a line with the version of WARC, found {head[:40]!r}"
    length = fields.get("content-length", "")
    if not (length.isascii() and length.isdigit() and len(length) < 19):
        return f"expected a Content-Length, found {length!r:.40}"
    if head.rfind(b"WARC/") and (HEAD.search(head, 1) or _CUT_INTO_HEAD.search(head)):
        return "another record begins inside this header"
    if "warc-type" not in fields:
        return "the header has no WARC-Type"
    if contradicted and contradicted & _MANDATORY:
        return f"the header has two values of {min(contradicted & _MANDATORY)}"
    return ""


def _target(fields: dict[str, str]) -> str | None:
    url = fields.get("warc-target-uri")
    # WARC/1.0 tools often wrote it in angle brackets, after the grammar of the standard.
    return url[1:-1] if url and url.startswith("<") and url.endswith(">") else url
