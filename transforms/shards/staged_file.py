"""Files that appear whole or not at all, on any filesystem.

    local output     <staging>/<attempt> ─ fsync ─ rename ─► <final path> ─ fsync of its folder
    other output     local temporary folder ─ put ─► <final path>, whole or not at all

A file is always written on a local disk first, because the header of a token shard is known only
when its last token is, and object stores can not seek.
"""

import contextlib
import hashlib
import os
import uuid
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transforms import filesystem
from transforms.filesystem import is_local, put_file, replace_file
from transforms.stores.durable import make_folder, sync

# Threads that wait for disks; they are made when the first is needed.
_DISKS = ThreadPoolExecutor(4, thread_name_prefix="fsync")


def _renew_disks() -> None:
    """A forked child has the pool, but none of its threads: it would wait for ever."""
    global _DISKS
    _DISKS = ThreadPoolExecutor(4, thread_name_prefix="fsync")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_disks)


@dataclass(frozen=True, slots=True)
class FileDigest:
    """A file's size in bytes and its SHA-256, hexadecimal."""

    bytes: int
    sha256: str


def digest_of(path: str | Path) -> FileDigest:
    """Size and SHA-256 of a local file, read once, the GIL released while hashing."""
    with open(path, "rb", buffering=0) as file:
        return digest_of_stream(file)


def digest_of_stream(file: Any) -> FileDigest:
    """Size and SHA-256 of what is left to read of a binary file; memory: 1 MiB."""
    sha256 = hashlib.sha256()
    size = 0
    buffer = memoryview(bytearray(1 << 20))
    while count := file.readinto(buffer):
        sha256.update(buffer[:count])
        size += count
    return FileDigest(size, sha256.hexdigest())


class StagedFile:
    """A file being written: fill `local_path`, then `publish()`. Without that it leaves no trace.

    Publishing replaces what is there: two attempts at one unit write the same bytes, so whichever
    comes last is right.
    """

    def __init__(self, final_path: str, staging: str, staging_there: str = "") -> None:
        """Makes room for the file.

        Args:
            final_path: where it appears.
            staging: a local folder of the run, on the same disk where the file is local; made
                where it is missing.
            staging_there: a folder of the run on the file's store, as of `put_file`.
        """
        self.final_path = final_path
        self._staging_there = staging_there
        self._is_local = is_local(final_path)
        self._synced: Future[None] | None = None
        os.makedirs(staging, exist_ok=True)
        self.local_path = os.path.join(staging, uuid.uuid4().hex)

    def finish(self, known: FileDigest | None = None) -> FileDigest:
        """The digest of all that was written, which goes to the disk in the meantime.

        Args:
            known: what whoever wrote it has hashed on the way; None: it is read again.
        """
        if self._is_local:
            self._synced = _DISKS.submit(sync, self.local_path)
        return digest_of(self.local_path) if known is None else known

    def publish(self) -> None:
        """Makes the file appear under its final name, its content durable.

        That the *name* outlives a power cut is for `sync_folders`, once for many files.

        Raises:
            OSError: it can not be written.
        """
        if not self._is_local:
            put_file(self.local_path, self.final_path, self._staging_there)
            return
        if self._synced is None:
            sync(self.local_path)
        else:
            self._synced.result()
        make_folder(os.path.dirname(self.final_path))
        replace_file(self.local_path, self.final_path)

    def discard(self) -> None:
        """Removes what is staged; harmless after `publish`."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.local_path)

    def __enter__(self) -> "StagedFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()


def sync_folders(paths: Iterable[str]) -> None:
    """Makes the names of files durable: a rename is undone by a power cut until its folder is.

    Args:
        paths: final paths of files that were published; those on object stores need nothing.
    """
    for folder in sorted({os.path.dirname(path) for path in paths if is_local(path)}):
        sync(folder)


def write_whole(final_path: str, content: bytes, staging: str, staging_there: str = "") -> None:
    """Writes a small file that appears whole or not at all, durably.

    Where nothing stood there before and its folder can not be synced, it is taken back: a receipt
    that a power cut could take away would be one of a build that says it is complete.
    """
    if not is_local(final_path):
        filesystem.write_whole(final_path, content, staging_there)
        return
    is_new = not os.path.lexists(final_path)
    with StagedFile(final_path, staging) as staged:
        Path(staged.local_path).write_bytes(content)
        staged.publish()
    try:
        sync_folders([final_path])
    except OSError:
        if is_new:
            with contextlib.suppress(OSError):
                os.unlink(final_path)
        raise
