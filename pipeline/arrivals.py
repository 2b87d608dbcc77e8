"""Which inputs are finished: nobody writes to them any more, as far as can be told by looking.

    a.jsonl   10:00 3 MB   10:01 5 MB   10:02 5 MB        finished at 10:02 with 60 s to settle
    b.jsonl                10:01 9 MB   gone              never
    s3://c    10:00 7 MB                                  finished when it is seen: it appears whole

Time is that of this process's clock, between two looks. Modification times are only compared with
each other: a copy keeps those of its original, and other machines have other clocks.
"""

from collections.abc import Iterable, Iterator

from transforms.filesystem import appears_whole
from transforms.passes.work_pass import WorkUnit


class Arrivals:
    """What was seen of the inputs, look by look.

    Args:
        settle_seconds: an input is finished when its size and version have been the same for so
            long; 0: when it is seen, for whoever renames finished files into their place.
    """

    def __init__(self, settle_seconds: float) -> None:
        self._settle_seconds = settle_seconds
        self._seen: dict[str, tuple[WorkUnit, float]] = {}

    def finished(self, inputs: Iterable[WorkUnit], now: float) -> list[WorkUnit]:
        """Those of the inputs that are finished, in their order.

        Args:
            inputs: all that are there now. now: seconds of a clock that never goes back.
        """
        self._seen = {one.name: (one, self._since(one, now)) for one in inputs}
        return [one for one, since in self._seen.values() if self._is_finished(one, since, now)]

    def unfinished(self, now: float) -> Iterator[WorkUnit]:
        """The others, as of the last look."""
        return (one for one, since in self._seen.values() if not self._is_finished(one, since, now))

    def _since(self, one: WorkUnit, now: float) -> float:
        """When it was first seen as it is now."""
        before, since = self._seen.get(one.name, (None, now))
        return since if one == before else now

    def _is_finished(self, one: WorkUnit, since: float, now: float) -> bool:
        return appears_whole(one.path) or now - since >= self._settle_seconds
