"""What a Beam runner reports of a failed worker, made readable.

A runner passes a worker's exception on as the text of its traceback, often several times over.
"""

import re

from tokenizer import errors

_LINE = re.compile(r"tokenizer\.errors\.(\w+): (.*?)(?: \[while running .*)?$", re.MULTILINE)


def summary(report: str) -> str:
    """The line that says what went wrong: the last one, without the name of the transform."""
    lines = report.strip().splitlines() or ["no reason given"]
    return lines[-1].partition(" [while running ")[0]


def known_error(report: str) -> errors.TokenmillError | None:
    """The last of our errors that a traceback's text names, as its own class; None without one."""
    found = None
    for name, message in _LINE.findall(report):
        kind = getattr(errors, name, None)
        if isinstance(kind, type) and issubclass(kind, errors.TokenmillError):
            found = kind.__new__(kind)
            Exception.__init__(found, message)
    return found
