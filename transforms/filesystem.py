"""Files on any filesystem Beam knows; local ones by plain calls, without Beam.

Importing Beam takes half a second of a core. A command that reads and writes local files needs it
in its workers alone.
"""

import fnmatch
import os
import re
from collections.abc import Iterable
from typing import Any, BinaryIO, NamedTuple

_SCHEME = re.compile(r"\s*[a-zA-Z][-a-zA-Z0-9+.]*://")
_WILDCARDS = frozenset("*?[")


class FoundFile(NamedTuple):
    """A file as it was listed."""

    path: str
    size_bytes: int


def is_local(path: str) -> bool:
    """True when plain file calls reach it."""
    return _SCHEME.match(path) is None


def find_files(pattern: str) -> list[FoundFile]:
    """What a pattern stands for, by Beam's rules: `*` and `?` do not cross a `/`, `**` does.

    A path without wild cards may be a folder, and is listed as it is. Raises OSError (BeamIOError)
    or ValueError where it can not be listed.
    """
    folder, name = os.path.split(pattern)
    if is_local(pattern) and name and "**" not in name and _WILDCARDS.isdisjoint(folder):
        return list(_find_in_folder(folder, name))
    matched = _beam().match([pattern])[0].metadata_list
    return [FoundFile(file.path, file.size_in_bytes) for file in matched]


def _find_in_folder(folder: str, name: str) -> Iterable[FoundFile]:
    if _WILDCARDS.isdisjoint(name):
        path = os.path.join(folder, name)
        if os.path.exists(path):
            yield FoundFile(path, os.path.getsize(path))
        return
    if not os.path.isdir(folder or os.curdir):
        return
    with os.scandir(folder or os.curdir) as entries:
        for entry in entries:
            if fnmatch.fnmatchcase(entry.name, name) and entry.is_file():
                yield FoundFile(os.path.join(folder, entry.name), entry.stat().st_size)


def exists(path: str) -> bool:
    """Whether there is a file of that name."""
    if is_local(path):
        return os.path.exists(path)
    return bool(_beam().exists(path))


def open_raw(path: str) -> BinaryIO:
    """The bytes of a file as they are, not decompressed. Raises OSError (BeamIOError)."""
    if is_local(path):
        return open(path, "rb")
    return _uncompressed(_beam().open, path)


def create_raw(path: str) -> BinaryIO:
    """A new file to write bytes to as they are; its folder is made. Raises OSError."""
    if is_local(path):
        os.makedirs(os.path.dirname(path) or os.curdir, exist_ok=True)
        return open(path, "wb")
    return _uncompressed(_beam().create, path)


def delete_files(paths: Iterable[str]) -> None:
    """Deletes files. Raises OSError (BeamIOError) where one can not be."""
    elsewhere = []
    for path in paths:
        if is_local(path):
            os.remove(path)
        else:
            elsewhere.append(path)
    if elsewhere:
        _beam().delete(elsewhere)


def replace_file(source: str, target: str) -> None:
    """Renames a file on its filesystem; a file of the new name goes. Raises OSError."""
    if is_local(target):
        os.replace(source, target)
        return
    filesystems = _beam()
    if filesystems.exists(target):
        filesystems.delete([target])
    filesystems.rename([source], [target])


def _beam() -> Any:
    from apache_beam.io.filesystems import FileSystems

    return FileSystems


def _uncompressed(opener: Any, path: str) -> BinaryIO:
    # Beam's own decompression accepts truncated files; we decode the bytes ourselves.
    from apache_beam.io.filesystem import CompressionTypes

    handle: BinaryIO = opener(path, compression_type=CompressionTypes.UNCOMPRESSED)
    return handle
