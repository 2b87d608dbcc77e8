"""`SpooledIds`: the ids of a shard while it is packed, which may be more than fit into memory.

add, add, ...    in memory ─ more than max_tokens? ─► a file without a name, on this machine
joined           one array: of memory, or a map of that file
"""

import tempfile
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from transforms.shards.hashed_file import write_all


class SpooledIds:
    """Ids in order. Close it: the room on the disk is free when the last map of it has gone."""

    def __init__(self, max_tokens: int | None = None) -> None:
        """Begins without any.

        Args:
            max_tokens: that are in memory before they go to the file; None: all.
        """
        self._max_tokens = max_tokens
        self._arrays: list[npt.NDArray[Any]] = []
        self._in_memory = 0
        self._file: IO[bytes] | None = None
        self._dtype: np.dtype[Any] = np.dtype("<u4")

    def add(self, ids: npt.NDArray[Any]) -> None:
        """Adds contiguous ids, all of them of one dtype."""
        self._dtype = ids.dtype
        self._arrays.append(ids)
        self._in_memory += len(ids)
        if self._max_tokens is not None and self._in_memory > self._max_tokens:
            self._spill()

    def joined(self) -> npt.NDArray[Any]:
        """All of them, one after the other."""
        if self._file is None:
            return np.concatenate([np.zeros(0, self._dtype), *self._arrays])
        self._spill()
        return np.asarray(np.memmap(self._file, self._dtype, "r"))

    def close(self) -> None:
        """Gives the file back; arrays that `joined` gave stay."""
        self._arrays, self._in_memory = [], 0
        if self._file is not None:
            self._file.close()

    def _spill(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="tokenmill-", buffering=0)  # noqa: SIM115
        for ids in self._arrays:
            write_all(self._file, ids)  # type: ignore[arg-type]
        self._arrays, self._in_memory = [], 0
