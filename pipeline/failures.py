"""Why units, workers and runners failed, made readable: one message a failure.

runs/<run>/failures/<unit>.json   a unit that failed on its content: the others were done
a traceback's text                a worker or a runner that could not go on at all
"""

import re
from collections.abc import Sequence

import pipeline.errors
import tokenizer.errors
import transforms.errors
from pipeline.errors import RunFailedError
from pipeline.quantities import counted
from pipeline.terminal import escaped
from transforms.shards.build import Build
from transforms.shards.layout import RECEIPTS, failures_folder, receipt_path
from transforms.shards.unit_records import UnitFailure

_MODULES = {
    module.__name__: module for module in (tokenizer.errors, transforms.errors, pipeline.errors)
}
_LINE = re.compile(
    r"((?:tokenizer|transforms|pipeline)\.errors)\.(\w+): (.*?)(?: \[while running .*)?$",
    re.MULTILINE,
)
_ERROR_LINE = re.compile(r"[A-Za-z_][\w.]*(: |$)")
_JAVA_CAUSE = "Caused by: "
_SHOWN = 10


def raise_unit_failures(build: Build, units: Sequence[str]) -> None:
    """Raises where units of this run were not done, saying why of each.

    A unit that failed once and was done by another attempt is done. What a worker that could not
    begin wrote is told only where units are missing.

    Args:
        build: of which units were tried. units: their names.

    Raises:
        RunFailedError: some could not be done.
        ConfigurationError: not one could be done, because of the settings.
    """
    failures = [
        UnitFailure.from_json(build.read(path), path)
        for path in sorted(build.files_below(failures_folder(build.run)))
    ]
    if not failures:
        return
    receipts = build.files_below(RECEIPTS)
    missing = {unit for unit in units if receipt_path(unit) not in receipts}
    told = [failure for failure in failures if failure.unit in missing]
    told += [failure for failure in failures if failure.unit is None and missing]
    if not told:
        return
    if len(told) == len(units) and all(failure.is_configuration for failure in told):
        more = f" (and so for all of the {len(units)} units)" if len(units) > 1 else ""
        raise tokenizer.errors.ConfigurationError(escaped(told[0].message) + more)
    lines = [f"  {escaped(failure.message)}" for failure in told[:_SHOWN]]
    if len(told) > _SHOWN:
        lines.append(f"  ... and {len(told) - _SHOWN} more")
    raise RunFailedError(
        f"{len(told)} of {counted(len(units), 'unit')} could not be done; the others are "
        f"committed, and the same command will try these alone. Tracebacks are in "
        f"{build.path(failures_folder(build.run))}\n" + "\n".join(lines)
    )


def summary(report: str) -> str:
    """The line that says what went wrong: the last error, without the name of the transform.

    >>> summary("Traceback ...\\nOSError: no space [while running 'RunUnit']\\nafter record 3:\\n")
    'OSError: no space'
    >>> summary("Job 7 failed\\n\\tat Y.z\\nCaused by: java.io.IOException: full\\n\\t... 9 more")
    'java.io.IOException: full'
    """
    lines = report.strip().splitlines() or ["no reason given"]
    errors = [line for line in lines if _ERROR_LINE.match(line)]  # notes stand after an error
    causes = [line.removeprefix(_JAVA_CAUSE) for line in lines if line.startswith(_JAVA_CAUSE)]
    return (errors or causes or lines)[-1].partition(" [while running ")[0]


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
