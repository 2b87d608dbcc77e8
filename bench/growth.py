"""How cost grows: `python -m bench.growth FOLDER`.

    1 and 2 workers on 1 GB of text        speed
    0.1, 1 and 10 GB, 2 workers            speed, and the peak memory of all processes
    10 to 100,000 inputs of one line       time an input

FOLDER is what `python -m bench.debian FOLDER` made: some 22 MB of text a file, named several times
for what is larger than all of it. Whole commands, start-up and all checks included; memory has a
run of its own, since looking at it costs time. Writes growth.json and a plot of it, growth.svg.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from bench.formats import inputs_in
from bench.processes import peak_pss_bytes, wall_seconds
from bench.readme import growth_table, input_cost, speed
from bench.report import RESULTS, print_table, write_results
from bench.whole_job import output_folder

_FILE_MEGABYTES = 22
_STRIDE = 7  # through the files: with a few of them all kinds of text are met
_SMALL_INPUT = json.dumps({"id": "0", "text": "A small document. " * 20}) + "\n"


def main() -> int:
    """The command; returns its exit code."""
    options = _parser().parse_args()
    found: dict[str, Any] = {"tokenizer": "cl100k_base"}
    with tempfile.TemporaryDirectory(prefix="tokenmill-bench-", dir=options.scratch) as folder:
        place = Path(folder)
        given = sorted(inputs_in(options.folder, "zst").iterdir())
        texts = {size: _texts(given, size, place) for size in options.gigabytes}
        if 1.0 in texts:
            found["workers"] = [
                _timed(texts[1.0], place, workers, options.rounds) for workers in (1, 2)
            ]
        found["sizes"] = [
            {**_timed(inputs, place, 2, options.rounds), "peak_pss_bytes": _peak(inputs, place)}
            for inputs in texts.values()
        ]
        found["inputs"] = [
            _timed(_small_inputs(count, place), place, 2, options.rounds if count <= 1000 else 1)
            for count in options.inputs
        ]
    for name in ("workers", "sizes", "inputs"):
        print_table(*growth_table(name, found))
    write_results(options.results, "growth", found)
    _plot(found, options.results / "growth.svg")
    return 0


def _texts(given: Sequence[Path], gigabytes: float, place: Path) -> Path:
    """A folder that names files of about so much text, spread over all that there are."""
    count = max(1, round(gigabytes * 1000 / _FILE_MEGABYTES))
    folder = place / f"text-{gigabytes}"
    folder.mkdir()
    for number in range(count):
        path = given[number * _STRIDE % len(given)]
        (folder / f"{number:04d}-{path.name}").symlink_to(path)
    return folder


def _small_inputs(count: int, place: Path) -> Path:
    folder = place / f"inputs-{count}"
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:06d}.jsonl").write_text(_SMALL_INPUT, encoding="utf-8")
    return folder


def _timed(inputs: Path, place: Path, workers: int, rounds: int) -> dict[str, Any]:
    """Median wall time of the whole command, and what it read."""
    seconds = []
    for _ in range(rounds):
        with output_folder(place) as output:
            seconds.append(wall_seconds(_command(inputs, output, workers)))
            totals = json.loads((output / "manifest.json").read_bytes())["totals"]
    print(f"{inputs.name}, {workers} workers: {median(seconds):.2f} s", flush=True)
    return {
        "inputs": totals["inputs"],
        "text_bytes": totals["text_bytes"],
        "workers": workers,
        "rounds": rounds,
        "seconds": round(median(seconds), 3),
    }


def _peak(inputs: Path, place: Path) -> int:
    with output_folder(place) as output:
        return peak_pss_bytes(_command(inputs, output, 2))


def _command(inputs: Path, output: Path, workers: int) -> list[str]:
    command = [sys.executable, "-m", "pipeline", "build", "--input", f"{inputs}/*", "--output"]
    return [*command, str(output), "--workers", str(workers)]


def _plot(found: dict[str, Any], path: Path) -> None:
    from matplotlib import pyplot

    figure, (sizes, inputs) = pyplot.subplots(1, 2, figsize=(9, 3), layout="constrained")
    gigabytes = [row["text_bytes"] / 1e9 for row in found["sizes"]]
    sizes.plot(gigabytes, [speed(row) for row in found["sizes"]], "o-", label="MB/s of text")
    memory = [row["peak_pss_bytes"] / 1e6 for row in found["sizes"]]
    sizes.plot(gigabytes, memory, "s-", label="peak memory, MB")
    sizes.set(xscale="log", xlabel="GB of text, 2 workers", ylim=0)
    sizes.legend()
    counts = [row["inputs"] for row in found["inputs"]]
    inputs.plot(counts, [input_cost(row) for row in found["inputs"]], "o-")
    inputs.set(xscale="log", yscale="log", xlabel="inputs of one line", ylabel="ms an input")
    for axes in (sizes, inputs):
        axes.grid(alpha=0.3)
    figure.savefig(path, metadata={"Date": None})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("folder", type=Path, help="what `python -m bench.debian` made")
    add("--gigabytes", type=float, nargs="+", default=[0.1, 1.0, 10.0], metavar="GB")
    add("--inputs", type=int, nargs="+", default=[10, 100, 1000, 10_000, 100_000], metavar="N")
    add("--rounds", type=int, default=3, metavar="N", help="default: 3; 1 above 1,000 inputs")
    add("--scratch", type=Path, metavar="DIR", help="has room for 1.5 bytes a byte of text")
    add("--results", type=Path, default=RESULTS, metavar="DIR", help="default: bench/results")
    return parser


if __name__ == "__main__":
    sys.exit(main())
