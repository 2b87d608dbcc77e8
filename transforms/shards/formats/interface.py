"""What a format of token shards is: how one is written, and how it is read back.

ShardFormat ── create(local path, dtype) ──► ShardWriter   append, append, ..., finish
            ├─ open(local path, claim)   ──► ShardReader   read(start, stop), map()
            └─ open_stream(file, claim)  ──► ShardRanges   read(start, stop)
"""

from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt


class ShardClaim(Protocol):
    """What a receipt says of a shard; a reader holds the file against it."""

    @property
    def path(self) -> str: ...
    @property
    def dtype(self) -> str: ...
    @property
    def tokens(self) -> int: ...


class ShardWriter(Protocol):
    """One shard being written."""

    def append(self, tokens: npt.NDArray[Any]) -> None:
        """Adds ids, whole documents of them; contiguous, and of the shard's dtype."""

    def finish(self) -> None:
        """Completes the file. Nothing can be appended any more."""

    def close(self) -> None:
        """Gives the file handle back; harmless after `finish`."""


class ShardRanges(Protocol):
    """One shard, wherever it is."""

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """The ids from start to stop, both within the shard; perhaps read-only."""


class ShardReader(ShardRanges, Protocol):
    """One shard on a local disk."""

    def map(self) -> npt.NDArray[Any]:
        """All ids, read-only: mapped, not read, where the format allows."""


class ShardFormat(Protocol):
    """A way to write ids to one file and to read any range of them back."""

    @property
    def name(self) -> str: ...
    @property
    def suffix(self) -> str: ...

    def create(self, local_path: str, dtype: np.dtype[Any]) -> ShardWriter:
        """Begins a new file."""

    def open(self, local_path: str, claim: ShardClaim) -> ShardReader:
        """Opens a file.

        Raises:
            MismatchError: it is not what is claimed of it.
        """

    def open_stream(self, file: BinaryIO, claim: ShardClaim) -> ShardRanges:
        """Opens a file of a store, to read ranges of it; nothing is copied to a disk.

        Raises:
            MismatchError: it is not what is claimed of it.
        """
