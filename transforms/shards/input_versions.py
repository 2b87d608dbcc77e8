"""Which version of each input a run was to read: how a replaced input is seen on resuming.

A receipt can not hold it: modification times and ETags are not reproducible. So each run notes them
in its own folder, and the last run that was to read an input tells what its unit was made of.
"""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from transforms.errors import MismatchError
from transforms.passes.work_pass import WorkUnit
from transforms.shards.build import Build
from transforms.shards.json_records import FORMAT, canonical_json, parse_record
from transforms.shards.layout import RUNS, input_versions_path, round_of_input_versions


@dataclass(frozen=True, slots=True)
class _Versions:
    versions: Mapping[str, str]


def note_input_versions(build: Build, units: Sequence[WorkUnit]) -> None:
    """Notes the inputs that this run is to read. To be called before any of them is read."""
    write_input_versions(build, {unit.name: unit.version for unit in units if unit.version})


def write_input_versions(build: Build, versions: Mapping[str, str], round_number: int = 0) -> None:
    """Writes the versions of units, by name, in place of all that this run or round noted."""
    content = canonical_json({"format": FORMAT, "versions": dict(versions)})
    build.write(input_versions_path(build.run, round_number), content)


def fold_input_versions(build: Build, units: Iterable[str]) -> None:
    """Puts what all runs noted of these units into one file, of this run; the others go.

    To be called when the build is complete, so that `runs/` does not grow with every run.
    """
    known = known_input_versions(build)
    write_input_versions(build, {name: known[name] for name in units if name in known})
    own = input_versions_path(build.run)
    earlier = [path for path in _noted(build) if path != own]
    build.delete(earlier)


def known_input_versions(build: Build) -> dict[str, str]:
    """The version of each input that a run noted, by unit; of several runs, the latest's."""
    known: dict[str, str] = {}
    for path in _noted(build):
        with contextlib.suppress(MismatchError):  # it died while it wrote this: it has read nothing
            known.update(parse_record(build.read(path), _Versions, path, "").versions)
    return known


def _noted(build: Build) -> list[str]:
    """What the runs noted, the earliest first."""
    found = {path: round_of_input_versions(path) for path in build.files_below(RUNS)}
    at = {path: run_and_round for path, run_and_round in found.items() if run_and_round}
    return sorted(at, key=lambda path: at[path])
