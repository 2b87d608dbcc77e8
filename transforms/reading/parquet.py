"""Parquet: row group by row group, only the columns that are needed."""

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tokenizer.errors import ConfigurationError
from transforms.documents import DocumentColumns, Reason, RecordBatch, Reject
from transforms.reading.batching import BatchBuilder, readable
from transforms.reading.coverage import Coverage
from transforms.reading.formats import ReadSettings

_MAX_ROWS = 8192  # in a batch
_CAREFUL_ROWS = 16  # in a batch of a damaged row group
_BUFFER_BYTES = 1 << 20
_NO_OFFSET = -1
# What Arrow raises on bytes that are not the Parquet they say; also OSError.
_BAD_BYTES = (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError, EOFError)


def read_parquet(
    handle: BinaryIO, settings: ReadSettings, path: str, coverage: Coverage
) -> Iterator[RecordBatch]:
    """Yield the rows of a Parquet file in batches of about `settings.batch_bytes` of text.

    A null text is a reject. Of a damaged row group the rows before the damage
    are documents, and each row behind it in the group is a reject; reading
    goes on with the next group. A file without a readable footer is one
    reject. Memory: a batch and a page of each column.

    Raises:
      ConfigurationError: there is no text column of that name, or it holds no text.
      OSError: the file system failed.
    """
    source = _WatchedFile(handle)
    try:
        # Pages are read as they come: pre-buffering would hold a whole row group.
        file = pq.ParquetFile(
            pa.PythonFile(source, "r"), buffer_size=_BUFFER_BYTES, pre_buffer=False
        )
    except _BAD_BYTES as error:
        source.raise_own_error()
        builder = BatchBuilder(settings)
        detail = f"no Parquet footer can be read: {_one_line(error)}"
        builder.reject(builder.count(), _NO_OFFSET, Reason.DAMAGED_STREAM, detail)
        yield from builder.rest()
        return
    yield from _Rows(file, source, settings, path).batches()


class _WatchedFile:
    """A file that remembers its own errors, which Arrow reports like those of bad bytes."""

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle
        self._error: OSError | None = None
        self.closed = False

    def raise_own_error(self) -> None:
        if self._error is not None:
            raise self._error

    def read(self, size: int = -1) -> bytes:
        try:
            return self._handle.read(size)
        except OSError as error:
            self._error = error
            raise

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._handle.seek(offset, whence)

    def tell(self) -> int:
        return self._handle.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True

    def flush(self) -> None:
        """Nothing is written."""


