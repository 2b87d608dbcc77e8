"""The texts that are measured: real web text where it is at hand, else generated.

Figures on generated text say nothing about real text; results name which it was.
"""

import glob
import json
import random
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from pydoc_data.topics import topics

import pyarrow as pa
import pyarrow.compute as pc
import zstandard

from bench.report import REPOSITORY

WEB = REPOSITORY.parent / "shared" / "data" / "web"

TEXTS = {"english": "en-*.jsonl.zst", "multilingual": "multi-*", "code": "code-*"}

_SEED = 20261122
_GENERATED_BYTES = 8 << 20  # of text, in each file
# Letters of scripts with one, two, three and four bytes a character, with spaces and without.
_SCRIPTS = (
    (range(0x61, 0x7B), " "),
    (range(0x430, 0x450), " "),
    (range(0x5D0, 0x5EB), " "),
    (range(0x628, 0x64B), " "),
    (range(0x905, 0x93A), " "),
    (range(0xE01, 0xE2F), ""),
    (range(0x3041, 0x3097), ""),
    (range(0x4E00, 0x5200), ""),
    (range(0xAC00, 0xAE00), " "),
    (range(0x1F300, 0x1F340), ""),
)


def inputs_of(text: str, folder: Path, pattern: str | None = None) -> tuple[list[Path], str]:
    """The input files of a text, and whether they are "web", "given" or "generated".

    pattern: a glob that overrides what is at hand. Generated ones are written to `folder`.
    Raises SystemExit when the pattern matches nothing.
    """
    if pattern is not None:
        found = [Path(path).resolve() for path in sorted(glob.glob(pattern, recursive=True))]
        if not found:
            raise SystemExit(f"--input {pattern} matches no file")
        return found, "given"
    found = sorted(WEB.glob(TEXTS[text]))
    if found:
        return found, "web"
    return _generate(text, folder), "generated"


def batches_of(paths: list[Path], max_bytes: int) -> list[pa.Array]:
    """The documents of the inputs, up to so many bytes of UTF-8, in the batches the job reads."""
    from transforms.reading import ReadSettings, open_reader

    batches = []
    for path in paths:
        with open_reader(str(path), ReadSettings()) as reader:
            for batch in reader:
                text = batch.documents.text
                ends = pc.cumulative_sum(pc.binary_length(text)).to_numpy()
                fits = int((ends <= max_bytes).sum())
                batches.append(text.slice(0, fits).cast(pa.large_string()))
                if fits < len(text):
                    return batches
                max_bytes -= int(ends[-1]) if fits else 0
    return batches


def _generate(text: str, folder: Path) -> list[Path]:
    """Writes a few JSONL.zst files; the same Python gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(2):
        random_source = random.Random(f"{_SEED} {text} {number}")
        lines = _lines(_MAKERS[text](random_source))
        path = folder / f"{text}-{number:05d}.jsonl.zst"
        path.write_bytes(zstandard.ZstdCompressor().compress("".join(lines).encode()))
        paths.append(path)
    return paths


def _lines(documents: Iterator[str]) -> Iterator[str]:
    size = 0
    while size < _GENERATED_BYTES:
        text = next(documents)
        size += len(text.encode())
        yield json.dumps({"text": text}, ensure_ascii=False) + "\n"


def _english(source: random.Random) -> Iterator[str]:
    """Paragraphs of Python's own documentation, mixed anew for each document."""
    paragraphs = [part for topic in sorted(topics) for part in topics[topic].split("\n\n") if part]
    while True:
        yield "\n\n".join(source.choices(paragraphs, k=source.randint(2, 12)))


def _multilingual(source: random.Random) -> Iterator[str]:
    """Made-up words in many scripts, a script a document, frequent words more often."""
    lexicons = [
        (["".join(map(chr, source.choices(letters, k=source.randint(1, 8)))) for _ in range(4000)])
        for letters, _ in _SCRIPTS
    ]
    weights = [1 / rank for rank in range(1, 4001)]
    while True:
        at = source.randrange(len(_SCRIPTS))
        yield _SCRIPTS[at][1].join(source.choices(lexicons[at], weights, k=400)) + ".\n"


def _code(source: random.Random) -> Iterator[str]:
    """Modules of the standard library, in any order."""
    modules = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    while True:
        yield source.choice(modules).read_text(encoding="utf-8")


_MAKERS: dict[str, Callable[[random.Random], Iterator[str]]] = {
    "english": _english,
    "multilingual": _multilingual,
    "code": _code,
}
