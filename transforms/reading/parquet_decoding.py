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
from transforms.reading.parquet_pages import DICTIONARY_PAGE, ChunkPages

_MAX_ROWS = 8192  # in a batch
_CAREFUL_ROWS = 16  # in a batch of a damaged row group
_BUFFER_BYTES = 1 << 20
_SLICES_OF_BATCH = 128  # at most, where a batch has to be read in slices
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

    Attributes:
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
        self._is_dictionary = any(
            pa.types.is_dictionary(field.type)
            for field in file.schema_arrow
            if field.name in {path[0] for path in columns}
        )
        self._dictionaries: pq.ParquetFile | None = None
        self.rows = 0
        self.chunks: list[ChunkPages] = []
        self.objection = ""

    @property
    def is_refused(self) -> bool:
        return self._source.refusal is not None

    def tables(self, group: int) -> Iterator[pa.RecordBatch]:
        """Yields the rows of a row group, to its end or to damage."""
        self.rows, self.chunks, self.objection = 0, [], ""
        self._source.watch([], 1)
        try:
            self.chunks = self._chunks(group)
            at_once, largest_entry = self._rows_at_once(group)
        except (*BAD_BYTES, ValueError, LookupError) as error:
            self._source.raise_own_error()
            self.objection = one_line(error)
            return
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

    def _rows_at_once(self, group: int) -> tuple[int, int]:
        """How many rows to ask for first; bytes of the largest dictionary entry, 0 if not needed.

        400 rows of 5 KB are a batch. No entry of a dictionary of 4 MB is larger than 4 MB, so that
        16 rows, 80 KB, can not come to more than DECODED_BYTES: slices large enough to cost
        nothing. With rows of 50 bytes they would be 800 bytes, and a look at the entries pays.
        """
        expected = self._rows_expected(group)
        if expected == 1:
            return 1, 0
        allowed = DECODED_BYTES // max(1, self._dictionary_bytes(group))
        if allowed * _SLICES_OF_BATCH >= expected:
            return min(expected, allowed), 0
        largest = self._largest_entry(group)
        return max(1, min(expected, DECODED_BYTES // max(1, largest))), largest

    def _dictionary_bytes(self, group: int) -> int:
        """Bytes of the largest dictionary page of strings in a row group; 0 without any."""
        largest = 0
        for column, chunk in zip(self._columns_of(group), self._chunks(group), strict=True):
            if not (column.has_dictionary and column.holds_bytes):
                continue
            head = self._source.read_at(chunk.next_offset, 1 << 10)
            page = chunk.next_page(chunk.next_offset, head, self._source.read_at)
            if page is not None and page.kind == DICTIONARY_PAGE:
                largest = max(largest, page.compressed_bytes, page.uncompressed_bytes)
        return largest

    def _largest_entry(self, group: int) -> int:
        """Bytes of the largest value in the dictionaries of a row group.

        Read as a dictionary a value stands once in memory, however many rows name it.
        """
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
            last = table.get_total_buffer_size()  # nbytes looks into each buffer: 6% of reading
            size += last
            count += len(table)
            # As much again would be too much.
            if self._is_dictionary or size + last > self._batch_bytes or count >= _MAX_ROWS:
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
                if not skipped:
                    yield table
                elif len(table) > skipped:
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
