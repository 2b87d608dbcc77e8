"""Writes the split tables that the fuzzer encodes with, as a C++ header, to standard output."""

import sys

import numpy as np
from split_patterns import WHOLE_TEXT

from tokenizer.split.fast.windows import windows_of
from tokenizer.split.table import SplitTable, compile_split_pattern

_SMALL = {
    "whole": r"[\s\S]+",
    "character": r"[\s\S]",
    # More states than published patterns have.
    "300_letters": r"\p{L}{1,300}|\P{L}{1,3}",
    # The scan goes to the end of the run of letters, and comes back for all but the last "b".
    "far_back": r"[a-y]*z|[\s\S]",
    "ab": r"[ab]+|[^ab]{1,2}",
}
"""Patterns that ask of the split what published ones do not."""


def main() -> None:
    """The command."""
    tables = {name: compile_split_pattern(text) for name, text in {**WHOLE_TEXT, **_SMALL}.items()}
    print("// Written by tests/fuzz/tables.py.\n#include <cstddef>\n#include <cstdint>\n")
    for number, table in enumerate(tables.values()):
        _print_array(f"const uint16_t kPageOf{number}[]", table.page_of)
        _print_array(f"const uint8_t kPages{number}[]", table.pages)
        _print_array(f"const uint16_t kTransitions{number}[]", table.transitions)
        windows = windows_of(table)
        _print_array(f"const uint8_t kGroupOf{number}[]", windows.group_of)
        _print_array(f"const uint8_t kVerdicts{number}[]", windows.verdicts)
        print(f"const unsigned kMaxRun{number} = {windows.max_run};")
    print("const TableData kTables[] = {")
    for number, (name, table) in enumerate(tables.items()):
        print(f"    {_row(number, name, table)},")
    print("};")


def _row(number: int, name: str, table: SplitTable) -> str:
    states, columns = table.transitions.shape
    return (
        f'{{"{name}", kPageOf{number}, kPages{number}, {table.pages.size}, '
        f"kTransitions{number}, {states}, {columns}, kGroupOf{number}, kVerdicts{number}, "
        f"kMaxRun{number}}}"
    )


def _print_array(declaration: str, numbers: np.ndarray) -> None:
    print(f"{declaration} = {{{','.join(map(str, numbers.ravel().tolist()))}}};")


if __name__ == "__main__":
    sys.exit(main())
