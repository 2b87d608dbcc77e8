"""The inputs of a build: listed, named, and none of them in the output."""

import os
import posixpath
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tokenizer import ConfigurationError
from transforms.filesystem import FoundFile, find_files, is_local, look_up
from transforms.passes.unit_parts import split_unit
from transforms.passes.work_pass import WorkUnit
from transforms.reading import ReadSettings, detect_format
from transforms.shards.layout import RUNS, UNIT_FOLDERS, VERSIONS, examples
from transforms.shards.unit_names import unit_name
from transforms.stores.patterns import compile_pattern

_WILDCARDS = "*?["
_File = TypeVar("_File", FoundFile, WorkUnit)
_READERS = 16  # of large inputs at a time, where each look is a request to a store


def list_units(
    patterns: Sequence[str], root: str, output: str, read: ReadSettings
) -> tuple[WorkUnit, ...]:
    """The inputs of a build, a unit each, in the order of their names.

    Args:
        patterns: paths or glob patterns. A path that names a file is taken as it is, brackets or
            not. root: what units are named relative to.
        output: the build's folder: no input may lie in it, and nothing it writes may match.
        read: how inputs are read; their format must be known.

    Raises:
        ConfigurationError: a pattern matches nothing, or something that is no regular file; an
            input's format is unknown; input and output overlap.
    """
    files = _list_files(patterns)
    check_apart(patterns, files, output)
    units = _name_units(files, root)
    if read.input_format is None:
        for unit in units:
            detect_format(unit.path)
    return units


def list_arrived(
    patterns: Sequence[str], root: str, on_lost: Callable[[OSError], None]
) -> tuple[WorkUnit, ...]:
    """What is there now of inputs that are still to come, in the order of their names.

    That nothing is there is no error, and what is no regular file is passed over.

    Args:
        patterns, root: as for list_units.
        on_lost: called for each file that is there and can not be looked up, as a link to nothing.

    Raises:
        ConfigurationError: a pattern is a folder, or can not be.
        OSError: a folder can not be listed, or the store does not answer.
    """
    found: dict[str, FoundFile] = {}
    for pattern in patterns:
        if is_local(pattern) and os.path.isdir(pattern):
            raise ConfigurationError(f"{pattern} is a folder: try {pattern}/*", setting="input")
        try:
            files = find_files(pattern, on_lost)
        except ValueError as error:
            raise ConfigurationError(f"{pattern}: {error}", setting="input") from error
        for file in files:
            if not is_local(file.path) or os.path.isfile(file.path):
                found[_absolute(file.path)] = file
    return _name_units(found.values(), root)


def split_units(inputs: Sequence[WorkUnit], read: ReadSettings) -> tuple[WorkUnit, ...]:
    """The units of a build, in the order of their names: of a large input, one for each part.

    Args:
        inputs: as list_units gives them. read: how they are read, and how large a unit may be.

    Raises:
        ConfigurationError: a part has the name of another input.
        OSError: a large input can not be opened or read.
    """
    limit = read.max_unit_bytes
    large = [unit for unit in inputs if limit is not None and unit.size_bytes > limit]
    if not large:
        return tuple(inputs)
    with ThreadPoolExecutor(1 if all(is_local(unit.path) for unit in large) else _READERS) as pool:
        parts = dict(zip(large, pool.map(lambda unit: split_unit(unit, read), large), strict=True))
    units: dict[str, WorkUnit] = {}
    for unit in (part for one in inputs for part in parts.get(one, (one,))):
        if (other := units.setdefault(unit.name, unit)) is not unit:
            raise ConfigurationError(
                f"{unit.path} and {other.path}: both have a unit of the name {unit.name!r}: make "
                "a build of each",
                setting="input",
            )
    return tuple(units[name] for name in sorted(units))


def common_root(patterns: Sequence[str]) -> str:
    """The deepest folder that every pattern lies in, wild cards not looked into.

    >>> common_root(["data/en/*.gz", "data/de/a-*.gz"])
    'data'
    >>> common_root(["gs://bucket/web/a.jsonl"])
    'gs://bucket/web'

    Raises:
        ConfigurationError: there is none.
    """
    folders = []
    for pattern in patterns:
        literal = _absolute(pattern)
        if not _is_file(pattern):
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
            "the inputs share no folder to name them by: give one as input_root, "
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


