"""Single texts, from one byte to 100 KB, beside tiktoken: `python -m bench.short`.

Encode is str to ids (tokenmill gives an array, tiktoken a list), decode is ids to str, each from
what it gives itself. Ids are compared first. The contestants alternate in one process; a figure is
the fastest of the rounds, each of which takes about a hundredth of a second of processor time.
"""

import argparse
import sys
import tempfile
import time
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from bench.bare_tiktoken import load
from bench.corpus import TEXTS, batches_of, inputs_of
from bench.report import RESULTS, print_table, write_results
from bench.vocabulary import write_vocabulary
from tokenizer import Tokenizer

_LENGTHS = (1, 3, 11, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)
_ROUND_SECONDS = 0.01


def main() -> int:
    """The command; returns its exit code: 1 when tokenmill is slower anywhere."""
    options = _parser().parse_args()
    measured = []
    with tempfile.TemporaryDirectory(prefix="tokenmill-bench-") as folder:
        texts = {name: _text(name, Path(folder)) for name in options.texts}
        for vocabulary in options.vocabularies:
            tokenizer = Tokenizer.load(vocabulary)
            tiktoken = load(str(write_vocabulary(vocabulary, Path(folder))))
            for name, text in texts.items():
                for length in _LENGTHS:
                    part = text[: len(text.encode()[:length].decode(errors="ignore"))] or text[:1]
                    row = _measure(tokenizer, tiktoken, part, options.rounds)
                    measured.append({"vocabulary": vocabulary, "text": name, **row})
    headings = ["vocabulary", "text", "bytes", "ids"]
    for what in ("encode", "decode"):
        headings += [f"{what}, us", "tiktoken", "faster"]
    print_table(headings, [_row(row) for row in measured])
    write_results(options.results, "short", {"measurements": measured})
    return int(
        any(row[what][0] > row[what][1] for row in measured for what in ("encode", "decode"))
    )


def _text(name: str, folder: Path) -> str:
    inputs, _ = inputs_of(name, folder / "generated")
    texts = pa.chunked_array(batches_of(inputs, 2 << 20)).to_pylist()
    return "\n".join(texts).lstrip()[:200_000]


def _measure(tokenizer: Tokenizer, tiktoken: Any, text: str, rounds: int) -> dict[str, Any]:
    ids, listed = tokenizer.encode(text), tiktoken.encode_ordinary(text)
    if ids.tolist() != listed:
        raise SystemExit(f"ids of {text[:60]!r} differ: no speed is reported")
    if tokenizer.decode(listed) != text or tokenizer.decode(ids) != text:
        raise SystemExit(f"{text[:60]!r} is not what its ids are decoded to")
    return {
        "bytes": len(text.encode()),
        "ids": len(listed),
        "encode": _microseconds(
            rounds, lambda: tokenizer.encode(text), lambda: tiktoken.encode_ordinary(text)
        ),
        "decode": _microseconds(
            rounds, lambda: tokenizer.decode(ids), lambda: tiktoken.decode(listed)
        ),
        "decode_list": _microseconds(
            rounds, lambda: tokenizer.decode(listed), lambda: tiktoken.decode(listed)
        ),
    }


def _microseconds(rounds: int, *contestants: Callable[[], Any]) -> list[float]:
    """Of the processor, so that what else runs on the machine counts little."""
    clock = time.process_time
    times = [timeit.timeit(call, timer=clock, number=20) / 20 for call in contestants]
    for _ in range(rounds):
        for at, call in enumerate(contestants):
            number = max(1, int(_ROUND_SECONDS / times[at]))
            times[at] = min(times[at], timeit.timeit(call, timer=clock, number=number) / number)
    return [round(seconds * 1e6, 3) for seconds in times]


def _row(measured: dict[str, Any]) -> list[str]:
    row = [measured["vocabulary"], measured["text"], str(measured["bytes"]), str(measured["ids"])]
    for what in ("encode", "decode"):
        ours, theirs = measured[what]
        row += [f"{ours:.2f}", f"{theirs:.2f}", f"{theirs / ours:.2f} x"]
    return row


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.short", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    names = ["cl100k_base", "o200k_base"]
    add("--vocabularies", nargs="+", default=names, metavar="NAME", help="of tiktoken")
    add("--texts", nargs="+", default=list(TEXTS), choices=list(TEXTS))
    add("--rounds", type=int, default=5, metavar="N", help="default: 5")
    add("--results", type=Path, default=RESULTS, metavar="DIR", help="default: bench/results")
    return parser


if __name__ == "__main__":
    sys.exit(main())
