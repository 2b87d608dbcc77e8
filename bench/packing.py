"""How documents become sequences, three ways: `python -m bench.packing`.

    inputs ─► tokenmill build ─► lengths of documents ─┬─► concat       joined and cut
                                                       ├─► first-fit    each where it first fits
                                                       └─► best-fit     what tokenmill does

Nothing is timed: sequences, padding and cut documents follow from the lengths alone. That OLMo-core
needs no fewer sequences for the same documents is checked by `make test-readers`.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.corpus import inputs_of
from bench.report import RESULTS, print_table, write_results
from transforms.exports.packing import pack_best_fit

_LENGTHS = (2048, 4096, 8192, 32768)

Ints = npt.NDArray[np.int64]


def concat(lengths: Ints, size: int) -> tuple[int, int]:
    """Sequences, the last one padded, and documents that are cut."""
    ends = np.cumsum(lengths)
    is_cut = (ends - lengths) // size != (ends - 1) // size
    return -(-int(ends[-1]) // size), int(is_cut.sum())


def first_fit(lengths: Ints, size: int) -> tuple[int, int]:
    """The same, documents in their order, each into the first sequence with room for it."""
    rooms = np.zeros(len(lengths) + int((lengths // size).sum()), np.int64)
    count = 0
    for length in lengths.tolist():
        for piece in [size] * (length // size) + ([length % size] if length % size else []):
            fits = rooms[:count] >= piece
            at = int(fits.argmax()) if count else 0
            if not count or not fits[at]:
                at, rooms[count] = count, size
                count += 1
            rooms[at] -= piece
    return count, int((lengths > size).sum())


def best_fit(lengths: Ints, size: int) -> tuple[int, int]:
    """The same, as an export does it."""
    return pack_best_fit(lengths, size).sequences, int((lengths > size).sum())


_WAYS = {"concat": concat, "first-fit": first_fit, "best-fit": best_fit}


def main() -> int:
    """The command; returns its exit code."""
    options = _parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="tokenmill-bench-") as folder:
        inputs, source = inputs_of("english", Path(folder) / "generated", options.input)
        lengths = _lengths_of(inputs, Path(folder) / "build")
    results = [_compare(lengths, size) for size in _LENGTHS]
    if options.save:
        about = {"source": source, "documents": len(lengths), "tokens": int(lengths.sum())}
        write_results(options.results, "packing", {"inputs": about, "results": results})
    return 0


def _lengths_of(inputs: list[Path], build: Path) -> Ints:
    import tokenmill

    tokenmill.build([str(path) for path in inputs], build, tokenizer="gpt2")
    corpus = tokenmill.open(build)
    return np.array([len(document.tokens) for document in corpus], np.int64)


def _compare(lengths: Ints, size: int) -> dict[str, Any]:
    tokens = int(lengths.sum())
    found = {}
    for name, pack in _WAYS.items():
        sequences, cut = pack(lengths, size)
        padding = 1 - tokens / (sequences * size)
        found[name] = {"sequences": sequences, "padding": round(padding, 6), "cut": cut}
    print_table(
        [f"length {size:,}", "sequences", "padding", "documents cut", "of all"],
        [
            [
                name,
                f"{one['sequences']:,}",
                f"{one['padding']:.3%}",
                f"{one['cut']:,}",
                f"{one['cut'] / len(lengths):.1%}",
            ]
            for name, one in found.items()
        ],
    )
    return {"length": size, "packings": found}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--input", metavar="GLOB", help=".jsonl.zst; default: what is at hand")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR")
    parser.add_argument("--save", action="store_true", help="write packing.json")
    return parser


if __name__ == "__main__":
    sys.exit(main())
