"""Files that appear whole or not at all, on any filesystem Beam knows.

    local output     <dir>/<name>.<attempt>.tmp ─ fsync ─ rename ─► <dir>/<name>
    other output     local temporary folder ─ copy ─► <dir>/<name>.<attempt>.tmp ─ rename ─► <name>

A file is always written on a local disk first, because the header of a token shard is known only
when its last token is, and object stores can not seek.
"""

import hashlib
import os
import shutil
import tempfile
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from transforms.filesystem import create_raw, is_local, open_raw, replace_file

TEMPORARY_SUFFIX = ".tmp"

# Threads that wait for disks; they are made when the first is needed.
_DISKS = ThreadPoolExecutor(4, thread_name_prefix="fsync")


@dataclass(frozen=True, slots=True)
class FileDigest:
    """A file's size in bytes and its SHA-256, hexadecimal."""

    bytes: int
    sha256: str


def digest_of(path: str | Path) -> FileDigest:
    """Size and SHA-256 of a local file, read once, the GIL released while hashing."""
    sha256 = hashlib.sha256()
    size = 0
    buffer = memoryview(bytearray(1 << 20))
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            sha256.update(buffer[:count])
            size += count
    return FileDigest(size, sha256.hexdigest())


class StagedFile:
    """A file being written: fill `local_path`, then `publish()`. Without that it leaves no trace.

    final_path: where it appears. Publishing replaces what is there: two attempts at one unit
    write the same bytes, so whichever comes last is right.
    """

    def __init__(self, final_path: str) -> None:
        self.final_path = final_path
        attempt = f"{final_path}.{uuid.uuid4().hex}{TEMPORARY_SUFFIX}"
        self._folder: str | None = None
        self._synced: Future[None] | None = None
        if is_local(final_path):
            os.makedirs(os.path.dirname(final_path), exist_ok=True)
            self.local_path = attempt
        else:
            self._folder = tempfile.mkdtemp(prefix="tokenmill-")
            self.local_path = os.path.join(self._folder, "staged")
            self._remote_path = attempt

    def finish(self) -> FileDigest:
        """The digest of all that was written, which goes to the disk in the meantime."""
        if self._folder is None:
            self._synced = _DISKS.submit(_sync, self.local_path)
        return digest_of(self.local_path)

    def publish(self) -> None:
        """Makes the file appear under its final name, durably. Raises OSError where it can not."""
        if self._folder is None:
            if self._synced is None:
                _sync(self.local_path)
            else:
                self._synced.result()
            replace_file(self.local_path, self.final_path)
            return
        with open(self.local_path, "rb") as source, create_raw(self._remote_path) as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
        replace_file(self._remote_path, self.final_path)

    def __enter__(self) -> "StagedFile":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        elif os.path.exists(self.local_path):
            os.unlink(self.local_path)


def write_whole(final_path: str, content: bytes) -> None:
    """Writes a small file that appears whole or not at all."""
    with StagedFile(final_path) as staged:
        Path(staged.local_path).write_bytes(content)
        staged.publish()


def read_whole(path: str) -> bytes:
    """The content of a small file. Raises OSError (BeamIOError) when it is not there."""
    with open_raw(path) as file:
        return file.read()


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
