"""`GrowingBuild`: a build that gets units round by round, and a version when it has more inputs.

    receipts on disk ─┬─ kept      of units that a version has: never touched again
                      └─ waiting   of units that are done, and of no version yet
                                     │ the whole input is done, its books are within the limits?
                                     ▼
                                   commit: versions/<next>.json, then manifest.json

All of it is read once, when the build is opened. After that only its owner changes it, and this is
the owner. The record of a version is its commit: a manifest that is of the version before it is
written again.
"""

import hashlib
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline import books
from pipeline.books import Shortfall
from pipeline.config import BuildConfig
from pipeline.interrupts import held_interrupts
from pipeline.plan import input_differs, is_made_of
from pipeline.versions import make_version, manifest_of_receipts, receipts_of_versions
from transforms.errors import MismatchError
from transforms.passes.work_pass import WorkUnit
from transforms.shards.build import Build
from transforms.shards.input_versions import (
    fold_input_versions,
    known_input_versions,
    write_input_versions,
)
from transforms.shards.layout import MANIFEST, receipt_path, unit_of_receipt
from transforms.shards.manifest import Manifest, TokenizerEntry
from transforms.shards.receipt import Receipt
from transforms.shards.recovery import remove_units
from transforms.shards.unit_names import input_name
from transforms.shards.version import Version, read_versions, write_version


@dataclass(frozen=True)
class NewVersion:
    """A version that was just committed; inputs: the names of those that are new in it."""

    version: Version
    manifest: Manifest
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Commit:
    """What became of the units that were waiting.

    Attributes:
        new: the new version; None: there is nothing new to commit, or it is withheld.
        held: why inputs that are done are left out for now, each with its name.
        withheld: why there is no version although inputs are done.
    """

    new: NewVersion | None = None
    held: tuple[Shortfall, ...] = ()
    withheld: tuple[Shortfall, ...] = ()


