"""What somebody may have meant who mistyped a name."""

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message: the nearest name that there is; empty when none is near.

    >>> did_you_mean("--tokeniser", ["--output", "--tokenizer"]), did_you_mean("x", ["--output"])
    (': did you mean --tokenizer?', '')
    """
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f": did you mean {near[0]}?" if near else ""
