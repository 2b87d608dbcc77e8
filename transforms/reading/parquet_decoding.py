"""The rows of a Parquet row group, decoded by Arrow in slices that memory can hold.

Arrow builds as many rows as it is asked for, whatever they come to. How many are asked for follows
from the sizes in the footer; WatchedFile refuses a page with which they could come to too much,
and then the group is read again from its beginning with fewer rows at once, skipping those that
were handed out. Small slices cost little: 85 MB of text by 16 rows at once take as long as by 512.
"""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from transforms.reading.parquet_columns import ColumnPath, take_column
from transforms.reading.parquet_file import DECODED_BYTES, FewerRows, WatchedFile
from transforms.reading.parquet_footer import ColumnClaims, RowGroupClaims
from transforms.reading.parquet_pages import ChunkPages

_MAX_ROWS = 8192  # in a batch
_CAREFUL_ROWS = 16  # in a batch of a damaged row group
_BUFFER_BYTES = 1 << 20
# What Arrow raises on bytes that are not the Parquet they say; also OSError.
BAD_BYTES = (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError, EOFError, UnicodeDecodeError)


def open_parquet(source: WatchedFile, **options: object) -> pq.ParquetFile:
    """A file whose pages are read as they come: pre-buffering would hold a whole row group.

    Raises one of BAD_BYTES where there is no footer that can be read.
    """
    file = pq.ParquetFile(
        pa.PythonFile(source, "r"),
        buffer_size=_BUFFER_BYTES,
        pre_buffer=False,
        page_checksum_verification=True,
        **options,
    )
    file.schema_arrow.names  # noqa: B018  raises where a name is not UTF-8
    return file


class GroupDecoder:
    """Decodes the row groups of one file, one after the other.

    After the last table of a group these tell about it:

    rows: how many were handed out.
    chunks: the column chunks that were read, the first column's first; none where the footer
      does not tell where they are.
    objection: what Arrow said of damage it met, or why a page was refused; empty without any.
    is_refused: whether a page was refused.
    """

    def __init__(
        self,
        file: pq.ParquetFile,
        source: WatchedFile,
        groups: list[RowGroupClaims],
        columns: list[ColumnPath],
        batch_bytes: int,
    ) -> None:
        self._file = file
        self._groups = groups
        self._source = source
        self._batch_bytes = batch_bytes
        self._paths = columns
        self._columns = list(dict.fromkeys(".".join(path) for path in columns))
        self._names = [file.schema.column(index).path for index in range(len(file.schema))]
        self._leaves = [
            index
            for column in self._columns
            for index, name in enumerate(self._names)
            if name == column or name.startswith(f"{column}.")
        ]
        self._dictionaries: pq.ParquetFile | None = None
        self.rows = 0
        self.chunks: list[ChunkPages] = []
        self.objection = ""

    @property
    def is_refused(self) -> bool:
        return self._source.refusal is not None

    def tables(self, group: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a row group, to its end or to damage."""
        self.rows, self.chunks, self.objection = 0, [], ""
        self._source.watch([], 1)
        try:
            self.chunks = self._chunks(group)
            at_once = self._rows_expected(group)
            largest_entry = self._largest_entry(group) if at_once > 1 else 0
        except (*BAD_BYTES, ValueError, LookupError) as error:
            self._source.raise_own_error()
            self.objection = one_line(error)
            return
        at_once = max(1, min(at_once, DECODED_BYTES // max(1, largest_entry)))
        while at_once:
            self.chunks = self._chunks(group)
            self._source.watch(self.chunks, at_once, largest_entry)
            for table in self._gathered(group, at_once, self.rows):
                yield table
                self.rows += len(table)
            at_once = self._rows_of_next_try(at_once)

    def _rows_of_next_try(self, rows: int) -> int:
        """How many rows at once to try again with; 0 when that is of no use."""
        refusal = self._source.refusal
        if refusal is not None:
            return refusal.rows if isinstance(refusal, FewerRows) else 0
        return _CAREFUL_ROWS if self.objection and rows > _CAREFUL_ROWS else 0

    def _columns_of(self, group: int) -> list[ColumnClaims]:
        """What the footer says of the columns that are read, in their order."""
        columns = self._groups[group].columns
        described = [column for i in self._leaves if (column := columns[i]) is not None]
        if len(described) < len(self._leaves):
            raise ValueError("the footer does not describe its columns; they may be encrypted")
        return described

    def _chunks(self, group: int) -> list[ChunkPages]:
        return [
            ChunkPages(column.start, column.end, holds_bytes=column.holds_bytes)
            for column in self._columns_of(group)
        ]

    def _rows_expected(self, group: int) -> int:
        """How many rows come to about a batch, if they are alike."""
        size = sum(column.uncompressed_bytes for column in self._columns_of(group))
        per_row = max(1, size // max(1, self._groups[group].rows))
        return max(1, min(_MAX_ROWS, self._batch_bytes // per_row))

    def _largest_entry(self, group: int) -> int:
        """Bytes of the largest value in the dictionaries of a row group; 0 without any.

        Read as a dictionary a value stands once in memory, however many rows name it.
        """
        if not any(column.has_dictionary for column in self._columns_of(group)):
            return 0
        if self._dictionaries is None:
            self._dictionaries = open_parquet(
                self._source,
                read_dictionary=[self._names[index] for index in self._leaves],
                metadata=self._file.metadata,
            )
        self._source.watch(self._chunks(group), 1)
        # Those of a fixed length are not read as a dictionary.
        largest: int = max(self._file.schema.column(index).length for index in self._leaves)
        for table in self._dictionaries.iter_batches(
            1, row_groups=[group], columns=self._columns, use_threads=False
        ):
            for path in self._paths:
                column = take_column(table, path)
                if isinstance(column, pa.DictionaryArray) and len(column.dictionary):
                    sizes = pc.binary_length(column.dictionary)
                    largest = max(largest, pc.max(sizes).as_py() or 0)
            break
        return largest

    def _gathered(self, group: int, rows: int, skipped: int) -> Iterator[pa.RecordBatch]:
        """The rows from `skipped` on; those read before damage come before the end."""
        some: list[pa.RecordBatch] = []
        size = count = 0
        for table in self._tables(group, rows, skipped):
            some.append(table)
            size += table.nbytes
            count += len(table)
            is_dictionary = any(map(pa.types.is_dictionary, table.schema.types))
            if is_dictionary or 2 * size >= self._batch_bytes or count >= _MAX_ROWS:
                yield from _joined(some)
                some, size, count = [], 0, 0
        yield from _joined(some)

    def _tables(self, group: int, rows: int, skipped: int) -> Iterator[pa.RecordBatch]:
        """What Arrow reads, to the end or, with the objection noted, to damage."""
        self.objection = ""
        try:
            for table in self._file.iter_batches(
                rows, row_groups=[group], columns=self._columns, use_threads=False
            ):
                self._source.batch_is_done()
                if len(table) > skipped:
                    yield table.slice(skipped)
                skipped = max(0, skipped - len(table))
        except BAD_BYTES as error:
            self._source.raise_own_error()
            self.objection = one_line(error)


def _joined(tables: list[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    if len(tables) == 1:
        yield tables[0]
    elif tables:
        yield from pa.Table.from_batches(tables).combine_chunks().to_batches()


def one_line(error: Exception) -> str:
    """The message of an error, fit for a detail."""
    return " ".join(str(error).split())[:500]
