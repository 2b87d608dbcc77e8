"""A block of whole lines -> its documents and rejects, by Arrow wherever that is exact.

    block ─► lines (numpy) ─► runs of lines that look like objects ─► msgspec or Arrow ─► columns
                    └ the others, and lines that Arrow refuses or finds no text in ─► judge_line

A line's verdict depends on that line alone: it is a document if Arrow takes
it by itself, otherwise what `judge_line` says. Arrow is asked about many lines
at once only because that gives the same; when it objects to a run, the run is
halved until the culprit stands alone. `json_objects` is asked first: it gives the same, or nothing.
"""

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
from transforms.reading.batching import encoded, readable, text_array
from transforms.reading.formats import ReadSettings
from transforms.reading.json_objects import ObjectDecoder
from transforms.reading.json_verdict import LineFault, judge_line

_Positions = npt.NDArray[np.int64]

_NEWLINE, _OPEN, _CLOSE, _RETURN = b"\n{}\r"
_WHITESPACE = b" \t\r"  # JSON's, without the newline
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


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


class _Part(NamedTuple):
    """Documents of some lines; the columns are parallel."""

    lines: _Positions
    text: pa.Array
    id: pa.Array
    url: pa.Array


class LineParser:
    """Turns blocks of one file into RecordBatches.

    Time: linear in the block, about as Arrow's parser, with a logarithmic
    number of passes for each bad line; the parser releases the GIL.
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

    def parse(self, block: bytes | memoryview, offset: int, first_record: int) -> RecordBatch:
        """Return the records of whole lines (the last may lack its newline).

        Args:
          block: the lines.
          offset: of the block in the decompressed stream; 0 is where a byte order mark may be.
          first_record: index of the first record.
        """
        lines = self._split(block, at_start=offset == 0)
        documents = _BlockResult(block, lines, offset, first_record, excerpt_bytes(self._settings))
        # Cut at every change between runnable and not; each piece is one run.
        changes = np.flatnonzero(np.diff(lines.runnable)) + 1
        bounds = [0, *changes.tolist(), len(lines.start)]
        for first, last in pairwise(bounds):
            if first < last and lines.runnable[first]:
                self._parse_run(documents, first, last)
            else:
                for line in range(first, last):
                    self._judge(documents, line)
        return documents.batch()

    def _split(self, block: bytes | memoryview, *, at_start: bool) -> _Lines:
        data = np.frombuffer(block, np.uint8)
        ends = np.flatnonzero(data == _NEWLINE)
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
        for line in _lines_with_nul(data, ends):
            runnable[line] = False
        end[oversized] = ends[oversized]
        keep = filled | oversized
        return _Lines(starts[keep], begin[keep], end[keep], runnable[keep])

    def _parse_run(self, documents: "_BlockResult", first: int, last: int) -> None:
        """Parse the runnable lines [first, last)."""
        lines = documents.lines
        window = memoryview(documents.block)[lines.begin[first] : lines.end[last - 1]]
        size = int(lines.end[first] - lines.begin[first])
        columns = self._objects.decode(window, last - first, size)
        if columns is not None:
            documents.parts.append(_Part(np.arange(first, last), *columns))
            return
        table = self._ask_arrow(window, last - first)
        if table is not None:
            self._take_rows(documents, table, first, last)
        elif last - first == 1:
            self._judge(documents, first)
        else:
            middle = (first + last) // 2
            self._parse_run(documents, first, middle)
            self._parse_run(documents, middle, last)

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

    def _take_rows(self, documents: "_BlockResult", table: pa.Table, first: int, last: int) -> None:
        """Add the rows that have a text; Arrow can not say why the others have none."""
        text, ids, urls = (_column(table, path) for path in self._paths)
        lines = np.arange(first, last)
        if text.null_count:
            present = pc.is_valid(text)
            text, ids, urls = (column.filter(present) for column in (text, ids, urls))
            is_present = present.to_numpy(zero_copy_only=False)
            for line in lines[~is_present].tolist():
                self._judge(documents, line)
            lines = lines[is_present]
        documents.parts.append(_Part(lines, text, ids.cast(pa.string()), urls))

    def _judge(self, documents: "_BlockResult", line: int) -> None:
        """Add what a single line is, by the authority."""
        lines = documents.lines
        begin, end = int(lines.begin[line]), int(lines.end[line])
        size = end - int(lines.start[line])
        if size > self._settings.max_record_bytes:
            documents.reject(line, oversized(size, self._settings))
            return
        verdict = judge_line(bytes(documents.block[begin:end]), self._settings)
        if isinstance(verdict, LineFault):
            documents.reject(line, verdict)
            return
        columns = (verdict.text, encoded(verdict.id), encoded(verdict.url))
        documents.parts.append(
            _Part(np.array([line], np.int64), *(text_array([value]) for value in columns))
        )

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
        self, block: bytes | memoryview, lines: _Lines, offset: int, first_record: int, excerpt: int
    ) -> None:
        self._excerpt_bytes = excerpt
        self.block = block
        self.lines = lines
        self.parts: list[_Part] = []
        self._rejects: list[Reject] = []
        self._offset = offset
        self._first_record = first_record

    def reject(self, line: int, fault: LineFault) -> None:
        start, end = int(self.lines.start[line]), int(self.lines.end[line])
        self._rejects.append(
            Reject(
                self._first_record + line,
                self._offset + start,
                fault.reason,
                fault.detail,
                bytes(self.block[start : min(end, start + self._excerpt_bytes)]),
            )
        )

    def batch(self) -> RecordBatch:
        """All of it in the order of the lines."""
        lines = np.concatenate([np.zeros(0, np.int64), *(part.lines for part in self.parts)])
        columns = [_concatenate([part[i] for part in self.parts]) for i in (1, 2, 3)]
        if np.any(lines[1:] < lines[:-1]):
            order = np.argsort(lines)
            lines = lines[order]
            columns = [column.take(pa.array(order)) for column in columns]
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


def _concatenate(arrays: list[pa.Array]) -> pa.Array:
    if len(arrays) == 1 and not arrays[0].offset:
        return arrays[0]
    return pa.concat_arrays(arrays) if arrays else pa.array([], pa.string())


def _lines_with_nul(data: npt.NDArray[np.uint8], ends: _Positions) -> list[int]:
    """Lines that hold a NUL: never JSON, and Arrow's parser takes it for the end of its input."""
    if data.min(initial=1):
        return []
    found: list[int] = np.unique(np.searchsorted(ends, np.flatnonzero(data == 0))).tolist()
    return found


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
