"""What a build has to do: list the inputs, name them, leave out what is already committed."""

import os
import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.config import BuildConfig
from pipeline.output import files_of, list_files, read_receipts
from tokenizer import ConfigurationError
from transforms.filesystem import FoundFile, find_files, is_local
from transforms.reading import detect_format
from transforms.receipt import Receipt
from transforms.settings import WorkUnit, fingerprint_of

_WILDCARDS = "*?["


@dataclass(frozen=True)
class Plan:
    """A build's work, in the order of unit names.

    units: all of it. done: receipts of the units that need no work, by name: made with the same
      settings, from an input of the same size, and with all their files in place.
    stale: names of the units that have a receipt and need work all the same.
    settings: TokenizeSettings.described; fingerprint: over it.
    input_root: what unit names are relative to.
    """

    units: tuple[WorkUnit, ...]
    done: dict[str, Receipt]
    stale: tuple[str, ...]
    settings: dict[str, Any]
    fingerprint: str
    input_root: str

    @property
    def pending(self) -> tuple[WorkUnit, ...]:
        """The units still to do."""
        return tuple(unit for unit in self.units if unit.name not in self.done)


def make_plan(config: BuildConfig) -> Plan:
    """Lists the inputs and looks at what the output already holds. Starts nothing.

    Raises ConfigurationError when a pattern matches nothing, an input's format is unknown, or the
    output was made with other settings or inputs; MismatchError when a receipt there is broken.
    """
    root = config.input_root or common_root(config.inputs)
    files = _list_inputs(config.inputs)
    units = _name_units(files, root)
    if config.settings.read.input_format is None:
        for unit in units:
            detect_format(unit.path)
    settings = config.settings.described(config.settings.load_tokenizer())
    fingerprint = fingerprint_of(settings)
    found = {} if config.overwrite else list_files(config.output)
    receipts = read_receipts(config.output, found)
    _check_same_build(config.output, receipts, units, settings, fingerprint)
    sizes = {unit.name: unit.size_bytes for unit in units}
    done = {
        name: receipt
        for name, receipt in receipts.items()
        if receipt.input.bytes == sizes[name] and files_of(receipt).items() <= found.items()
    }
    stale = tuple(sorted(receipts.keys() - done.keys()))
    return Plan(units, done, stale, settings, fingerprint, root)


def common_root(patterns: Sequence[str]) -> str:
    """The deepest folder that every pattern lies in, wild cards not looked into.

    >>> common_root(["data/en/*.gz", "data/de/a-*.gz"])
    'data'
    >>> common_root(["gs://bucket/web/a.jsonl"])
    'gs://bucket/web'

    Raises ConfigurationError when there is none.
    """
    folders = []
    for pattern in patterns:
        literal = _absolute(pattern)
        for wildcard in _WILDCARDS:
            literal = literal.split(wildcard, 1)[0]
        folders.append(posixpath.dirname(literal).split("/"))
    shared: list[str] = []
    for parts in zip(*folders, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    root = "/".join(shared)
    if not root.strip("/:") and len(set(map(tuple, folders))) > 1:
        raise ConfigurationError(
            "the inputs share no folder to name them by: give one with --input-root, "
            "or make a build of each"
        )
    return _as_given(root, patterns)


def _absolute(pattern: str) -> str:
    return os.path.abspath(pattern).replace(os.sep, "/") if is_local(pattern) else pattern


def _as_given(root: str, patterns: Sequence[str]) -> str:
    """Keeps a relative root relative, for people to read; names do not depend on it."""
    if any(os.path.isabs(pattern) or not is_local(pattern) for pattern in patterns):
        return root or "/"
    return os.path.relpath(root).replace(os.sep, "/")


def _list_inputs(patterns: Sequence[str]) -> list[FoundFile]:
    found: dict[str, FoundFile] = {}
    for pattern in patterns:
        try:
            matched = find_files(pattern)
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"can not list the inputs: {error}") from error
        files = [file for file in matched if not os.path.isdir(file.path)]
        if not files:
            hint = f"it is a folder: try {pattern}/*" if matched else "check the path"
            raise ConfigurationError(f"--input {pattern} matches no file: {hint}")
        found.update((_absolute(file.path), file) for file in files)
    return list(found.values())


def _name_units(files: Iterable[FoundFile], root: str) -> tuple[WorkUnit, ...]:
    prefix = _absolute(root).rstrip("/") + "/"
    units = []
    for file in files:
        path = _absolute(file.path)
        if not path.startswith(prefix):
            raise ConfigurationError(f"--input-root {root}: {file.path} does not lie in it")
        units.append(WorkUnit(path.removeprefix(prefix), path, file.size_bytes))
    return tuple(sorted(units, key=lambda unit: unit.name))


def _check_same_build(
    output: str,
    receipts: dict[str, Receipt],
    units: Sequence[WorkUnit],
    settings: dict[str, Any],
    fingerprint: str,
) -> None:
    for name, receipt in receipts.items():
        if receipt.fingerprint != fingerprint:
            raise ConfigurationError(_explain(output, name, receipt.settings, settings))
    if strangers := sorted(receipts.keys() - {unit.name for unit in units}):
        raise ConfigurationError(
            f"{output} holds {len(strangers)} units that are not among the inputs, such as "
            f"{strangers[0]!r}: name all inputs of the build; if they now share another folder, "
            "name the old one with --input-root; to start over, say --overwrite"
        )


def _explain(output: str, unit: str, old: Any, new: dict[str, Any]) -> str:
    differences = [
        f"{key} was {old.get(key)!r} and is now {new.get(key)!r}"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ] or ["the format version"]
    return (
        f"{output} was built with other settings (seen in {unit}): {'; '.join(differences)}. "
        "Use the same settings, or another folder, or start over with --overwrite"
    )
