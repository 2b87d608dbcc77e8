"""Tables of numbers for people, also in narrow terminals.

split       shards  documents     tokens        wide enough
train            3        199    102,400

train                                           else a block a row
  shards            3
  documents       199
  tokens      102,400
"""

import os
import sys
from collections.abc import Iterator, Sequence


def terminal_cells() -> int | None:
    """How wide the terminal is that standard output goes to; None where it goes elsewhere."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns
    except (AttributeError, OSError, ValueError):
        return None


def aligned(rows: Sequence[Sequence[str]], cells: int | None) -> str:
    """A table whose first row is the names of its columns, and whose first column those of rows.

    Args:
        rows: As many cells each as the first one, or fewer.
        cells: Of the terminal; None: as wide as the table needs.
    """
    widths = [max(len(row[at]) for row in rows if at < len(row)) for at in range(len(rows[0]))]
    if cells is None or sum(widths) + 2 * (len(widths) - 1) <= cells:
        return "\n".join(_line(row, widths) for row in rows)
    return "\n".join(line for row in rows[1:] for line in _block(rows[0], row))


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    numbers = (f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=False))
    return "  ".join([f"{row[0]:<{widths[0]}}", *numbers])


def _block(names: Sequence[str], row: Sequence[str]) -> Iterator[str]:
    yield row[0]
    pairs = list(zip(names[1:], row[1:], strict=False))
    width, digits = (max(map(len, column)) for column in zip(*pairs, strict=True))
    for name, cell in pairs:
        yield f"  {name:<{width}}  {cell:>{digits}}"
