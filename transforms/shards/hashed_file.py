"""`HashedFile`: a file that is written in order, its SHA-256 known when it ends.

    write(head) ─► write(ids) ─► write(ids) ─► close       digest: bytes, SHA-256
       └──────────────┴──────────────┴─ hashed on the way

Nothing is read again to know what is in it: reading again moved a third of the bytes of an export.
And a bit that flips on its way to the disk is then no part of what a receipt says.
"""

import hashlib
from typing import Any, BinaryIO

import numpy.typing as npt

from transforms.shards.staged_file import FileDigest


class HashedFile:
    """Takes bytes and contiguous arrays; also what Arrow and gzip write to a file."""

    def __init__(self, path: str, head: bytes = b"") -> None:
        """Begins a new file.

        Args:
            path: where. head: its first bytes.
        """
        self.path = path
        self._file: BinaryIO = open(path, "wb", buffering=0)  # noqa: SIM115
        self._sha256 = hashlib.sha256()
        self._bytes = 0
        self.write(head)

    def write(self, content: bytes | npt.NDArray[Any]) -> int:
        """Adds bytes, or ids as they lie in memory. Returns how many bytes."""
        written = write_all(self._file, content)
        self._sha256.update(written)
        self._bytes += len(written)
        return len(written)

    def flush(self) -> None:
        """Nothing: no byte waits here."""

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._file.closed

    def close(self) -> None:
        """Harmless when it is closed already."""
        self._file.close()

    @property
    def digest(self) -> FileDigest:
        """Of all that was written so far."""
        return FileDigest(self._bytes, self._sha256.hexdigest())


def write_all(file: BinaryIO, content: bytes | npt.NDArray[Any]) -> memoryview:
    """Writes bytes, or contiguous ids as they lie in memory, to a raw file; returns the bytes."""
    # Arrays and Arrow's buffers are buffers, for which Python 3.10 has no type.
    whole = rest = memoryview(content).cast("B")  # type: ignore[arg-type]
    while rest:  # a raw write may be short
        rest = rest[file.write(rest) :]
    return whole


def digests_of(*files: HashedFile) -> dict[str, FileDigest]:
    """The digest of each, by its path."""
    return {file.path: file.digest for file in files}
