"""A block of whole lines: where each stands, and what became of them, as a RecordBatch."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.documents import MAX_EXCERPT_BYTES, DocumentColumns, Reason, RecordBatch, Reject
from transforms.reading.batching import document_too_large, readable
from transforms.reading.formats import ReadSettings
from transforms.reading.json_line import LineFault

Positions = npt.NDArray[np.int64]


class Lines(NamedTuple):
    """The non-blank lines of a block.

    Attributes:
        start: where each line begins.
        begin, end: the same without white space around it.
        runnable: whether Arrow may see it: it begins with `{`, ends with `}`, holds no NUL and is
            not oversized. Then no JSON value can reach from a line into the next. Say one did. The
            line's last `}` is not in a string, for a newline in a string is an error; so it closes
            an object inside the value, and all that may follow is `,` `}` or `]`, where the next
            line has `{`: an error. Hence each line of a run that parses gives one row or more, and
            as many rows as lines means exactly one each.
    """

    start: Positions
    begin: Positions
    end: Positions
    runnable: npt.NDArray[np.bool_]

    def part(self, first: int, last: int) -> "Lines":
        some = slice(first, last)
        return Lines(self.start[some], self.begin[some], self.end[some], self.runnable[some])


class ParsedLines(NamedTuple):
    """Documents of some lines; the columns are parallel."""

    lines: Positions
    text: pa.Array
    id: pa.Array
    url: pa.Array


def oversized(size: int, settings: ReadSettings) -> LineFault:
    """The fault of a line of more bytes than allowed."""
    return LineFault(
        Reason.OVERSIZED_RECORD,
        f"the line has {size} bytes, more than the {settings.max_record_bytes} allowed",
    )


def excerpt_bytes(settings: ReadSettings) -> int:
    """How much of a bad line to show: no more than is known of one that is skipped."""
    return min(MAX_EXCERPT_BYTES, settings.max_record_bytes)


class BlockResult:
    """What became of the lines of a block, collected in any order."""

    def __init__(
        self,
        block: memoryview,
        lines: Lines,
        offset: int,
        first_record: int,
        settings: ReadSettings,
    ) -> None:
        self.block = block
        self.lines = lines
        self.parsed: list[ParsedLines] = []
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
        lines = np.concatenate([np.zeros(0, np.int64), *(some.lines for some in self.parsed)])
        columns = [_concatenate([some[i] for some in self.parsed]) for i in (1, 2, 3)]
        self.parsed.clear()
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
        self, lines: Positions, columns: list[pa.Array]
    ) -> tuple[Positions, list[pa.Array]]:
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