class _Rows:
    """The rows of one file."""

    def __init__(
        self, file: pq.ParquetFile, source: _WatchedFile, settings: ReadSettings, path: str
    ) -> None:
        self._file = file
        self._source = source
        self._settings = settings
        self._objection = ""  # what Arrow said of the damage it met last
        schema = file.schema_arrow
        self._text = _find_column(schema, settings.text_field)
        self._id = _find_column(schema, settings.id_field)
        self._url = _find_column(schema, settings.url_field)
        if self._text is None or not _holds_text(_type_of(schema, self._text)):
            found = "there is none" if self._text is None else _type_of(schema, self._text)
            columns = ", ".join(f"{field.name} ({field.type})" for field in schema)
            raise ConfigurationError(
                f"{path}: expected a column of strings named {settings.text_field!r} "
                f"(--text-field), found: {found}. The columns are: {columns}"
            )
        paths = (self._text, self._id, self._url)
        self._columns = list(dict.fromkeys(".".join(path) for path in paths if path))

    def batches(self) -> Iterator[RecordBatch]:
        first = 0
        for group in range(self._file.num_row_groups):
            yield from self._group(group, first)
            first += self._file.metadata.row_group(group).num_rows

    def _group(self, group: int, first: int) -> Iterator[RecordBatch]:
        """The rows of a row group, of which the first has the index `first`."""
        metadata = self._file.metadata.row_group(group)
        rows = metadata.num_rows
        per_row = max(1, metadata.total_byte_size // max(1, rows))
        usual = max(1, min(_MAX_ROWS, self._settings.batch_bytes // per_row))
        done = 0
        self._objection = ""
        for batch_rows in (usual, _CAREFUL_ROWS):
            tables = self._tables(group, batch_rows, done)
            while (table := self._next(tables)) is not None:
                yield self._convert(table, first + done)
                done += len(table)
            if done == rows:
                return
        detail = f"row group {group} is damaged from its row {done} on{self._objection}"
        yield from self._lost(first + done, first + rows, detail)

    def _tables(self, group: int, rows: int, skipped: int) -> Iterator[pa.RecordBatch]:
        for table in self._file.iter_batches(
            rows, row_groups=[group], columns=self._columns, use_threads=False
        ):
            if len(table) > skipped:
                yield table.slice(skipped)
            skipped = max(0, skipped - len(table))

    def _next(self, tables: Iterator[pa.RecordBatch]) -> pa.RecordBatch | None:
        """The next table; None at the end and, with the objection noted, at damage."""
        try:
            return next(tables, None)
        except _BAD_BYTES as error:
            self._source.raise_own_error()
            self._objection = f": {_one_line(error)}"
            return None

    def _convert(self, table: pa.RecordBatch, first: int) -> RecordBatch:
        assert self._text is not None
        text = _as_text(_take_column(table, self._text))
        ids, urls = (
            pa.nulls(len(table), pa.string())
            if column is None
            else readable(_as_string(_take_column(table, column)))
            for column in (self._id, self._url)
        )
        limit = self._settings.max_document_bytes
        fits = pc.fill_null(pc.less_equal(pc.binary_length(text), limit), False)
        is_document = fits.to_numpy(zero_copy_only=False)
        rejects = []
        for row in np.flatnonzero(~is_document).tolist():
            reason, detail = Reason.NULL_TEXT, f"the column {self._settings.text_field!r} is null"
            if text[row].is_valid:
                reason = Reason.OVERSIZED_RECORD
                detail = f"the text has more than the {limit} bytes allowed"
            rejects.append(Reject(first + row, _NO_OFFSET, reason, detail))
        if rejects:
            text, ids, urls = (column.filter(fits) for column in (text, ids, urls))
        record = first + np.flatnonzero(is_document).astype(np.int64)
        documents = DocumentColumns(
            _at_offset_zero(text),
            _at_offset_zero(ids),
            _at_offset_zero(urls),
            record,
            np.full(len(record), _NO_OFFSET, np.int64),
        )
        return RecordBatch(len(table), documents, tuple(rejects))

    def _lost(self, first: int, last: int, detail: str) -> Iterator[RecordBatch]:
        """Rejects for the rows [first, last); how many they are is known from the footer."""
        builder = BatchBuilder(self._settings, first)
        for _ in range(first, last):
            builder.reject(builder.count(), _NO_OFFSET, Reason.DAMAGED_RECORD, detail)
            yield from builder.full()
        yield from builder.rest()


def _find_column(schema: pa.Schema, path: str) -> tuple[str, ...] | None:
    """The names to go down by; None if there is no such column. A name with dots in it wins."""
    if path in schema.names:
        return (path,)
    names = tuple(path.split("."))
    fields = schema
    for name in names:
        if not isinstance(fields, (pa.Schema, pa.StructType)) or name not in fields.names:
            return None
        fields = fields.field(name).type
    return names


def _type_of(schema: pa.Schema, names: tuple[str, ...]) -> pa.DataType:
    kind = schema.field(names[0]).type
    for name in names[1:]:
        kind = kind.field(name).type
    return kind


def _holds_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return any(
        is_kind(kind)
        for is_kind in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_string_view,
            pa.types.is_binary,
            pa.types.is_large_binary,
            pa.types.is_binary_view,
        )
    )


def _take_column(table: pa.RecordBatch, names: tuple[str, ...]) -> pa.Array:
    column = table.column(names[0])
    for name in names[1:]:
        column = pc.struct_field(column, [name])
    return column


def _as_text(column: pa.Array) -> pa.Array:
    """The same bytes as a StringArray or LargeStringArray; whether they are UTF-8 is unchecked."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_string_view(column.type) or pa.types.is_binary_view(column.type):
        column = column.cast(pa.large_binary())
    if pa.types.is_large_binary(column.type):
        return column.view(pa.large_string())
    return column.view(pa.string()) if pa.types.is_binary(column.type) else column


def _as_string(column: pa.Array) -> pa.Array:
    """An id or URL as a StringArray; null where its type has no text form."""
    if _holds_text(column.type):
        return _narrow(_as_text(column))
    try:
        return column.cast(pa.string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return pa.nulls(len(column), pa.string())


def _narrow(text: pa.Array) -> pa.Array:
    if pa.types.is_string(text.type):
        return text
    return text.view(pa.large_binary()).cast(pa.binary()).view(pa.string())


def _at_offset_zero(column: pa.Array) -> pa.Array:
    return column.take(pa.array(np.arange(len(column)))) if column.offset else column


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:500]
