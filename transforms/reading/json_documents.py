"""A block of whole lines -> its documents and rejects, by Arrow wherever that is exact.

    block ─► lines (numpy) ─► runs of lines that look like objects ─► msgspec, else Arrow ─► columns
                    └ the others, and lines that Arrow refuses or finds no text in ─► parse_line

Arrow takes lines of any depth, `parse_line` does not. So Arrow is first asked for lines with no
other fields than the text, the id and the URL, which can not be deep; from the first run in which
it refuses one, brackets are counted before it is asked.

What a line becomes depends on that line alone: msgspec and Arrow take it only where they give what
`parse_line` gives. They are asked about a whole run at once; a run that both refuse goes line by
line to `parse_line`. One bad line in a block of 2 MiB costs 14 to 18 ms so, the block without it 4.
Halving down to it was 6 to 16, but 100,000 bad lines took 18 s and now 0.7; trying sixteen parts of
the run once more gained 2 ms and was left out. English without bad lines, one core: msgspec 560
MB/s, Arrow 440, parse_line 330; other languages 260, 450, 200.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from transforms.documents import RecordBatch
from transforms.reading.batching import encoded, text_array
from transforms.reading.formats import ReadSettings
from transforms.reading.json_block import BlockResult, Lines, ParsedLines, Positions, oversized
from transforms.reading.json_line import MAX_DEPTH, LineFault, is_too_deep, parse_line
from transforms.reading.json_objects import ObjectDecoder

_NEWLINE, _OPEN, _CLOSE, _RETURN = b"\n{}\r"
_WHITESPACE = b" \t\r"  # JSON's, without the newline
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MAX_LINES = 8192  # in a batch: a line of 3 bytes costs some 500 as a reject
_MIN_ARROW_BYTES = 16 << 10  # a call of Arrow costs as much as parse_line for about so many
# Lines are found one by one unless the first ones are shorter than this on average.
_LONG_LINE_BYTES, _SAMPLED_LINES = 1024, 32
_SCAN_BYTES = 256 << 10  # numpy looks at so much at a time, which its masks keep in the cache


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
        # Whether lines are told apart by their depth. Not while Arrow takes all of them without any
        # field but those of the schema, which has this depth.
        self._may_be_deep = max(map(len, self._paths)) >= MAX_DEPTH

    def parse(self, block: memoryview, offset: int, first_record: int) -> Iterator[RecordBatch]:
        """Yields the records of whole lines (the last may lack its newline).

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
            result = BlockResult(block, some, offset, first_record + first, self._settings)
            if first + _MAX_LINES >= count:
                del block, lines
            self._parse_lines(result)
            batch = result.batch()
            del result, some
            yield batch

    def _parse_lines(self, result: BlockResult) -> None:
        lines = result.lines
        changes = np.flatnonzero(np.diff(lines.runnable)) + 1
        for first, last in pairwise([0, *changes.tolist(), len(lines.start)]):
            if lines.runnable[first]:
                self._parse_run(result, first, last)
            else:
                self._parse_each(result, np.arange(first, last))

    def _split(self, block: memoryview, *, at_start: bool) -> Lines:
        data = np.frombuffer(block, np.uint8)
        ends = _newlines(block, data)
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
        return Lines(starts[keep], begin[keep], end[keep], runnable[keep])

    def _parse_run(self, result: BlockResult, first: int, last: int) -> None:
        """Parses the runnable lines [first, last)."""
        lines = result.lines
        window = result.block[lines.begin[first] : lines.end[last - 1]]
        size = int(lines.end[first] - lines.begin[first])
        columns = self._objects.decode(window, last - first, size)
        if columns is not None:
            result.parsed.append(ParsedLines(np.arange(first, last), *columns))
            return
        table = None
        is_long = len(window) >= _MIN_ARROW_BYTES
        if is_long and not self._may_be_deep:
            table = self._ask_arrow(window, last - first, "error")
            self._may_be_deep = table is None  # another field, or a bad line: not asked so again
        if is_long and table is None and not _has_deep_line(result.block, lines, first, last):
            table = self._ask_arrow(window, last - first, "ignore")
        if table is not None:
            self._take_rows(result, table, first, last)
        else:
            self._parse_each(result, np.arange(first, last))

    def _ask_arrow(self, window: memoryview, rows: int, other_fields: str) -> pa.Table | None:
        """The rows of the lines, or None when Arrow does not take them all.

        other_fields: "ignore", or "error" to take no line that has some.
        """
        for schema in self._schemas:
            try:
                table = pj.read_json(
                    pa.BufferReader(pa.py_buffer(window)),
                    read_options=pj.ReadOptions(use_threads=False, block_size=len(window) + 1),
                    parse_options=pj.ParseOptions(
                        explicit_schema=schema, unexpected_field_behavior=other_fields
                    ),
                )
            except pa.ArrowInvalid:
                continue
            if table.num_rows == rows:
                if schema is not self._schemas[0]:
                    self._schemas.reverse()
                return table
        return None

    def _take_rows(self, result: BlockResult, table: pa.Table, first: int, last: int) -> None:
        """Adds the rows that have a text; Arrow can not say why the others have none."""
        text, ids, urls = (_column(table, path) for path in self._paths)
        if not pa.types.is_string(urls.type):  # the field of the id: a number is no URL
            urls = pa.nulls(len(urls), pa.string())
        lines = np.arange(first, last)
        if text.null_count:
            present = pc.is_valid(text)
            text, ids, urls = (column.filter(present) for column in (text, ids, urls))
            is_present = present.to_numpy(zero_copy_only=False)
            self._parse_each(result, lines[~is_present])
            lines = lines[is_present]
        result.parsed.append(ParsedLines(lines, text, ids.cast(pa.string()), urls))

    def _parse_each(self, result: BlockResult, lines: Positions) -> None:
        """Adds lines one by one, by the authority."""
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
            result.parsed.append(ParsedLines(np.array(taken, np.int64), *columns))

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


def _newlines(block: memoryview, data: npt.NDArray[np.uint8]) -> Positions:
    """Where lines end. Lines of some KB are found one by one: 0.12 ms for 2 MiB, by numpy 0.35."""
    whole = block.obj
    at = -1
    ends: list[int] = []
    if isinstance(whole, bytearray) and len(whole) == len(block):
        while (at := whole.find(b"\n", at + 1)) >= 0:
            ends.append(at)
            if at < _LONG_LINE_BYTES * len(ends) and len(ends) > _SAMPLED_LINES:
                break
        else:
            return np.array(ends, np.int64)
    return _find(data, _NEWLINE)


def _find(data: npt.NDArray[np.uint8], byte: int) -> Positions:
    """Where a byte stands."""
    parts = [
        np.flatnonzero(data[at : at + _SCAN_BYTES] == byte) + at
        for at in range(0, len(data), _SCAN_BYTES)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, np.int64), *parts])


def _has_deep_line(block: memoryview, lines: Lines, first: int, last: int) -> bool:
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
