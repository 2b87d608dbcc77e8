"""Files wherever they are, by their path: local disks, object stores, what else Beam knows.

    data/web/a.jsonl.gz          plain file calls; Beam is not imported
    s3://  gs://  az://          object stores, through obstore
    hdfs://                      HDFS, through Arrow and a Hadoop client
    https://  http://            web servers: inputs only
    hf://datasets/...            data sets on the Hugging Face Hub: inputs only
    scheme://place/a.jsonl.gz    what Beam has registered for the scheme

Every function raises OSError where a store can not do what it is asked for, FileNotFoundError where
there is no such file.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import groupby
from typing import BinaryIO

from transforms.stores.local_store import TEMPORARY_SUFFIX, LocalStore
from transforms.stores.renaming import RenamingStore
from transforms.stores.store import FoundFile, Store, UnfinishedUpload

__all__ = [
    "TEMPORARY_SUFFIX",
    "FoundFile",
    "UnfinishedUpload",
    "abort_upload",
    "absolute_path",
    "appears_whole",
    "create_exclusive",
    "create_raw",
    "delete_files",
    "exists",
    "find_files",
    "is_local",
    "leaves_parts",
    "list_files",
    "list_uploads",
    "look_up",
    "naming_place",
    "open_raw",
    "pin_pattern",
    "put_file",
    "read_version",
    "read_whole",
    "replace_file",
    "replace_version",
    "write_whole",
]

_SCHEME = re.compile(r"\s*([a-zA-Z][-a-zA-Z0-9+.]*)://")
_LOCAL = LocalStore()
_OBJECT_STORES = ("s3", "gs", "az")


def is_local(path: str) -> bool:
    """True when plain file calls reach it."""
    return _SCHEME.match(path) is None


def absolute_path(path: str) -> str:
    """A local path from the root of its disk; any other as it is."""
    return os.path.abspath(path) if is_local(path) else path


def appears_whole(path: str) -> bool:
    """Whether its store shows a file only when all of it is there, as object stores do."""
    return _scheme_of(path) in _OBJECT_STORES


def find_files(pattern: str, on_lost: Callable[[OSError], None] | None = None) -> list[FoundFile]:
    """What a pattern stands for: `*` and `?` do not cross a `/`, `**` does.

    A local path without wild cards may be a folder, and is listed as it is. A name with brackets in
    it stands for itself where the pattern matches nothing. One listing.

    Args:
        pattern: what to look for. on_lost: called for each local file that is there and can not be
            looked up, as a link to nothing; None: that is raised.
    """
    store = _store_of(pattern)
    wanted = pattern + "*" if pattern.endswith("/") else pattern
    found = store.find(wanted, on_lost) if isinstance(store, LocalStore) else store.find(wanted)
    if not found and "[" in pattern and (literal := store.look_up(pattern)):
        return [literal]
    return found


def pin_pattern(pattern: str) -> str:
    """The pattern that stands for the same files tomorrow, where its store has such a thing.

    hf://datasets/owner/name/*.gz -> hf://datasets/owner/name@<commit>/*.gz; others stay.
    """
    if _scheme_of(pattern) != "hf":
        return pattern
    from transforms.stores.hub_store import pin_revision

    return pin_revision(pattern)


def list_files(folder: str) -> Iterator[FoundFile]:
    """Every file below a folder, at any depth, in one listing; none when there is no folder."""
    return _store_of(folder).list(folder)


def look_up(path: str) -> FoundFile | None:
    """Size and version of the file of that name, or None. One request."""
    return _store_of(path).look_up(path)


def exists(path: str) -> bool:
    """Whether there is a file of that name. One request."""
    return _store_of(path).exists(path)


def open_raw(path: str) -> BinaryIO:
    """The bytes of a file as they are, not decompressed; it can be read by seeking."""
    return _store_of(path).open(path)


def create_raw(path: str) -> BinaryIO:
    """A new file to write bytes to as they are; its folder is made.

    It may be seen before it is closed: where that matters, fill a local file and `put_file` it.
    """
    return _store_of(path).create(path)


def read_whole(path: str) -> bytes:
    """The content of a small file."""
    return _store_of(path).read(path)[0]


def read_version(path: str) -> tuple[bytes, str]:
    """The content of a small file, and what `replace_version` takes as its version."""
    return _store_of(path).read(path)


def write_whole(path: str, content: bytes, staging: str = "") -> None:
    """Writes a small file that appears whole or not at all, and stays; `staging` as in put_file."""
    store = _store_of(path)
    if isinstance(store, RenamingStore):
        store.write(path, content, staging)
    else:
        store.write(path, content)


def put_file(local_path: str, path: str, staging: str = "") -> None:
    """Makes a local file appear at `path`, whole or not at all; `local_path` may be gone then.

    Locally it is synced and renamed, on object stores uploaded straight to its final name.

    Args:
        local_path: what is there. path: where it appears.
        staging: the folder of the same store where one without an atomic put writes first, under a
            name that begins with a dot and ends in TEMPORARY_SUFFIX; "": beside the file.
    """
    store = _store_of(path)
    if isinstance(store, RenamingStore):
        store.put(local_path, path, staging)
    else:
        store.put(local_path, path)


def leaves_parts(path: str, size_bytes: int) -> bool:
    """Whether a process that is killed while it puts a file there leaves a part of it.

    No listing of files shows such parts, and the store bills them. On Azure they are gone after a
    week, elsewhere a put leaves a temporary file, or nothing.
    """
    if _scheme_of(path) not in ("s3", "gs"):
        return False
    from transforms.stores.object_store import MAX_WHOLE_BYTES

    return size_bytes > MAX_WHOLE_BYTES


def list_uploads(folder: str) -> Iterator[UnfinishedUpload]:
    """Of files that `leaves_parts` is true of: the uploads below a folder that have not ended.

    Raises:
        OSError: the store refuses, has no such request, or can not be asked.
        ConfigurationError: a package is missing.
    """
    from transforms.stores import unfinished_uploads

    return unfinished_uploads.list_uploads(folder)


def abort_upload(upload: UnfinishedUpload) -> None:
    """Ends an upload, whoever made it: its parts go, and it can not be completed any more.

    Raises:
        OSError, ConfigurationError: as of list_uploads.
    """
    from transforms.stores import unfinished_uploads

    unfinished_uploads.abort_upload(upload)


def create_exclusive(path: str, content: bytes) -> bool:
    """Writes a small file if there is none of that name; False when there is one.

    Of several callers in one moment, one gets True. Two callers never give the same content: a
    request that is repeated because its answer was lost is known by it.
    """
    return _store_of(path).write_new(path, content)


def replace_version(path: str, content: bytes, version: str) -> bool:
    """Writes a small file over one of that version; False when it is another, or none, by now.

    Of several callers in one moment, one gets True. Two callers never give the same content.
    """
    return _store_of(path).write_over(path, content, version)


def delete_files(paths: Iterable[str]) -> None:
    """Deletes files; those that are gone already are none of its business.

    Of a request that is repeated because its answer was lost nobody could tell them apart.
    """
    for _, group in groupby(paths, key=_scheme_of):
        same = list(group)
        _store_of(same[0]).delete(same)


def replace_file(source: str, target: str) -> None:
    """Renames a file on its store; a file of the new name goes."""
    _store_of(target).rename(source, target)


@contextmanager
def naming_place(path: str) -> Iterator[None]:
    """Has an OSError of its block name that path, where it names none: as a full disk's does not.

    >>> with naming_place("/data/out"):
    ...     raise OSError(28, "No space left on device")
    Traceback (most recent call last):
    OSError: [Errno 28] No space left on device: '/data/out'
    """
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            # An error that was made of one text, as Arrow's are, has no strerror to show.
            error.strerror = error.strerror or str(error)
            error.filename = path
        raise


def _scheme_of(path: str) -> str:
    match = _SCHEME.match(path)
    return match.group(1).lower() if match else ""


def _store_of(path: str) -> Store:
    scheme = _scheme_of(path)
    return _open_store(scheme) if scheme else _LOCAL


@lru_cache
def _open_store(scheme: str) -> Store:
    if scheme in _OBJECT_STORES:
        from transforms.stores.object_store import ObjectStore

        return ObjectStore(scheme)
    if scheme == "hdfs":
        from transforms.stores.hadoop_store import HadoopStore

        return HadoopStore()
    if scheme in ("http", "https"):
        from transforms.stores.web_store import WebStore

        return WebStore()
    if scheme == "hf":
        from transforms.stores.hub_store import HubStore

        return HubStore()
    from transforms.stores.beam_store import BeamStore

    return BeamStore()
