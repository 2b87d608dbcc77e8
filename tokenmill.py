"""The command's entry point, under a name that is ours alone.

`pipeline`, `transforms` and `tokenizer` are common names. Whether they are ours is asked before
any of them is imported: an import that finds another distribution's package fails with a riddle.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

# A module that only our package of that name has.
_MARKS = {"pipeline": "cli.py", "transforms": "tokenize_shards.py", "tokenizer": "vocabulary.py"}


def foreign_package() -> str | None:
    """A message about the first package that is not tokenmill's, or None when all are."""
    for name, mark in _MARKS.items():
        spec = find_spec(name)
        places = list(spec.submodule_search_locations or []) if spec else []
        if not any((Path(place) / mark).is_file() for place in places):
            where = (spec.origin or places) if spec else "nowhere"
            return (
                f"the Python package `{name}` is not tokenmill's: it comes from {where}. "
                "Install tokenmill in a virtual environment of its own, without that distribution"
            )
    return None


def main() -> NoReturn:
    """Runs the command line of pipeline/cli.py and ends the process; 2 when a package is not ours.

    Ends it at once: taking Beam's modules apart again, as Python does on its way out, takes 0.3 s.
    """
    if message := foreign_package():
        print(f"tokenmill: {message}", file=sys.stderr)
        sys.exit(2)
    from pipeline.cli import main as command_line

    code = command_line()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
