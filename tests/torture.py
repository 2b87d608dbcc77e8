"""Inputs that hurt, one after the other, as a table: what happened, what was lost, at what cost.

    python tests/torture.py              what `make torture` runs, for docs/reliability.md
    python tests/torture.py --quick      smaller, as `make test` does it (tests/test_torture.py)

A case makes its input, runs the command in a process of its own, whose memory and time are
measured, and says whether what came out is what is promised.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torture_damage  # noqa: F401
import torture_faults  # noqa: F401
import torture_limits  # noqa: F401
from torture_harness import (
    CASES,
    REPOSITORY,
    Outcome,
)


def run_cases(*, quick: bool, only: str = "") -> list[tuple[str, Outcome]]:
    """All cases, or the quick share of them, each in a folder of its own."""
    results = []
    for name, is_quick, function in CASES:
        if (quick and not is_quick) or only not in name:
            continue
        with tempfile.TemporaryDirectory(prefix="tokenmill-torture-") as folder:
            outcome = function(Path(folder), quick)
        print(f"{'ok' if outcome.is_kept else 'NOT AS PROMISED':15} {name}: {outcome.happened}")
        sys.stdout.flush()
        results.append((name, outcome))
    return results


HEADER = [
    "| input | as promised | what happened | lost | peak memory, MB | seconds |",
    "| --- | --- | --- | --- | ---: | ---: |",
]


def table(results: Sequence[tuple[str, Outcome]], before: str = "") -> str:
    """The results as Markdown. before: an earlier table, whose other lines are kept."""
    lines = []
    for name, outcome in results:
        happened = outcome.happened.replace("|", "\\|")
        lines.append(
            f"| {name} | {'yes' if outcome.is_kept else '**no**'} | {happened} | {outcome.lost} "
            f"| {outcome.ran.peak_bytes / 1e6:,.0f} | {outcome.ran.seconds:,.1f} |"
        )
    by_name = {line.split(" | ")[0]: line for line in [*before.splitlines()[2:], *lines]}
    names = [f"| {name}" for name, _, _ in CASES]
    return "\n".join([*HEADER, *(by_name[name] for name in names if name in by_name)])


def main() -> int:
    parser = argparse.ArgumentParser(description="Inputs that hurt, as a table")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases whose name holds it")
    options = parser.parse_args()
    results = run_cases(quick=options.quick, only=options.only)
    print(table(results))
    if not options.quick:
        sys.path.insert(0, str(REPOSITORY))
        from tools.mutate import section, write_section

        write_section("torture", table(results, section("torture")))
    return 0 if all(outcome.is_kept for _, outcome in results) else 1


if __name__ == "__main__":
    sys.exit(main())
