"""A quick share of `make torture`."""

import contextlib
import io

from torture import run_cases


def test_inputs_that_hurt_end_as_promised() -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        results = run_cases(quick=True)
    assert len(results) >= 8
    assert [name for name, outcome in results if not outcome.is_kept] == []
