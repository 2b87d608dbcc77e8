"""Why units, workers and runners failed, made readable: one message a failure.

runs/<run>/failures/<unit>.json   a unit that failed on its content: the others were done
a traceback's text                a worker or a runner that could not go on at all
"""

import re
from dataclasses import dataclass

import pipeline.errors
import tokenizer.errors
import transforms.errors
from pipeline.errors import RunFailedError
from pipeline.terminal import escaped
from transforms.shards.build import Build
from transforms.shards.json_records import parse_record
from transforms.shards.layout import failures_folder

_MODULES = {
    module.__name__: module for module in (tokenizer.errors, transforms.errors, pipeline.errors)
}
_LINE = re.compile(
    r"((?:tokenizer|transforms|pipeline)\.errors)\.(\w+): (.*?)(?: \[while running .*)?$",
    re.MULTILINE,
)
_ERROR_LINE = re.compile(r"[A-Za-z_][\w.]*(: |$)")
_SHOWN = 10


@dataclass(frozen=True)
class UnitFailure:
    """What a worker wrote of a unit that it could not do.

    is_configuration: its content does not fit the settings: a column that is not there, say.
    """

    unit: str
    message: str
    trace: str
    is_configuration: bool


def unit_failures(build: Build) -> list[UnitFailure]:
    """The units of this run that failed, by name."""
    return [
        parse_record(build.read(path), UnitFailure, path, "it is of no use any more")
        for path in sorted(build.files_below(failures_folder(build.run)))
    ]


def raise_unit_failures(build: Build, units: int) -> None:
    """Raises where units of this run failed, naming each of them.

    Args:
        build: of which units were tried. units: how many.

    Raises:
        RunFailedError: some could not be done.
        ConfigurationError: not one could be done, because of the settings.
    """
    failures = unit_failures(build)
    if not failures:
        return
    if len(failures) == units and all(failure.is_configuration for failure in failures):
        more = f" (and so for all of the {units} units)" if units > 1 else ""
        raise tokenizer.errors.ConfigurationError(escaped(failures[0].message) + more)
    lines = [f"  {escaped(failure.message)}" for failure in failures[:_SHOWN]]
    if len(failures) > _SHOWN:
        lines.append(f"  ... and {len(failures) - _SHOWN} more")
    raise RunFailedError(
        f"{len(failures)} of {units} units could not be done; the others are committed, and the "
        f"same command will try these alone. Tracebacks are in "
        f"{build.path(failures_folder(build.run))}\n" + "\n".join(lines)
    )


def summary(report: str) -> str:
    """The line that says what went wrong: the last error, without the name of the transform.

    >>> summary("Traceback ...\\nOSError: no space [while running 'RunUnit']\\nafter record 3:\\n")
    'OSError: no space'
    """
    lines = report.strip().splitlines() or ["no reason given"]
    errors = [line for line in lines if _ERROR_LINE.match(line)]  # notes stand behind an error
    return (errors or lines)[-1].partition(" [while running ")[0]


def known_error(report: str) -> tokenizer.errors.TokenmillError | None:
    """The last of our errors that a traceback's text names, as its own class; None without one."""
    found = None
    for module, name, message in _LINE.findall(report):
        kind = getattr(_MODULES[module], name, None)
        if isinstance(kind, type) and issubclass(kind, tokenizer.errors.TokenmillError):
            found = kind.__new__(kind)
            Exception.__init__(found, message)
            if isinstance(found, tokenizer.errors.ConfigurationError):
                found.setting = None
    return found
