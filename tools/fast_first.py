"""A plugin of pytest for tools/mutate.py: tests that took long come after all the others.

    first    a::one  0.01 s   b::two  0.02 s      most changes are noticed here, within seconds
    then     a::all  9.00 s   b::fuzz 4.00 s

Files stay together in both halves, so that what a module shares is made once in each. What the
tests took is kept in the file that $TOKENMILL_DURATIONS names; one not in it counts as fast.
"""

import json
import os
from pathlib import Path

import pytest

_SLOW_SECONDS = 0.3
_FILE = Path(os.environ.get("TOKENMILL_DURATIONS", ""))  # nowhere without it
_took: dict[str, float] = {}


def _known() -> dict[str, float]:
    return json.loads(_FILE.read_bytes() or b"{}") if _FILE.is_file() else {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    known = _known()
    items.sort(key=lambda item: known.get(item.nodeid, 0.0) > _SLOW_SECONDS)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" and report.passed:
        _took[report.nodeid] = report.duration


def pytest_sessionfinish() -> None:
    if not _FILE.name:
        return
    whole = json.dumps({**_known(), **_took})
    own = _FILE.with_name(f"{_FILE.name}.{os.getpid()}")
    own.write_text(whole, encoding="utf-8")
    own.replace(_FILE)  # another run may have written meanwhile: its figures are found again
