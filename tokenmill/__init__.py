"""tokenmill: compressed web text in, sharded token-ID arrays out.

    import tokenmill

    result = tokenmill.build("web/*.jsonl.zst", "shards", tokenizer="cl100k_base")
    result.totals.tokens                      # what was written; result.is_complete: and complete
    tokenmill.verify("shards").is_sound
    corpus = tokenmill.open("shards")
    corpus[0].tokens, corpus[0].id            # memory-mapped ids, and where they come from
    for input, target in corpus.batches(sequence_length=1024, batch_size=8, seed=1): ...
    tokenmill.export("shards", "train", format="megatron")
    tokenmill.Tokenizer.load("o200k_base").encode("Hello world")

`ApplyMergeRules`, `TokenizeShards` and `TokenizeWindows` are transforms for Apache Beam pipelines;
`commit` makes a version of what these have written. Everything is loaded when it is first asked
for: `import tokenmill` itself imports nothing else of ours.

`pipeline`, `transforms` and `tokenizer`, where all of it is, are common names. Whether they are
ours is asked before any of them is imported: an import that finds another distribution's package
fails with a riddle.
"""

from __future__ import annotations

# Little is imported before `main` answers interrupts: typing alone would take 10 ms.
import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from pipeline.calls import build, export, open, verify
    from pipeline.commits import commit
    from pipeline.export_report import ExportResult
    from pipeline.report import BuildResult
    from pipeline.verify_result import VerifyExportResult, VerifyResult
    from tokenizer import ConfigurationError, Tokenizer, TokenmillError
    from transforms.apply_merge_rules import ApplyMergeRules
    from transforms.loading.batches import Batches
    from transforms.loading.samples import Batch, Samples
    from transforms.shards.corpus import Corpus, CorpusDocument
    from transforms.tokenize_shards import TokenizeShards
    from transforms.tokenize_windows import TokenizeWindows

    __version__: str

__all__ = [
    "ApplyMergeRules",
    "Batch",
    "Batches",
    "BuildResult",
    "ConfigurationError",
    "Corpus",
    "CorpusDocument",
    "ExportResult",
    "Samples",
    "TokenizeShards",
    "TokenizeWindows",
    "Tokenizer",
    "TokenmillError",
    "VerifyExportResult",
    "VerifyResult",
    "__version__",
    "build",
    "commit",
    "export",
    "open",
    "verify",
]

_MODULES = {
    "ApplyMergeRules": "transforms.apply_merge_rules",
    "Batch": "transforms.loading.samples",
    "Batches": "transforms.loading.batches",
    "BuildResult": "pipeline.report",
    "ConfigurationError": "tokenizer",
    "Corpus": "transforms.shards.corpus",
    "CorpusDocument": "transforms.shards.corpus",
    "ExportResult": "pipeline.export_report",
    "Samples": "transforms.loading.samples",
    "TokenizeShards": "transforms.tokenize_shards",
    "TokenizeWindows": "transforms.tokenize_windows",
    "Tokenizer": "tokenizer",
    "TokenmillError": "tokenizer",
    "VerifyExportResult": "pipeline.verify_result",
    "VerifyResult": "pipeline.verify_result",
    "build": "pipeline.calls",
    "commit": "pipeline.commits",
    "export": "pipeline.calls",
    "open": "pipeline.calls",
    "verify": "pipeline.calls",
}
# A module that only our package of that name has.
_MARKS = {"pipeline": "cli.py", "transforms": "tokenize_shards.py", "tokenizer": "vocabulary.py"}


def __getattr__(name: str) -> Any:
    """What is public, when it is first asked for. Raises ImportError when a package is not ours."""
    if name == "__version__":
        from importlib import metadata

        return metadata.version("tokenmill")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if message := foreign_package():
        raise ImportError(message)
    import importlib

    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "main"]


def foreign_package() -> str | None:
    """A message about the first package that is not tokenmill's, or None when all are."""
    from importlib.util import find_spec

    for name, mark in _MARKS.items():
        spec = find_spec(name)
        places = list(spec.submodule_search_locations or []) if spec else []
        if not any(os.path.isfile(os.path.join(place, mark)) for place in places):
            where = (spec.origin or places) if spec else "nowhere"
            return (
                f"the Python package `{name}` is not tokenmill's: it comes from {where}. "
                "Rename that file or folder if it is yours; if another distribution brought it, "
                "install tokenmill in a virtual environment of its own"
            )
    return None


def main() -> NoReturn:
    """Runs the command line of pipeline/cli.py and ends the process; 2 when a package is not ours.

    Ends it at once: taking Beam's modules apart again, as Python does on its way out, takes 0.3 s.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # While modules are imported nothing is under way yet; pipeline/cli.py takes this back.
        signal.signal(signal.SIGINT, _end_at_once)
    if message := foreign_package():
        print(f"tokenmill: {message}", file=sys.stderr)
        sys.exit(2)
    from pipeline.cli import main as command_line
    from pipeline.runners.fork_server import remove_socket

    code: Any
    try:
        code = command_line()
    except SystemExit as error:  # argparse: --help, or wrong usage
        code = error.code if isinstance(error.code, int) else 1
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # `tokenmill build --help | head -1`
        pass
    except (OSError, ValueError):
        code = code or 1
    remove_socket()
    os._exit(code)


def _end_at_once(*_: Any) -> NoReturn:
    os.write(2, b"tokenmill: interrupted before anything was done\n")
    os._exit(1)
