"""The mark: the small file that says whose a folder is. Without it, a folder is not ours.

new or empty folder     the mark is written, before anything else
our mark, our settings  the build goes on
our mark, other settings   refused, and the setting that differs is named
anything else           refused by name: nothing in it is touched
"""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from tokenizer.errors import ConfigurationError
from transforms.errors import MismatchError
from transforms.filesystem import create_exclusive, list_files, naming_place
from transforms.shards.build import Build
from transforms.shards.json_records import (
    FORMAT,
    Sha256,
    canonical_json,
    check_settings,
    is_export,
    parse_record,
)
from transforms.shards.layout import MARK

_REMEDY = "name another folder, or remove this one yourself"


@dataclass(frozen=True, slots=True)
class Mark:
    """What a build is: its settings and the fingerprint over them."""

    fingerprint: Sha256
    settings: Mapping[str, Any]

    def to_json(self) -> bytes:
        """Canonical JSON."""
        return canonical_json({"format": FORMAT, **asdict(self)})


def read_mark(build: Build) -> Mark | None:
    """The mark of a folder; None where there is none.

    Raises:
        ConfigurationError: a file of that name is no mark of this format.
    """
    if not build.exists(MARK):
        return None
    try:
        mark = parse_record(build.read(MARK), Mark, build.path(MARK), _REMEDY)
        check_settings(mark.settings, build.path(MARK), _REMEDY)
        return mark
    except MismatchError as error:
        raise ConfigurationError(str(error)) from error


def check_free(build: Build) -> None:
    """Makes sure that a folder without a mark holds nothing.

    Raises:
        ConfigurationError: naming what lies there.
    """
    if build.is_local:
        if os.path.lexists(build.root) and not os.path.isdir(build.root):
            raise ConfigurationError(f"{build.root} is a file: name a folder", setting="output")
        names = os.listdir(build.root) if os.path.isdir(build.root) else []
        # What a run that died while it wrote the mark has left.
        found = sorted(name for name in names if not name.startswith((f"{MARK}.", f".{MARK}.")))
    else:
        found = [file.path for file in islice(list_files(build.root), 1)]
    if found:
        raise ConfigurationError(
            f"{build.root} holds files that are of no build, such as {found[0]!r}: {_REMEDY}",
            setting="output",
        )


def settle(build: Build, mark: Mark) -> None:
    """Makes the folder that of a build, or makes sure that it is. Many may do so at once.

    Raises:
        ConfigurationError: the folder is another build's, or holds other files.
    """
    found = read_mark(build)
    if found is None:
        try:
            check_free(build)
        except ConfigurationError:
            if read_mark(build) is None:  # else somebody has marked it in this moment
                raise
        with naming_place(build.path(MARK)):
            is_new = create_exclusive(build.path(MARK), mark.to_json())
        if not is_new:
            found = read_mark(build)
    if found is not None and found.fingerprint != mark.fingerprint:
        raise ConfigurationError(explain_difference(build, found.settings, mark.settings))


def explain_difference(build: Build, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Which settings of a build are not those that are asked for."""
    before, after = _flat(old), _flat(new)
    differences = [
        f"{key} was {before.get(key)!r} and is now {after.get(key)!r}"
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    ] or ["the format version"]
    overwrite = "" if is_export(new) else ", or start over with overwrite"
    return (
        f"{build.root} was built with other settings: {'; '.join(differences)}. "
        f"Use the same settings, or another folder{overwrite}"
    )


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
