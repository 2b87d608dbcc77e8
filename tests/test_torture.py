"""A quick share of `make torture`."""

import contextlib
import io

import pytest
from torture import run_cases
from torture_harness import CASES

QUICK = [name for name, is_quick, _ in CASES if is_quick]


def test_there_is_a_quick_share() -> None:
    assert len(QUICK) >= 8


@pytest.mark.parametrize("name", QUICK)
def test_an_input_that_hurts_ends_as_promised(name: str) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        ((_, outcome),) = run_cases(quick=True, only=name)
    assert outcome.is_kept, outcome.happened
