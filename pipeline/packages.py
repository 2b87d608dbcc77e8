"""Finds out whether `pipeline`, `transforms` and `tokenizer` all come from this distribution.

Their names are common: another distribution may install a package of the same name over ours, or
earlier on the path. Imports nothing of them, so that it can speak before an import fails.
"""

from importlib.util import find_spec
from pathlib import Path

_PACKAGES = ("pipeline", "transforms", "tokenizer")
_OURS = {"pipeline": "cli.py", "transforms": "tokenize_shards.py", "tokenizer": "vocabulary.py"}


def foreign_package() -> str | None:
    """A message about the first package that is not ours, or None when all are."""
    for name in _PACKAGES:
        spec = find_spec(name)
        places = list(spec.submodule_search_locations or []) if spec else []
        if not any((Path(place) / _OURS[name]).is_file() for place in places):
            where = (spec.origin or places) if spec else "nowhere"
            return (
                f"the Python package `{name}` is not tokenmill's: it comes from {where}. "
                "Install tokenmill in a virtual environment of its own, without that distribution"
            )
    return None
