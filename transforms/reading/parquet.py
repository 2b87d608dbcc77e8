"""Parquet: row group by row group, only the columns that are needed.

What a footer says of rows is a claim. A group's is compared with what its pages hold and with what
was read; where they differ, the rows that can be read are documents, and the others are rejects:

    group 1 of 200 rows says    its pages hold    read    then
    200                         200               200     nothing is wrong
    0, -1 or 100                200               0, 100  200 or 100 rejects, a row each
    1,000,000,000,000           200               200     one reject that names both numbers
    200                         (damaged)         64      136 rejects
"""

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from transforms.documents import DocumentColumns, Reason, RecordBatch, Reject
from transforms.reading.batching import (
    BatchBuilder,
    document_too_large,
    readable,
    rejects_alone,
)
from transforms.reading.coverage import Coverage
from transforms.reading.formats import Part, ReadSettings
from transforms.reading.parquet_columns import (
    as_name,
    as_text,
    at_offset_zero,
    find_name_column,
    find_text_column,
    take_column,
)
from transforms.reading.parquet_decoding import BAD_BYTES, GroupDecoder, one_line, open_parquet
from transforms.reading.parquet_file import WatchedFile
from transforms.reading.parquet_footer import RowGroupClaims, groups_in, read_row_groups
from transforms.reading.parquet_pages import ChunkPages

_NO_OFFSET = -1
_MAGIC = b"PAR1"


def read_parquet(
    handle: BinaryIO,
    settings: ReadSettings,
    path: str,
    coverage: Coverage,
    part: Part | None = None,
) -> Iterator[RecordBatch]:
    """Yields the rows of a Parquet file in batches of about `settings.batch_bytes` of text.

    A null text is a reject. Of a damaged row group the rows before the damage
    are documents, and each row after it in the group is a reject; reading
    goes on with the next group. A file without a readable footer is one
    reject. Of a part, the row groups that begin in it are read, and what the footer says of these
    is compared. Memory: a page of each column, and a batch: `batch_bytes`, one row, or at most
    DECODED_BYTES where a page holds more than one expects.

    Raises:
        ConfigurationError: there is no text column of that name, or it holds no text.
        OSError: the file system failed.
    """
    source = WatchedFile(handle, settings.max_record_bytes, 2 * settings.batch_bytes)
    try:
        file = open_parquet(source)
        groups = read_row_groups(source)
    except (*BAD_BYTES, ValueError, LookupError) as error:
        source.raise_own_error()
        tail = source.read_at(max(0, source.size - len(_MAGIC)), len(_MAGIC))
        coverage.is_truncated = source.read_at(0, len(_MAGIC)) == _MAGIC != tail
        coverage.undecoded_bytes += source.size
        detail = f"no Parquet footer can be read: {one_line(error)}"
        reject = Reject(0, _NO_OFFSET, Reason.DAMAGED_STREAM, detail, b"", source.size)
        yield rejects_alone([reject])
        return
    own = range(len(groups)) if part is None else groups_in(groups, part)
    yield from _Rows(file, groups, own, source, settings, path, coverage).batches()


