"""`ShardMaps`: the ids of shards, mapped; of remote shards a copy that goes with its map."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from weakref import WeakValueDictionary

import numpy.typing as npt

Ids = npt.NDArray[Any]


class ShardMaps:
    """Maps by number of the shard: as long as anybody holds one, it is given to all who ask.

    A corpus and the samples and batches made of it keep maps of their own, and a shard of a store
    is fetched once for all of them. Its copy has no name any more as soon as it is mapped: its room
    on the disk is free when the last map of it goes, however the process ends.
    """

    def __init__(
        self,
        local_copy: Callable[[int], AbstractContextManager[str]],
        open_map: Callable[[int, str], Ids],
    ) -> None:
        """Maps nothing yet.

        Args:
            local_copy: a local name of a shard, which may be gone afterwards.
            open_map: maps the shard of that name.
        """
        self._local_copy = local_copy
        self._open_map = open_map
        self._maps: WeakValueDictionary[int, Ids] = WeakValueDictionary()

    def open(self, shard: int) -> Ids:
        """All ids of a shard. Raises MismatchError where it can not be mapped."""
        found = self._maps.get(shard)
        if found is None:
            with self._local_copy(shard) as local_path:
                found = self._open_map(shard, local_path)
            self._maps[shard] = found
        return found
