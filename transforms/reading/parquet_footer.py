"""What a Parquet footer says of row groups and column chunks: claims, bounded by the file's size.

Read here and not through pyarrow, whose metadata of a column ends the process (C++ terminate) where
a footer leaves it out, as one of encrypted columns does.
"""

from bisect import bisect_left
from typing import Any, NamedTuple

from transforms.reading.formats import Part
from transforms.reading.parquet_file import WatchedFile
from transforms.reading.thrift_compact import read_struct

_TAIL_BYTES = 8  # the footer's size and the magic
_BYTE_ARRAY, _FIXED_LEN_BYTE_ARRAY = 6, 7


class ColumnClaims(NamedTuple):
    """Of a column chunk: where its pages are, and their size with headers once decompressed."""

    start: int
    end: int
    uncompressed_bytes: int
    has_dictionary: bool
    holds_bytes: bool


class RowGroupClaims(NamedTuple):
    """Of a row group: its rows, and its column chunks; None where one is not described."""

    rows: int
    columns: list[ColumnClaims | None]

    @property
    def extent(self) -> tuple[int, int] | None:
        """Where its bytes begin and end in the file; None where the footer does not tell."""
        described = [column for column in self.columns if column is not None]
        if not described or len(described) < len(self.columns):
            return None
        return min(one.start for one in described), max(one.end for one in described)


def groups_in(groups: list[RowGroupClaims], part: Part) -> range:
    """The numbers of the row groups that begin in a part; they follow each other in the file."""
    starts = [extent[0] for group in groups if (extent := group.extent) is not None]
    return range(bisect_left(starts, part[0]), bisect_left(starts, part[1]))


def read_row_groups(source: WatchedFile) -> list[RowGroupClaims]:
    """The row groups of a file that Arrow could open.

    Raises:
        ValueError, IndexError: it is not described as Parquet is.
    """
    tail = source.read_at(source.size - _TAIL_BYTES, 4)
    size = int.from_bytes(tail, "little")
    footer, _ = read_struct(source.read_at(source.size - _TAIL_BYTES - size, size), 0)
    try:
        return [
            RowGroupClaims(
                int(group.get(3, 0)), [_column(chunk, source.size) for chunk in group.get(1, [])]
            )
            for group in footer.get(4, [])
        ]
    except (AttributeError, TypeError) as error:
        raise ValueError("the footer's row groups are none") from error


def _column(chunk: dict[int, Any], file_bytes: int) -> ColumnClaims | None:
    claims = chunk.get(3)
    if not isinstance(claims, dict):
        return None
    try:
        kind, uncompressed, compressed, data_page = (int(claims[n]) for n in (1, 6, 7, 9))
        dictionary_page = int(claims.get(11, 0))
    except (KeyError, TypeError, ValueError):
        return None
    start = min(data_page, dictionary_page) if dictionary_page > 0 else data_page
    return ColumnClaims(
        start,
        min(start + max(0, compressed), file_bytes),
        max(0, uncompressed),
        dictionary_page > 0,
        kind in (_BYTE_ARRAY, _FIXED_LEN_BYTE_ARRAY),
    )
