"""The file that Arrow reads Parquet from: it looks at each page's header before Arrow does."""

from collections.abc import Sequence
from typing import BinaryIO

from transforms.reading.parquet_pages import DELTA_BYTE_ARRAY, DICTIONARY_PAGE, ChunkPages, Page

DECODED_BYTES = 24 << 20  # what the rows asked for at once may come to, by values named again
_PAGES_BYTES = 64 << 20  # and by the pages that they are in


class PageRefused(OSError):
    """A page is not handed to Arrow: it could not be decoded in bounded memory."""


class FewerRows(PageRefused):
    """It could be, if no more than `rows` rows were asked for at once."""

    def __init__(self, rows: int) -> None:
        super().__init__(f"at most {rows} rows at once")
        self.rows = rows


class WatchedFile:
    """A file for Arrow that refuses pages which are too large, and remembers its own errors.

    Arrow reports an error of the disk like one of bad bytes; and it decompresses whatever size a
    page's header says, then builds as many rows as it was asked for: a dictionary of one value of
    1 MB and 8,000 rows that name it, a file of 500 bytes, are 8 GB.
    """

    def __init__(self, handle: BinaryIO, max_page_bytes: int, decoded_bytes: int) -> None:
        self._handle = handle
        self._max_page_bytes = max_page_bytes
        self._max_decoded_bytes = max(DECODED_BYTES, decoded_bytes)
        self._max_pages_bytes = max(_PAGES_BYTES, decoded_bytes)
        self.size = handle.seek(0, 2)
        self._offset = handle.seek(0)
        self._error: OSError | None = None
        self._refusal: PageRefused | None = None
        self._chunks: Sequence[ChunkPages] = ()
        self._rows = 1
        self._largest_entry = 0
        self._since_batch = 0
        self.closed = False

    def watch(self, chunks: Sequence[ChunkPages], rows: int, largest_entry: int = 0) -> None:
        """From now on Arrow reads these chunks from their start, so many rows at once.

        largest_entry: bytes of the largest value in a dictionary, where that is known.
        """
        self._chunks, self._rows, self._largest_entry = chunks, rows, largest_entry
        self._refusal = None
        self._since_batch = 0

    def batch_is_done(self) -> None:
        """Arrow handed out the rows of the pages that it read so far."""
        self._since_batch = 0

    def raise_own_error(self) -> None:
        if self._error is not None:
            raise self._error

    @property
    def refusal(self) -> PageRefused | None:
        """Why the last read failed, if a page was refused."""
        return self._refusal

    def read_at(self, offset: int, size: int) -> bytes:
        """Bytes anywhere in the file; none where it has no such place. Does not move."""
        if not 0 <= offset < self.size:
            return b""
        self._handle.seek(offset)
        data = self._handle.read(size)
        self._handle.seek(self._offset)
        return data

    def read(self, size: int = -1) -> bytes:
        start = self._offset
        try:
            data = self._handle.read(size)
            self._offset += len(data)
            allowed = self._allowed(start, data)
        except PageRefused as refusal:
            self._refusal = refusal
            raise
        except OSError as error:
            self._error = error
            raise
        if allowed < len(data):
            self._offset = self._handle.seek(start + allowed)
            return data[:allowed]
        return data

    def _allowed(self, start: int, data: bytes) -> int:
        """How much Arrow may see: all, or what stands before a page that is refused."""
        for chunk in self._chunks:
            while (page := chunk.next_page(start, data, self.read_at)) is not None:
                refusal = self._refusal_of(page, chunk)
                if refusal is not None and chunk.next_offset == start:
                    raise refusal
                if refusal is not None:
                    return chunk.next_offset - start
                chunk.accept(page)
                self._since_batch += page.uncompressed_bytes
        return len(data)

    def _refusal_of(self, page: Page, chunk: ChunkPages) -> PageRefused | None:
        size = max(page.compressed_bytes, page.uncompressed_bytes)
        if size > self._max_page_bytes:
            return PageRefused(
                f"a page has {size} bytes, more than the {self._max_page_bytes} that "
                "max_record_bytes allows"
            )
        if self._rows == 1:
            return None
        value = 0  # bytes of the largest one that the page can give many times
        if chunk.holds_bytes and page.kind == DICTIONARY_PAGE:
            value = self._largest_entry or size
        elif chunk.holds_bytes and page.encoding == DELTA_BYTE_ARRAY:
            value = size
        if value * self._rows > self._max_decoded_bytes:
            return FewerRows(max(1, self._max_decoded_bytes // value))
        if self._since_batch and self._since_batch + size > self._max_pages_bytes:
            return FewerRows(max(1, self._rows // 16))
        return None

    def seek(self, offset: int, whence: int = 0) -> int:
        self._offset = self._handle.seek(offset, whence)
        return self._offset

    def tell(self) -> int:
        return self._offset

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True

    def flush(self) -> None:
        """Nothing is written."""