class GrowingBuild:
    """A build of ours, whose lease is held.

    Args:
        target: the build. fingerprint: of its settings. tokenizer: for its manifests.

    Raises:
        MismatchError: versions, receipts or files are not what the versions say.
    """

    def __init__(self, target: Build, fingerprint: str, tokenizer: TokenizerEntry) -> None:
        self._target = target
        self._fingerprint = fingerprint
        self._tokenizer = tokenizer
        self._versions = list(read_versions(target))
        self._kept = receipts_of_versions(target, self._versions)
        files = target.files()
        for unit, receipt in self._kept.items():
            if not receipt.sizes().items() <= files.items():
                raise MismatchError(
                    f"{receipt_path(unit)}: files that it names are missing, or of another size; "
                    "versions of this build need them: put them back from a copy"
                )
        names = {name for path in files if (name := unit_of_receipt(path)) is not None}
        waiting = target.receipts(sorted(names - self._kept.keys()))
        # By input, then unit; broken: done with other settings, or without all of its files.
        self._waiting: dict[str, dict[str, Receipt]] = {}
        self._broken: dict[str, dict[str, Receipt]] = {}
        for unit, receipt in waiting.items():
            is_sound = receipt.sizes().items() <= files.items()
            is_ours = is_sound and receipt.fingerprint == fingerprint
            of_kind = self._waiting if is_ours else self._broken
            of_kind.setdefault(receipt.input.input, {})[unit] = receipt
        self._noted = known_input_versions(target)
        self._unwritten: dict[str, str] = {}
        self._notes = 0
        self._planned: dict[str, set[str]] = {}
        self._gone: set[str] = set()  # inputs of units that wait, as of the last look
        self._has_news = True
        self._last = Commit()
        self._inputs = _by_input(self._kept)
        if self._noted:
            fold_input_versions(target, self._noted)
        self._finish_commit()

    def _finish_commit(self) -> None:
        """Writes the manifest of the last version, where a run died before it did."""
        if not self._versions:
            return
        target, expected = self._target, self._versions[-1].manifest
        if target.exists(MANIFEST) and _sha256(target.read(MANIFEST)) == expected:
            return
        content = manifest_of_receipts(self._kept.values(), self._tokenizer).to_json()
        if _sha256(content) != expected:
            raise MismatchError(
                f"{MANIFEST}: expected SHA-256 {expected}, as version {len(self._versions)} says, "
                f"found {_sha256(content)} from the receipts: was the build made with the same "
                "tokenizer?"
            )
        target.write(MANIFEST, content)

    @property
    def version(self) -> Version | None:
        """The last version; None before the first."""
        return self._versions[-1] if self._versions else None

    @property
    def is_empty(self) -> bool:
        """Whether not one unit is done."""
        return not self._kept and not self._waiting

    @property
    def receipts(self) -> Sequence[Receipt]:
        """Of all units of the last version."""
        return list(self._kept.values())

    def has(self, name: str) -> bool:
        """Whether an input of that name is in a version."""
        return name in self._inputs

    def was_replaced(self, found: WorkUnit) -> bool:
        """Whether an input that is in a version has other bytes by now.

        Where only its time or ETag has changed, the file is read.

        Raises:
            OSError: it can not be.
        """
        receipts = self._inputs[found.name]
        if sum(one.input.bytes for one in receipts) != found.size_bytes:
            return True
        if all(self._noted.get(one.unit, found.version) == found.version for one in receipts):
            return False
        if any(input_differs(_part_of(found, one), one) for one in receipts):
            return True
        if found.version:
            self._keep({one.unit: found.version for one in receipts})
        return False

    def plan(self, found: WorkUnit, units: Sequence[WorkUnit]) -> list[WorkUnit]:
        """The units of an input that have to be done; what was done of it before it changed goes.

        Args:
            found: the input, in no version. units: that it is read as.
        """
        by_name = {unit.name: unit for unit in units}
        waiting = self._waiting.pop(found.name, {})
        done = {
            name: receipt
            for name, receipt in waiting.items()
            if name in by_name
            and is_made_of(receipt, by_name[name], self._fingerprint, self._noted)
        }
        stale = {name: one for name, one in waiting.items() if name not in done}
        remove_units(self._target, stale | self._broken.pop(found.name, {}))
        if done:
            self._waiting[found.name] = done
        is_new_plan = self._planned.get(found.name) != by_name.keys()
        self._has_news |= bool(stale) or (bool(done) and is_new_plan)
        self._planned[found.name] = set(by_name)
        return [unit for unit in units if unit.name not in done]

    def note(self, units: Iterable[WorkUnit]) -> None:
        """Notes the versions of inputs that are about to be read."""
        self._keep({unit.name: unit.version for unit in units if unit.version})
        self._notes += 1
        write_input_versions(self._target, self._unwritten, self._notes)
        self._unwritten = {}

    def _keep(self, versions: Mapping[str, str]) -> None:
        """Has them in the next note alone: all of them each time would grow with the square."""
        self._noted.update(versions)
        self._unwritten.update(versions)

    def take(self, units: Iterable[WorkUnit]) -> set[str]:
        """Reads the receipts of units that were tried; gives the names of those that have one.

        Raises:
            MismatchError: one was made with other settings.
        """
        names = [one.name for one in units if self._target.exists(receipt_path(one.name))]
        for name, receipt in self._target.receipts(names).items():
            if receipt.fingerprint != self._fingerprint:
                raise MismatchError(f"{receipt_path(name)}: written with other settings")
            self._waiting.setdefault(receipt.input.input, {})[name] = receipt
            self._has_news = True
        return set(names)

    def commit(self, config: BuildConfig, present: Container[str]) -> Commit:
        """Makes a version of all inputs that are done and within the limits, if there are any.

        Args:
            config: has the limits. present: the names of inputs that are there now: of those, only
                what `plan` was asked for is committed; of others what was done while they were.

        Raises:
            BuildLostError: somebody has taken the build over.
        """
        gone = {name for name in self._waiting if name not in present}
        if not self._has_news and gone == self._gone:
            return replace(self._last, new=None)
        self._gone = gone
        self._has_news = False
        ready = {
            name: list(units.values())
            for name, units in sorted(self._waiting.items())
            if self._is_whole(name, units, present)
        }
        added, held = self._within_limits(ready, config)
        new = {one.unit: one for name in added for one in ready[name]}
        withheld = self._over_limit(new, config) if new else []
        self._last = Commit(held=tuple(held), withheld=tuple(withheld))
        if not new or withheld:
            return self._last
        version, manifest, content = make_version(self._versions, self._kept, new, self._tokenizer)
        self._target.check_owned()
        with held_interrupts():  # a version without its manifest would fail `verify`
            write_version(self._target, version)
            self._versions.append(version)
            self._kept |= new
            for name in added:
                self._inputs[name] = ready[name]
                del self._waiting[name]
            self._target.write(MANIFEST, content)
        return replace(self._last, new=NewVersion(version, manifest, tuple(added)))

    def _is_whole(self, name: str, units: Mapping[str, Receipt], present: Container[str]) -> bool:
        """Whether these are all units of their input, as it is or was."""
        if name in self._planned:
            return self._planned[name] == units.keys()
        if name in present:
            return False
        if units.keys() == {name}:
            return True
        # Its file has gone before this run saw it. All of its parts were noted at once.
        return units.keys() == {n for n in self._noted if n != name and input_name(n) == name}

    def _within_limits(
        self, ready: Mapping[str, Sequence[Receipt]], config: BuildConfig
    ) -> tuple[list[str], list[Shortfall]]:
        """The inputs that may be in a version, and why the others may not."""
        receipts = [one for input_receipts in ready.values() for one in input_receipts]
        limits = books.over_limit(
            receipts, config.max_rejects, allow_truncated=config.allow_truncated
        )
        held = [one for one in limits if one.input is not None]
        names = {one.input for one in held}
        return [name for name in ready if name not in names], held

    def _over_limit(self, new: Mapping[str, Receipt], config: BuildConfig) -> list[Shortfall]:
        """Why all units together, with the new ones, are no complete build."""
        receipts = [*self._kept.values(), *new.values()]
        limits = books.over_limit(
            receipts,
            config.max_rejects,
            allow_truncated=config.allow_truncated,
            allow_empty=config.allow_empty,
        )
        return [one for one in limits if one.input is None]


def _by_input(receipts: Mapping[str, Receipt]) -> dict[str, list[Receipt]]:
    found: dict[str, list[Receipt]] = {}
    for _, receipt in sorted(receipts.items()):
        found.setdefault(receipt.input.input, []).append(receipt)
    return found


def _part_of(found: WorkUnit, receipt: Receipt) -> WorkUnit:
    """The range of an input that a receipt is of."""
    return replace(found, part=receipt.input.part)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
