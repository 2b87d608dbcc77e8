"""`python -m pipeline.first_batch BUILD EXPORT`: what a training loop gets first, for people.

sample 157, of functions
  input    │ def│ f│(a│,│ L│=│[]│):
  target   │ f│(a│,│ L│=│[]│):│\\n
"""

import sys
from collections.abc import Iterator

from pipeline.calls import open as open_corpus
from pipeline.terminal import escaped, show
from pipeline.token_text import SEPARATOR, token_texts
from pipeline.tokenizers import tokenizer_of
from tokenizer import Tokenizer
from transforms.loading.samples import Batch
from transforms.shards.build import Build
from transforms.shards.corpus import Corpus

_SAMPLES, _LENGTH = 4, 12


def first_batch(build: str, export: str) -> str:
    """The first shuffled batch of an export, decoded; several lines.

    Args:
        build: which knows the vocabulary. export: that was made of it.

    Raises:
        ConfigurationError, MismatchError: as `tokenmill.open`.
    """
    source, corpus = Build.at(build), open_corpus(export)
    tokenizer = tokenizer_of(source, source.manifest(), None)
    batch = next(iter(corpus.batches(_LENGTH, _SAMPLES, seed=1)))
    head = f"first batch of {escaped(export)}: input and target, {batch.input.dtype}"
    lines = [f"{head}[{_SAMPLES}, {_LENGTH}] each"]
    for row in range(_SAMPLES):
        lines += _row(corpus, tokenizer, batch, row)
    return "\n".join(lines)


def _row(corpus: Corpus, tokenizer: Tokenizer, batch: Batch, row: int) -> Iterator[str]:
    first = int(batch.segment_ids[row, 0])
    document = corpus[int(batch.documents[first])]
    yield f"sample {batch.samples[row]:,}, of {escaped(document.id or document.unit)}"
    for name, ids in (("input", batch.input[row]), ("target", batch.target[row])):
        yield f"  {name:<7}{SEPARATOR}{SEPARATOR.join(token_texts(tokenizer, ids))}"


def main() -> int:
    """The command; returns its exit code."""
    if len(sys.argv) != 3 or sys.argv[1].startswith("-"):
        print("usage: python -m pipeline.first_batch BUILD EXPORT", file=sys.stderr)
        return 2
    show(first_batch(*sys.argv[1:]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