def _is_file(path: str) -> bool:
    return is_local(path) and os.path.isfile(path)


def _list_files(patterns: Sequence[str]) -> list[FoundFile]:
    found: dict[str, FoundFile] = {}
    for pattern in patterns:
        for file in _matched(pattern):
            found[_absolute(file.path)] = file
    return list(found.values())


def _matched(pattern: str) -> list[FoundFile]:
    if _is_file(pattern) and (file := look_up(pattern)) is not None:
        return [file]  # also where its name holds what would be a wild card
    try:
        matched = find_files(pattern)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"can not list the inputs: {error}", setting="input") from error
    files = [file for file in matched if not (is_local(file.path) and os.path.isdir(file.path))]
    if not files:
        hint = f"it is a folder: try {pattern}/*" if matched else "check the path"
        raise ConfigurationError(f"{pattern} matches no file: {hint}", setting="input")
    for file in files:
        if is_local(file.path):
            _check_regular(file.path)
    return files


def _check_regular(path: str) -> None:
    """A pipe may never end, and nothing of it can be read twice."""
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        kinds = {stat.S_IFIFO: "a pipe", stat.S_IFCHR: "a device", stat.S_IFSOCK: "a socket"}
        kind = kinds.get(stat.S_IFMT(mode), "no regular file")
        raise ConfigurationError(
            f"{path} is {kind}, which can not be read again: write it to a file first, or pipe it "
            "to standard input and say --input -",
            setting="input",
        )


def _name_units(files: Iterable[FoundFile], root: str) -> tuple[WorkUnit, ...]:
    prefix = _absolute(root).rstrip("/") + "/"
    units: dict[str, WorkUnit] = {}
    for file in files:
        path = _absolute(file.path)
        if not path.startswith(prefix):
            raise ConfigurationError(f"{file.path} does not lie in {root}", setting="input_root")
        name = unit_name(path.removeprefix(prefix))
        units[name] = WorkUnit(name, path, file.size_bytes, file.version)
    return tuple(units[name] for name in sorted(units))


def files_within(files: Iterable[_File], output: str) -> Iterator[_File]:
    """Those of the files that lie in the output, by whichever name."""
    folder: str = _resolved(output).rstrip("/") + "/"
    # Folders of the output may be links to elsewhere.
    taken = (folder, *(_resolved(folder + name) + "/" for name in (*UNIT_FOLDERS, RUNS, VERSIONS)))
    return (file for file in files if _resolved(file.path).startswith(taken))


def check_apart(patterns: Sequence[str], files: Iterable[_File], output: str) -> None:
    """Makes sure that inputs and output are apart, today and tomorrow.

    Raises:
        ConfigurationError: one of these files lies in the output, or a pattern would match what is
            written there.
    """
    for file in files_within(files, output):
        raise ConfigurationError(
            f"the input {file.path} lies in the output {output}: name another folder",
            setting="output",
        )
    folder = _resolved(output).rstrip("/") + "/"
    written = list(examples(_ENDINGS))
    for pattern in patterns:
        if _is_file(pattern):
            continue
        matches = compile_pattern(_resolved_pattern(pattern)).fullmatch
        for path in written:
            if matches(folder + path):
                raise ConfigurationError(
                    f"the input pattern {pattern} would match {output}/{path}, which the build "
                    "writes: name another folder",
                    setting="output",
                )


_ENDINGS = ("jsonl", "jsonl.gz", "jsonl.zst", "parquet", "warc.gz", "warc.wet.gz", "txt", "json")


def _resolved(path: str) -> str:
    """Absolute, with symbolic links followed: two names of one folder are one folder."""
    return os.path.realpath(path).replace(os.sep, "/") if is_local(path) else path.rstrip("/")


def _resolved_pattern(pattern: str) -> str:
    """The pattern with links followed in front of its first wild card."""
    literal = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
    folder = posixpath.dirname(literal)
    if not is_local(pattern):
        return pattern
    return _resolved(folder or os.curdir) + "/" + pattern[len(folder) :].lstrip("/")
