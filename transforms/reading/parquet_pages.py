"""The pages of a Parquet column chunk, told by their headers as the bytes pass by.

    chunk:  header dictionary | header page | header page | ...
            ^ start             ^ start + header_bytes + compressed_bytes of the page before

A footer says how many rows there are; the pages say it again, and how large they will be once
decompressed, before anything is. pyarrow does not hand these headers out, so they are read here
(PageHeader in parquet.thrift).
"""

from collections.abc import Callable
from typing import NamedTuple

from transforms.reading.thrift_compact import read_struct

DATA_PAGE, DICTIONARY_PAGE, DATA_PAGE_V2 = 0, 2, 3
DELTA_BYTE_ARRAY = 7  # values share beginnings: a page can hold more bytes than it has
_MAX_HEADER_BYTES = 16 << 20

ReadAt = Callable[[int, int], bytes]  # offset, size


class Page(NamedTuple):
    """What the header of a page says; sizes in bytes, without the header."""

    kind: int
    header_bytes: int
    compressed_bytes: int
    uncompressed_bytes: int
    values: int
    encoding: int


class ChunkPages:
    """The pages of one column chunk, as far as they are known.

    Attributes:
        next_offset: in the file, where the header of the next page should be.
        pages: the data pages before that.
        holds_bytes: its values are strings or bytes, which can be of any length.
        is_broken: there is no header; what follows can not be told.
    """

    def __init__(self, start: int, end: int, *, holds_bytes: bool = True) -> None:
        self.end = end
        self.holds_bytes = holds_bytes
        self.next_offset = start
        self.pages: list[Page] = []
        self.values = 0
        self.uncompressed_bytes = 0
        self.is_broken = False

    def next_page(self, offset: int, data: bytes, read_at: ReadAt) -> Page | None:
        """The page whose header begins within `data`, which stand at `offset` in the file.

        None where no header does. read_at: for a header that goes beyond `data`.
        """
        at = self.next_offset - offset
        if self.is_broken or not 0 <= at < len(data) or self.next_offset >= self.end:
            return None
        page = _parse_header(data, at)
        wanted = 64 << 10
        while page is None and wanted <= _MAX_HEADER_BYTES:
            more = read_at(self.next_offset, wanted)
            page = _parse_header(more, 0)
            if len(more) < wanted:
                break
            wanted *= 16
        if page is None:
            self.is_broken = True
        return page

    def accept(self, page: Page) -> None:
        """Goes on to the page after this one."""
        self.next_offset += page.header_bytes + page.compressed_bytes
        self.uncompressed_bytes += page.uncompressed_bytes
        if page.kind in (DATA_PAGE, DATA_PAGE_V2):
            self.values += page.values
            self.pages.append(page)

    def read_to_end(self, read_at: ReadAt) -> bool:
        """Reads the headers that did not pass by; True when the pages fill the chunk exactly."""
        while not self.is_broken and self.next_offset < self.end:
            page = self.next_page(self.next_offset, read_at(self.next_offset, 1 << 10), read_at)
            if page is None:
                return False
            self.accept(page)
        return self.next_offset == self.end

    def bytes_after(self, values: int) -> tuple[int, int, int]:
        """Of the pages that hold more than the first values: their compressed and uncompressed
        bytes, and the bytes after them of which no page is known.
        """
        compressed = uncompressed = 0
        before = self.values
        for page in reversed(self.pages):
            if before <= values:
                break
            compressed += page.header_bytes + page.compressed_bytes
            uncompressed += page.uncompressed_bytes
            before -= page.values
        return compressed, uncompressed, max(0, self.end - self.next_offset)


def _parse_header(data: bytes, at: int) -> Page | None:
    """The page of a header; None where it is none, or not all of it is there."""
    try:
        fields, end = read_struct(data, at)
        kind, uncompressed, compressed = (int(fields[number]) for number in (1, 2, 3))
        inner = fields.get({DATA_PAGE: 5, DICTIONARY_PAGE: 7, DATA_PAGE_V2: 8}.get(kind, 0), {})
        values = int(inner.get(1, 0))
        encoding = int(inner.get(4 if kind == DATA_PAGE_V2 else 2, 0))
    except (IndexError, KeyError, ValueError, TypeError, AttributeError):
        return None
    if min(uncompressed, compressed, values) < 0:
        return None
    return Page(kind, end - at, compressed, uncompressed, values, encoding)
