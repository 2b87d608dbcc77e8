"""The figures of README.md, from bench/results: `python -m bench.readme`.

    <!-- figures: engine -->        what stands between the two lines is made here
    | vocabulary | text | ...
    <!-- end of figures -->

`--check` changes nothing and ends with 1 where README.md is not what the results make of it.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.report import REPOSITORY, RESULTS

_BLOCK = re.compile(r"(<!-- figures: (\w+) -->\n).*?(<!-- end of figures -->)", re.DOTALL)
_TEXTS = {
    "english": "English",
    "multilingual": "many languages",
    "code": "code",
    "help": "help in 35 languages",
    "documentation": "manuals",
    "kernel": "kernel source",
}
_VOCABULARIES = {"qwen3": "Qwen 3", "deepseek_v3": "DeepSeek V3"}
_FORMATS = {
    "zst": "`.jsonl.zst`",
    "gz": "`.jsonl.gz`",
    "parquet": "Parquet",
    "wet": "WET",
    "warc": "WARC of HTML",
}


def main() -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.readme", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--check", action="store_true", help="change nothing")
    options = parser.parse_args()
    path = REPOSITORY / "README.md"
    text = path.read_text(encoding="utf-8")
    made = with_figures(text, RESULTS)
    if options.check and made != text:
        print("README.md: its figures are not those of bench/results: python -m bench.readme")
        return 1
    if made != text:
        path.write_text(made, encoding="utf-8")
    return 0


def with_figures(text: str, results: Path) -> str:
    """The text with every block of figures made anew from the results in a folder."""
    return _BLOCK.sub(lambda block: block[1] + _figures(block[2], results) + block[3], text)


def _figures(name: str, results: Path) -> str:
    file, rows = _TABLES[name]
    found = json.loads((results / f"{file}.json").read_bytes())
    lines = [f"| {' | '.join(row)} |" for row in rows(found)]
    lines.insert(1, "|" + " --- |" * (lines[0].count("|") - 1))
    return "".join(f"{line}\n" for line in lines)


def _engine(found: dict[str, Any]) -> Iterator[list[str]]:
    """One pass over text that does not repeat."""
    yield ["vocabulary", "text, once", "tokenmill", "gigatoken", ""]
    for one in found["measurements"]:
        speeds = {
            name: measured["cold_megabytes_per_second"]
            for name, measured in one["contestants"].items()
        }
        ours, theirs = speeds["tokenmill"], speeds["gigatoken"]
        text = f"{_TEXTS[one['text']]}, {one['bytes'] / 1e6:.0f} MB"
        yield [_vocabulary(one), text, f"{ours:.0f}", f"{theirs:.0f}", f"{ours / theirs:.2f} x"]


def _repeated(found: dict[str, Any]) -> Iterator[list[str]]:
    """A first pass over a small text, and later ones."""
    yield ["vocabulary", "text, again", "tokenmill", "gigatoken", "tiktoken or tokenizers"]
    for one in found["measurements"]:
        found_of = one["contestants"]
        speeds = [
            f"{found_of[name]['cold_megabytes_per_second']:.0f}, "
            f"{found_of[name]['warm_megabytes_per_second']:.0f}"
            for name in ("tokenmill", "gigatoken")
        ]
        slow = found_of.get("tiktoken") or found_of["tokenizers"]
        yield [
            _vocabulary(one),
            _TEXTS[one["text"]],
            *speeds,
            f"{slow['warm_megabytes_per_second']:.0f}",
        ]


def _formats(found: dict[str, Any]) -> Iterator[list[str]]:
    yield ["format", "text", "tokenmill", "bare script", ""]
    for name, title in _FORMATS.items():
        measured = found[name]["contestants"]
        ours, bare = measured["tokenmill"], measured["bare gigatoken"]
        yield [
            title,
            f"{found[name]['text_bytes'] / 1e6:,.0f} MB",
            f"{ours['megabytes_per_second']:.0f}",
            f"{bare['megabytes_per_second']:.0f}",
            f"{bare['speed_of_tokenmill']:.2f} x",
        ]


def growth_table(name: str, found: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of growth.json's "workers", "sizes" or "inputs"."""
    rows = found.get(name, [])
    if name == "workers":
        return ["workers", "MB/s of text", "of one worker"], [
            [str(row["workers"]), f"{speed(row):,.0f}", f"{speed(row) / speed(rows[0]):.2f}"]
            for row in rows
        ]
    if name == "sizes":
        return ["text, GB", "seconds", "MB/s of text", "peak memory, MB"], [
            [
                f"{row['text_bytes'] / 1e9:.1f}",
                f"{row['seconds']:.1f}",
                f"{speed(row):,.0f}",
                f"{row['peak_pss_bytes'] / 1e6:,.0f}",
            ]
            for row in rows
        ]
    return ["inputs of one line", "seconds", "ms an input"], [
        [f"{row['inputs']:,}", f"{row['seconds']:.2f}", f"{input_cost(row):.2f}"] for row in rows
    ]


def speed(row: dict[str, Any]) -> float:
    """MB/s of text."""
    return float(row["text_bytes"] / 1e6 / row["seconds"])


def input_cost(row: dict[str, Any]) -> float:
    """Milliseconds an input."""
    return float(row["seconds"] * 1e3 / row["inputs"])


def _growth_of(name: str) -> Callable[[dict[str, Any]], Iterator[list[str]]]:
    def rows(found: dict[str, Any]) -> Iterator[list[str]]:
        headings, rows = growth_table(name, found)
        yield headings
        yield from rows

    return rows


def _vocabulary(one: dict[str, Any]) -> str:
    return _VOCABULARIES.get(one["vocabulary"], one["vocabulary"])


_TABLES: dict[str, tuple[str, Callable[[dict[str, Any]], Iterator[list[str]]]]] = {
    "engine": ("engine_long", _engine),
    "repeated": ("engine", _repeated),
    "formats": ("formats", _formats),
    "workers": ("growth", _growth_of("workers")),
    "sizes": ("growth", _growth_of("sizes")),
    "inputs": ("growth", _growth_of("inputs")),
}


if __name__ == "__main__":
    sys.exit(main())