class _Rows:
    """The rows of one file."""

    def __init__(
        self,
        file: pq.ParquetFile,
        groups: list[RowGroupClaims],
        own: range,
        source: WatchedFile,
        settings: ReadSettings,
        path: str,
        coverage: Coverage,
    ) -> None:
        is_all = len(own) == len(groups)
        self._told_rows = file.metadata.num_rows if is_all else sum(groups[n].rows for n in own)
        self._groups = groups
        self._own = own
        self._source = source
        self._settings = settings
        self._coverage = coverage
        self._contradictions = 0  # rejects that stand for no row
        # A level and an index take a bit each or more; runs of equal ones aside, no file has more
        # rows than bits. More than these are not written out as a reject each.
        self._believable_rows = 8 * source.size
        schema = file.schema_arrow
        self._text = find_text_column(schema, settings, path)
        self._id = find_name_column(schema, settings.id_field)
        self._url = find_name_column(schema, settings.url_field)
        columns = [path for path in (self._text, self._id, self._url) if path]
        self._decoder = GroupDecoder(file, source, groups, columns, settings.batch_bytes)

    def batches(self) -> Iterator[RecordBatch]:
        first = rows = 0
        for group in self._own:
            for batch in self._group(group, first):
                first += batch.records
                yield batch
            rows = first - self._contradictions
        told = self._told_rows
        if told != rows:
            detail = f"the footer says the file has {told} rows, its row groups have {rows}"
            yield self._contradiction(first, detail, 0)

    def _contradiction(self, record: int, detail: str, lost_bytes: int) -> RecordBatch:
        self._contradictions += 1
        reason = Reason.DAMAGED_RECORD
        return rejects_alone([Reject(record, _NO_OFFSET, reason, detail, b"", lost_bytes)])

    def _group(self, group: int, first: int) -> Iterator[RecordBatch]:
        """The rows of a row group, of which the first has the index `first`."""
        for table in self._decoder.tables(group):
            yield self._convert(table, first + self._decoder.rows)
        yield from self._close_group(group, first)

    def _convert(self, table: pa.RecordBatch, first: int) -> RecordBatch:
        text = as_text(take_column(table, self._text))
        ids, urls = (
            pa.nulls(len(table), pa.string())
            if column is None
            else readable(as_name(take_column(table, column)))
            for column in (self._id, self._url)
        )
        rows = np.arange(len(table), dtype=np.int64)
        rejects: list[Reject] = []
        if text.null_count or text.nbytes > self._settings.max_document_bytes:
            rejects, rows = self._reject_rows(text, first)
        if rejects:
            text, ids, urls = (column.take(pa.array(rows)) for column in (text, ids, urls))
        record = first + rows
        documents = DocumentColumns(
            at_offset_zero(text),
            at_offset_zero(ids),
            at_offset_zero(urls),
            record,
            np.full(len(record), _NO_OFFSET, np.int64),
        )
        return RecordBatch(len(table), documents, tuple(rejects))

    def _reject_rows(self, text: pa.Array, first: int) -> tuple[list[Reject], np.ndarray]:
        """The rejects of a table, and the rows that are documents."""
        sizes = pc.binary_length(text)
        fits = pc.fill_null(pc.less_equal(sizes, self._settings.max_document_bytes), False)
        is_document = fits.to_numpy(zero_copy_only=False)
        rejects = []
        for row in np.flatnonzero(~is_document).tolist():
            reason, detail = Reason.NULL_TEXT, f"the column {self._settings.text_field!r} is null"
            if text[row].is_valid:
                reason = Reason.OVERSIZED_RECORD
                detail = document_too_large(sizes[row].as_py(), self._settings)
            rejects.append(Reject(first + row, _NO_OFFSET, reason, detail))
        return rejects, np.flatnonzero(is_document)

    def _close_group(self, group: int, first: int) -> Iterator[RecordBatch]:
        """Compares the rows that were read with those that there are said to be."""
        chunks, done, objection = self._decoder.chunks, self._decoder.rows, self._decoder.objection
        told = self._groups[group].rows
        is_known = bool(chunks) and chunks[0].read_to_end(self._source.read_at)
        held = chunks[0].values if is_known else told
        if done == told == held:
            self._coverage.decoded_bytes += sum(chunk.uncompressed_bytes for chunk in chunks)
            return
        lost_bytes = self._note_losses(chunks, done)
        reason = Reason.DAMAGED_RECORD
        detail = f"row group {group} is damaged from its row {done} on: {objection}"
        if self._decoder.is_refused:
            reason, lost_bytes = Reason.OVERSIZED_RECORD, 0
            detail = f"row group {group} from its row {done} on: {objection}"
        elif not objection:
            found = f"{done} could be read" if held == told else f"its pages hold {held}"
            detail = f"row group {group} says that it has {told} rows, {found}"
        missing = held - done
        if 0 < missing <= self._believable_rows:
            self._believable_rows -= missing
            yield from self._lost(first + done, first + held, reason, detail, lost_bytes)
        else:
            yield self._contradiction(first + done, detail, lost_bytes)

    def _note_losses(self, chunks: list[ChunkPages], done: int) -> int:
        """Adds to the coverage what was read and what was not; returns the bytes lost."""
        lost = 0
        for chunk in chunks:
            compressed, uncompressed, unknown = chunk.bytes_after(done)
            self._coverage.decoded_bytes += chunk.uncompressed_bytes - uncompressed
            self._coverage.undecoded_bytes += compressed + unknown
            lost += uncompressed + unknown
        return lost

    def _lost(
        self, first: int, last: int, reason: Reason, detail: str, lost_bytes: int
    ) -> Iterator[RecordBatch]:
        """Rejects for the rows [first, last), of which the first stands for all lost bytes."""
        builder = BatchBuilder(self._settings, first)
        for _ in range(first, last):
            builder.reject(builder.count(), _NO_OFFSET, reason, detail, b"", lost_bytes)
            lost_bytes = 0
            if builder.is_full:
                yield from builder.rest()
        yield from builder.rest()
