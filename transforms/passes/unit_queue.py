"""`UnitQueue`: the units of a run, taken by workers anywhere, the largest first, each unit once.

    queue        0: 250 MB   1: 240 MB   2: 90 MB   3: 8 MB   4: 8 MB   ...
    worker a     takes 0 ................................. then 4
    worker b        takes 1 ............ then 3  ... then 5
    worker c           takes 2 ...... then

A unit is taken by a file of its number that nobody else can make (create_exclusive). So a slow
worker takes fewer, and nobody waits while there is something to do. What a worker took and did not
finish, because it died, stays taken: `unfinished` tells it to whoever looks when all have ended. On
a store that can not refuse the second of two writers, a unit may be done twice: with equal bytes.

Requests: a listing and a write for each unit, and as much again for each time that somebody else
was faster, and every few seconds a look whether the run still owns the build. Whoever was not first
looks further down the queue, so that a thousand workers that begin in one moment disperse in some
six tries.
"""

import pickle
import random
import uuid
import zlib
from collections.abc import Iterable, Iterator

from transforms.filesystem import create_exclusive
from transforms.passes.work_pass import WorkUnit
from transforms.shards.build import Build
from transforms.shards.layout import RECEIPTS, claims_folder, failure_path, receipt_path

_BLOCK = 1000  # units; a listing has as many names in one request


class UnitQueue:
    """The queue of a run; iterate over it, in as many processes as there are, to take units.

    Args:
        build: the output, as the run works on it, which has no other queue.
        units: in any order.
    """

    def __init__(self, build: Build, units: Iterable[WorkUnit]) -> None:
        self._build = build
        self._units = sorted(units, key=lambda unit: (-unit.size_bytes, unit.name))
        self._begin()

    def _begin(self) -> None:
        self._block = 0  # all units of those before it are taken
        self._near = 1  # how far down to look
        self._random = random.Random(uuid.uuid4().int)  # who does what is all that it decides

    def __getstate__(self) -> tuple[Build, bytes]:
        # Beam packs what it sends with bz2, which takes seconds for 90,000 units as they are.
        return self._build, zlib.compress(pickle.dumps(self._units))

    def __setstate__(self, state: tuple[Build, bytes]) -> None:
        self._build, self._units = state[0], pickle.loads(zlib.decompress(state[1]))
        self._begin()

    def __len__(self) -> int:
        return len(self._units)

    def __iter__(self) -> Iterator[WorkUnit]:
        while (unit := self._take()) is not None:
            yield unit

    def unfinished(self) -> list[WorkUnit]:
        """The units without a receipt that did not fail: whoever took them died. Two listings."""
        receipts = self._build.files_below(RECEIPTS)
        missing = [unit for unit in self._units if receipt_path(unit.name) not in receipts]
        run = self._build.run
        return [unit for unit in missing if not self._build.exists(failure_path(run, unit.name))]

    def _take(self) -> WorkUnit | None:
        # Claims go with their run: to workers of a lost one all units would look free.
        self._build.check_owned()
        while self._block * _BLOCK < len(self._units):
            free = self._free()
            if not free:
                self._block += 1
                continue
            number = free[self._random.randrange(min(self._near, len(free)))]
            if create_exclusive(self._build.path(self._claim(number)), uuid.uuid4().hex.encode()):
                self._near = max(1, self._near // 2)
                return self._units[number]
            self._near = min(4 * self._near, _BLOCK)
        return None

    def _free(self) -> list[int]:
        """The numbers of the present block that nobody has taken, in their order."""
        folder = claims_folder(self._build.run, self._block)
        taken = {path.rpartition("/")[2] for path in self._build.files_below(folder)}
        first = self._block * _BLOCK
        numbers = range(first, min(first + _BLOCK, len(self._units)))
        return [number for number in numbers if str(number) not in taken]

    def _claim(self, number: int) -> str:
        return f"{claims_folder(self._build.run, number // _BLOCK)}/{number}"
