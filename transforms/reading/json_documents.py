"""A block of whole lines -> its documents and rejects, by Arrow wherever that is exact.

    block ─► lines (numpy) ─► runs of lines that look like objects ─► msgspec, else Arrow ─► columns
                    └ the others, and lines that Arrow refuses or finds no text in ─► parse_line

What a line becomes depends on that line alone: msgspec and Arrow take it only where they give what
`parse_line` gives. They are asked about a whole run at once; a run that both refuse goes line by
line to `parse_line`, which for one bad line in a block of 2 MiB costs less than searching for it
by halves (8 ms against 8 to 12), and for many is linear. English without bad lines, one core:
msgspec 560 MB/s, Arrow 440, parse_line 330; other languages 260, 450, 200.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from transforms.documents import (
    MAX_EXCERPT_BYTES,
    DocumentColumns,
    Reason,
    RecordBatch,
    Reject,
)
from transforms.reading.batching import document_too_large, encoded, readable, text_array
from transforms.reading.formats import ReadSettings
from transforms.reading.json_line import MAX_DEPTH, LineFault, is_too_deep, parse_line
from transforms.reading.json_objects import ObjectDecoder

_Positions = npt.NDArray[np.int64]

_NEWLINE, _OPEN, _CLOSE, _RETURN = b"\n{}\r"
_WHITESPACE = b" \t\r"  # JSON's, without the newline
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MAX_LINES = 8192  # in a batch: a line of 3 bytes costs some 500 as a reject
_MIN_ARROW_BYTES = 16 << 10  # a call of Arrow costs as much as parse_line for about so many
_SCAN_BYTES = 256 << 10  # numpy looks at so much at a time, which its masks keep in the cache


class _Lines(NamedTuple):
    """The non-blank lines of a block.

    start: where each line begins.
    begin, end: the same without white space around it.
    runnable: whether Arrow may see it: it begins with `{`, ends with `}`, holds no NUL and is
      not oversized. Then no JSON value can reach from a line into the next. Say one did. The
      line's last `}` is not in a string, for a newline in a string is an error; so it closes
      an object inside the value, and all that may follow is `,` `}` or `]`, where the
      next line has `{`: an error. Hence each line of a run that parses gives one row or more,
      and as many rows as lines means exactly one each.
    """

    start: _Positions
    begin: _Positions
    end: _Positions
    runnable: npt.NDArray[np.bool_]

    def part(self, first: int, last: int) -> "_Lines":
        some = slice(first, last)
        return _Lines(self.start[some], self.begin[some], self.end[some], self.runnable[some])


class _Part(NamedTuple):
    """Documents of some lines; the columns are parallel."""

    lines: _Positions
    text: pa.Array
    id: pa.Array
    url: pa.Array


class LineParser:
    """Turns blocks of one file into RecordBatches.

    Time: linear in the block, about as msgspec or Arrow's parser; lines that those refuse take
    about as long as Python's json, with all others of their run.
    """

    def __init__(self, settings: ReadSettings) -> None:
        self._settings = settings
        self._objects = ObjectDecoder(settings)
        self._paths = [
            path.split(".") for path in (settings.text_field, settings.id_field, settings.url_field)
        ]
        # Ids are strings or integers, usually the same in all of a file: the
        # schema that worked last is tried first.
        self._schemas = [self._schema(pa.string()), self._schema(pa.int64())]

    def parse(self, block: memoryview, offset: int, first_record: int) -> Iterator[RecordBatch]:
        """Yield the records of whole lines (the last may lack its newline).

        Args:
          block: the lines. The caller should keep no reference: it is let go before the last
            batch is handed out.
          offset: of the block in the decompressed stream; 0 is where a byte order mark may be.
          first_record: index of the first record.
        """
        lines = self._split(block, at_start=offset == 0)
        count = len(lines.start)
        for first in range(0, count, _MAX_LINES):
            some = lines.part(first, first + _MAX_LINES)
            result = _BlockResult(block, some, offset, first_record + first, self._settings)
            if first + _MAX_LINES >= count:
                del block, lines
            self._parse_lines(result)
            batch = result.batch()
            del result, some
            yield batch

    def _parse_lines(self, result: "_BlockResult") -> None:
        lines = result.lines
        changes = np.flatnonzero(np.diff(lines.runnable)) + 1
        for first, last in pairwise([0, *changes.tolist(), len(lines.start)]):
            if lines.runnable[first]:
                self._parse_run(result, first, last)
            else:
                self._parse_each(result, np.arange(first, last))

    def _split(self, block: memoryview, *, at_start: bool) -> _Lines:
        data = np.frombuffer(block, np.uint8)
        ends = _find(data, _NEWLINE)
        if len(block) and data[-1] != _NEWLINE:
            ends = np.append(ends, len(block))
        starts = np.concatenate([np.zeros(1, np.int64), ends[:-1] + 1])[: len(ends)]
        oversized = ends - starts > self._settings.max_record_bytes
        begin = starts.copy()
        if at_start and block[: len(_BYTE_ORDER_MARK)] == _BYTE_ORDER_MARK:
            begin[0] += len(_BYTE_ORDER_MARK)
        end = ends - ((ends > begin) & (data[np.maximum(ends - 1, 0)] == _RETURN))
        filled = end > begin
        odd = filled.copy()
        odd[filled] = (data[begin[filled]] != _OPEN) | (data[end[filled] - 1] != _CLOSE)
        for line in np.flatnonzero(odd & ~oversized).tolist():
            content = bytes(block[begin[line] : end[line]])
            end[line] -= len(content) - len(content.rstrip(_WHITESPACE))
            begin[line] = end[line] - len(content.strip(_WHITESPACE))
            filled[line] = end[line] > begin[line]
            odd[line] = block[begin[line]] != _OPEN or block[end[line] - 1] != _CLOSE
        runnable = ~odd & ~oversized
        if not data.min(initial=1):
            # A NUL is never JSON, and Arrow's parser takes it for the end of its input.
            runnable[np.searchsorted(ends, _find(data, 0))] = False
        end[oversized] = ends[oversized]
        keep = filled | oversized
        return _Lines(starts[keep], begin[keep], end[keep], runnable[keep])

    def _parse_run(self, result: "_BlockResult", first: int, last: int) -> None:
        """Parse the runnable lines [first, last)."""
        lines = result.lines
        window = result.block[lines.begin[first] : lines.end[last - 1]]
        size = int(lines.end[first] - lines.begin[first])
        columns = self._objects.decode(window, last - first, size)
        if columns is not None:
            result.parts.append(_Part(np.arange(first, last), *columns))
            return
        table = None
        if len(window) >= _MIN_ARROW_BYTES and not _has_deep_line(result.block, lines, first, last):
            table = self._ask_arrow(window, last - first)
        if table is not None:
            self._take_rows(result, table, first, last)
        else:
            self._parse_each(result, np.arange(first, last))

    def _ask_arrow(self, window: memoryview, rows: int) -> pa.Table | None:
        """The rows of the lines, or None when Arrow does not take them all."""
        for schema in self._schemas:
            try:
                table = pj.read_json(
                    pa.BufferReader(pa.py_buffer(window)),
                    read_options=pj.ReadOptions(use_threads=False, block_size=len(window) + 1),
                    parse_options=pj.ParseOptions(
                        explicit_schema=schema, unexpected_field_behavior="ignore"
                    ),
                )
            except pa.ArrowInvalid:
                continue
            if table.num_rows == rows:
                if schema is not self._schemas[0]:
                    self._schemas.reverse()
                return table
        return None

    def _take_rows(self, result: "_BlockResult", table: pa.Table, first: int, last: int) -> None:
        """Add the rows that have a text; Arrow can not say why the others have none."""
        text, ids, urls = (_column(table, path) for path in self._paths)
        lines = np.arange(first, last)
        if text.null_count:
            present = pc.is_valid(text)
            text, ids, urls = (column.filter(present) for column in (text, ids, urls))
            is_present = present.to_numpy(zero_copy_only=False)
            self._parse_each(result, lines[~is_present])
            lines = lines[is_present]
        result.parts.append(_Part(lines, text, ids.cast(pa.string()), urls))

    def _parse_each(self, result: "_BlockResult", lines: _Positions) -> None:
        """Add lines one by one, by the authority."""
        taken: list[int] = []
        documents: list[tuple[bytes, bytes | None, bytes | None]] = []
        for line in lines.tolist():
            begin, end = int(result.lines.begin[line]), int(result.lines.end[line])
            size = end - int(result.lines.start[line])
            if size > self._settings.max_record_bytes:
                result.reject(line, oversized(size, self._settings))
                continue
            parsed = parse_line(bytes(result.block[begin:end]), self._settings)
            if isinstance(parsed, LineFault):
                result.reject(line, parsed)
                continue
            taken.append(line)
            documents.append((parsed.text, encoded(parsed.id), encoded(parsed.url)))
        if taken:
            columns = (text_array(column) for column in zip(*documents, strict=True))
            result.parts.append(_Part(np.array(taken, np.int64), *columns))

    def _schema(self, id_type: pa.DataType) -> pa.Schema:
        tree: dict[str, object] = {}
        types = (pa.string(), id_type, pa.string())
        # The text last: where two settings name one field, it must be a string.
        for path, value_type in reversed(list(zip(self._paths, types, strict=True))):
            level = tree
            for name in path[:-1]:
                level = level.setdefault(name, {})  # type: ignore[assignment]
            level[path[-1]] = value_type
        return pa.schema(_fields(tree))


def oversized(size: int, settings: ReadSettings) -> LineFault:
    """The fault of a line of more bytes than allowed."""
    return LineFault(
        Reason.OVERSIZED_RECORD,
        f"the line has {size} bytes, more than the {settings.max_record_bytes} allowed",
    )


def excerpt_bytes(settings: ReadSettings) -> int:
    """How much of a bad line to show: no more than is known of one that is skipped."""
    return min(MAX_EXCERPT_BYTES, settings.max_record_bytes)


class _BlockResult:
    """What became of the lines of a block, collected in any order."""

    def __init__(
        self,
        block: memoryview,
        lines: _Lines,
        offset: int,
        first_record: int,
        settings: ReadSettings,
    ) -> None:
        self.block = block
        self.lines = lines
        self.parts: list[_Part] = []
        self._settings = settings
        self._rejects: list[Reject] = []
        self._offset = offset
        self._first_record = first_record

    def reject(self, line: int, fault: LineFault) -> None:
        start, end = int(self.lines.start[line]), int(self.lines.end[line])
        end = min(end, start + excerpt_bytes(self._settings))
        self._rejects.append(
            Reject(
                self._first_record + line,
                self._offset + start,
                fault.reason,
                fault.detail,
                bytes(self.block[start:end]),
            )
        )

    def batch(self) -> RecordBatch:
        """All of it in the order of the lines."""
        lines = np.concatenate([np.zeros(0, np.int64), *(part.lines for part in self.parts)])
        columns = [_concatenate([part[i] for part in self.parts]) for i in (1, 2, 3)]
        self.parts.clear()
        if np.any(lines[1:] < lines[:-1]):
            order = np.argsort(lines)
            lines = lines[order]
            columns = [column.take(pa.array(order)) for column in columns]
        if columns[0].nbytes > self._settings.max_document_bytes:
            lines, columns = self._reject_large_texts(lines, columns)
        text, ids, urls = columns
        return RecordBatch(
            len(self.lines.start),
            DocumentColumns(
                text,
                readable(ids),
                readable(urls),
                self._first_record + lines,
                self._offset + self.lines.start[lines],
            ),
            tuple(sorted(self._rejects, key=lambda reject: reject.record)),
        )

    def _reject_large_texts(
        self, lines: _Positions, columns: list[pa.Array]
    ) -> tuple[_Positions, list[pa.Array]]:
        sizes = pc.binary_length(columns[0]).to_numpy()
        fits = sizes <= self._settings.max_document_bytes
        if fits.all():
            return lines, columns
        for line, size in zip(lines[~fits].tolist(), sizes[~fits].tolist(), strict=True):
            detail = document_too_large(size, self._settings)
            self.reject(line, LineFault(Reason.OVERSIZED_RECORD, detail))
        return lines[fits], [column.filter(pa.array(fits)) for column in columns]


def _concatenate(arrays: list[pa.Array]) -> pa.Array:
    if len(arrays) == 1 and not arrays[0].offset:
        return arrays[0]
    return pa.concat_arrays(arrays) if arrays else pa.array([], pa.string())


def _find(data: npt.NDArray[np.uint8], byte: int) -> _Positions:
    """Where a byte stands."""
    parts = [
        np.flatnonzero(data[at : at + _SCAN_BYTES] == byte) + at
        for at in range(0, len(data), _SCAN_BYTES)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, np.int64), *parts])


def _has_deep_line(block: memoryview, lines: _Lines, first: int, last: int) -> bool:
    """Whether one of the lines is too deep for `parse_line`; Arrow takes any depth."""
    starts, ends = lines.begin[first:last], lines.end[first:last]
    data = np.frombuffer(block, np.uint8)[: ends[-1]]
    counts = np.zeros(len(starts), np.int64)
    for at in range(int(starts[0]), len(data), _SCAN_BYTES):
        # `[` and `{` differ in the bit 0x20, and no other byte becomes `{` by setting it.
        opens = np.flatnonzero((data[at : at + _SCAN_BYTES] | 0x20) == _OPEN) + at
        counts += np.searchsorted(opens, ends) - np.searchsorted(opens, starts)
    return any(
        is_too_deep(bytes(block[starts[line] : ends[line]]))
        for line in np.flatnonzero(counts > MAX_DEPTH).tolist()
    )


def _column(table: pa.Table, path: list[str]) -> pa.Array:
    column = table.column(path[0]).combine_chunks()
    if isinstance(column, pa.ChunkedArray):  # what no rows become
        column = pa.concat_arrays(column.chunks)
    return pc.struct_field(column, path[1:]) if path[1:] else column


def _fields(tree: dict[str, object]) -> list[pa.Field]:
    return [
        pa.field(name, pa.struct(_fields(kind)) if isinstance(kind, dict) else kind)
        for name, kind in tree.items()
    ]
