"""The rounds of `tokenmill watch`: what has arrived, done and committed as a version.

    list ─ finished? ─┬─ in a version already: replaced by other bytes? that is said, once
                      └─ new: plan ─ run the pass ─ commit the next version

What concerns one input never ends the rounds: it can not be read, is of no known format, is over
the limits, fails. It is said once, and the input is looked at again when it has changed, or later.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto

from pipeline.arrivals import Arrivals
from pipeline.books import Shortfall
from pipeline.config import BuildConfig
from pipeline.errors import RunFailedError
from pipeline.failures import raise_unit_failures
from pipeline.growing_build import Commit, GrowingBuild
from pipeline.inputs import files_within, list_arrived, split_units
from pipeline.notices import Notices
from pipeline.preview import check_fields
from pipeline.progress import PassProgress
from pipeline.runners import run_pass
from pipeline.terminal import escaped_message, say
from tokenizer import ConfigurationError
from transforms.passes.tokenize import TokenizePass
from transforms.passes.work_pass import WorkUnit
from transforms.reading import detect_format
from transforms.shards.build import Build
from transforms.shards.layout import all_claims_folder

# A unit that failed is tried again when its input has changed, or after so long.
_RETRY_SECONDS = 600.0


class _About(Enum):
    """What a message is about that is not about one input alone."""

    LISTING = auto()
    PASSED_OVER = auto()
    FAILURES = auto()
    LIMITS = auto()


@dataclass(frozen=True, kw_only=True)
class WatchConfig:
    """What one `tokenmill watch` is asked to do.

    Attributes:
        build: inputs, output and settings, as a build of them has.
        settle_seconds: how long an input must stay the same to be finished; 0: when it is seen.
        poll_seconds: between two looks at the inputs.
        max_round_bytes: of inputs, after which a round takes no more: then comes a version.
        once: end when all that is finished is committed.
    """

    build: BuildConfig
    settle_seconds: float = 60.0
    poll_seconds: float = 60.0
    max_round_bytes: int = 16 * 10**9
    once: bool = False

    def __post_init__(self) -> None:
        if "-" in self.build.inputs:
            raise ConfigurationError("standard input can not be watched", setting="input")
        for pattern in self.build.inputs:
            if pattern.strip().lower().startswith(("hf://", "http://", "https://")):
                raise ConfigurationError(
                    f"{pattern} can not be watched: make a build of it", setting="input"
                )
        for setting in ("settle_seconds", "poll_seconds"):
            if not 0 <= getattr(self, setting) < float("inf"):
                raise ConfigurationError(
                    f"expected 0 or more, found {getattr(self, setting)}", setting=setting
                )
        if self.max_round_bytes < 1:
            raise ConfigurationError(
                f"expected 1 or more, found {self.max_round_bytes}", setting="max_round_bytes"
            )


@dataclass(frozen=True)
class Round:
    """How a round ended.

    Attributes:
        commit: the version that it made, and what is left out of it.
        failed: how many units of inputs that are there could not be done, in this round or before.
        has_more: inputs are finished that it did not take.
    """

    commit: Commit = field(default_factory=Commit)
    failed: int = 0
    has_more: bool = False


class Rounds:
    """One round after the other.

    Args:
        config: what is asked for. growing: the build. target: where it is, leased.
        work: the pass. root: what inputs are named relative to.
    """

    def __init__(
        self,
        config: WatchConfig,
        growing: GrowingBuild,
        target: Build,
        work: TokenizePass,
        root: str,
    ) -> None:
        self._config = config
        self._growing = growing
        self._target = target
        self._work = work
        self._root = root
        self._arrivals = Arrivals(config.settle_seconds)
        self._present: dict[str, WorkUnit] = {}
        self._units: dict[str, tuple[WorkUnit, tuple[WorkUnit, ...]]] = {}
        self._replaced: dict[str, WorkUnit] = {}
        self._retries: dict[str, tuple[WorkUnit, float]] = {}
        self._notices = Notices("watch")
        self._began = 0.0

    def do(self, now: float) -> Round:
        """Does one round.

        Args:
            now: seconds of a clock that never goes back.

        Raises:
            ConfigurationError: nothing can come of these settings.
            TokenmillError, OSError: it failed; what is committed is kept.
        """
        config = self._config.build
        self._began = now
        try:
            listed = self._list()
        except OSError as error:
            if self._config.once:
                raise
            message = f"can not list the inputs, and will try again: {error}"
            self._notices.tell_all(_About.LISTING, [message])
            return Round()
        self._notices.forget(_About.LISTING)
        self._look_at(listed)
        finished = self._arrivals.finished(listed, now)
        taken = [one for one in finished if self._growing.has(one.name)]
        pending, has_more = self._plan(finished, now)
        if pending:
            self._run(pending, now)
        commit = self._growing.commit(config, self._present)
        for one in commit.held:
            self._notices.tell(one.input, f"left out for now: {_accepted_by(one)}")
        withheld = [f"no version for now: {_accepted_by(one)}" for one in commit.withheld]
        self._notices.tell_all(_About.LIMITS, withheld)
        for name in commit.new.inputs if commit.new else ():
            self._units.pop(name, None)
        for found in taken:  # after the commit: some may have to be read whole
            self._look_for_change(found)
        return Round(commit, len(self._retries), has_more)

    def _list(self) -> list[WorkUnit]:
        """The inputs that are there; links to nothing, or into the output, are told of."""
        config = self._config.build
        lost: list[OSError] = []
        found = list_arrived(config.inputs, self._root, lost.append)
        new = [one for one in found if self._present.get(one.name) != one]
        within = {one.name: one.path for one in files_within(new, config.output)}
        why = [f"passed over: {error}" for error in lost]
        why += [f"passed over: {path} lies in the output" for path in within.values()]
        self._notices.tell_all(_About.PASSED_OVER, why)
        return [one for one in found if one.name not in within]

    def _look_at(self, listed: Sequence[WorkUnit]) -> None:
        """Forgets what was of inputs that have left or changed since the last look."""
        there = {one.name: one for one in listed}
        for name, before in self._present.items():
            if there.get(name) != before:
                self._notices.forget(name)
        self._present = there
        self._units = {n: one for n, one in self._units.items() if n in there}
        self._replaced = {n: one for n, one in self._replaced.items() if n in there}
        self._retries = {n: one for n, one in self._retries.items() if one[0].input in there}

    def waiting(self) -> list[str]:
        """The inputs that the last round found and that were not finished when it began."""
        unfinished = self._arrivals.unfinished(self._began)
        return sorted(one.name for one in unfinished if not self._growing.has(one.name))

    def _plan(self, finished: Sequence[WorkUnit], now: float) -> tuple[list[WorkUnit], bool]:
        """What to do in this round, and whether there is more."""
        pending: list[WorkUnit] = []
        size, has_more = 0, False
        for found in finished:
            if self._growing.has(found.name):
                continue
            if size >= self._config.max_round_bytes:
                has_more = True
            elif units := self._units_of(found):
                todo = [one for one in self._growing.plan(found, units) if self._is_due(one, now)]
                pending += todo
                size += sum(one.size_bytes for one in todo)
        return pending, has_more

    def _units_of(self, found: WorkUnit) -> tuple[WorkUnit, ...]:
        """What an input is read as; nothing where it can not be read."""
        known = self._units.get(found.name)
        if known is not None and known[0] == found:
            return known[1]
        read = self._config.build.settings.read
        try:
            if read.input_format is None:
                detect_format(found.path)
            units = split_units((found,), read)
        except ConfigurationError as error:
            self._notices.tell(found.name, f"passed over: {error}")
            units = ()
        except OSError as error:
            message = f"{found.path} can not be read, and is tried again: {error}"
            self._notices.tell_all(found.name, [message])
            return ()
        self._units[found.name] = found, units
        names = {one.name for one in units}
        self._retries = {
            n: one for n, one in self._retries.items() if one[0].input != found.name or n in names
        }
        return units

    def _is_due(self, unit: WorkUnit, now: float) -> bool:
        tried, again = self._retries.get(unit.name, (None, now))
        return unit != tried or now >= again

    def _look_for_change(self, found: WorkUnit) -> None:
        """Says of an input that is in a version that it has other bytes now."""
        if self._replaced.get(found.name) == found:
            return
        try:
            is_replaced = self._growing.was_replaced(found)
        except OSError:
            return  # it has just gone, or will be looked at again
        if is_replaced:
            self._replaced[found.name] = found
            message = (
                f"{found.path} was replaced by other bytes after a version took it: the build "
                "keeps what it was. Give what is new another name"
            )
            say(f"watch: {escaped_message(message)}")

    def _run(self, pending: Sequence[WorkUnit], now: float) -> None:
        """Runs the pass over these units, and says which could not be done."""
        config, target, growing = self._config.build, self._target, self._growing
        if growing.is_empty:
            with suppress(OSError):  # one has just gone: its unit fails, and is told of by name
                check_fields(pending, config.settings.read)
        growing.note(pending)
        running = config.running(sum(unit.size_bytes for unit in pending))
        if config.beam_flags:  # a run has one queue, whose claims are those of the last round
            target.delete(target.files_below(all_claims_folder(target.run)))
        with PassProgress("watch", target, pending) as progress:
            run_pass(self._work, pending, target, running, progress.update)
        done = growing.take(pending)
        for unit in pending:
            if unit.name in done:
                self._retries.pop(unit.name, None)
            else:
                self._retries[unit.name] = unit, now + _RETRY_SECONDS
        if not self._retries:
            self._notices.forget(_About.FAILURES)
        try:
            raise_unit_failures(target, [unit.name for unit in pending])
        except RunFailedError as error:
            self._notices.tell(_About.FAILURES, str(error))
        except ConfigurationError as error:
            if growing.is_empty:
                raise
            self._notices.tell(_About.FAILURES, str(error))


def _accepted_by(one: Shortfall) -> str:
    return f"{one.text} (--{one.setting.replace('_', '-')} accepts it)"
