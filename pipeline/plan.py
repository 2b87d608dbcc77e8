"""What a build has to do: its units, less those that are committed already."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.config import BuildConfig
from pipeline.quantities import counted
from tokenizer import ConfigurationError
from transforms.filesystem import open_raw
from transforms.passes.work_pass import WorkUnit
from transforms.reading.html_extractor import html_extractor
from transforms.reading.raw_input import RawInput
from transforms.shards.build import Build
from transforms.shards.input_versions import known_input_versions
from transforms.shards.layout import unit_of_receipt
from transforms.shards.receipt import Receipt
from transforms.shards.staged_file import digest_of


@dataclass(frozen=True)
class Plan:
    """A build's work, in the order of unit names.

    Attributes:
        units: all of it.
        done: receipts of the units that need no work, by name: made with the same settings, from
            the same input, and with all their files in place.
        stale: receipts of the units that have to be done again, by name, and of parts that an
            input has no more.
        broken: of those, what --repair found: the first file that is not what its receipt says.
    """

    units: tuple[WorkUnit, ...]
    done: dict[str, Receipt]
    stale: dict[str, Receipt]
    broken: dict[str, str] = field(default_factory=dict)

    @property
    def pending(self) -> tuple[WorkUnit, ...]:
        """The units still to do."""
        return tuple(unit for unit in self.units if unit.name not in self.done)


def make_plan(
    config: BuildConfig, build: Build, units: Sequence[WorkUnit], fingerprint: str
) -> Plan:
    """Looks at what the output holds of these units.

    Args:
        config: what is asked for. build: the output. units: all of the inputs.
        fingerprint: of the settings; a unit of any other is done again.

    Raises:
        ConfigurationError: it holds units that are not among the inputs.
        MismatchError: a receipt there is broken.
    """
    files = build.files()
    names = [name for path in files if (name := unit_of_receipt(path)) is not None]
    by_name = {unit.name: unit for unit in units}
    receipts = build.receipts(sorted(names))
    # An input that was replaced may have more parts than it had, or fewer, or none.
    inputs = {unit.input for unit in units}
    if unknown := [name for name, receipt in receipts.items() if receipt.input.input not in inputs]:
        raise ConfigurationError(
            f"{build.root} holds {counted(len(unknown), 'unit')} not among the inputs, such as "
            f"{unknown[0]!r}: name all inputs of the build; if they now share another folder, "
            "name the old one as input_root; to start over, say overwrite"
        )
    versions = known_input_versions(build)
    done: dict[str, Receipt] = {}
    broken: dict[str, str] = {}
    for name, receipt in receipts.items():
        unit = by_name.get(name)
        if unit is None or not is_made_of(receipt, unit, fingerprint, versions):
            continue
        file = _broken_file(build, receipt, files, reads=config.repair)
        if file is None:
            done[name] = receipt
        elif config.repair:
            broken[name] = file
    if config.check_inputs:
        done = _without_changed_inputs(done, by_name)
    stale = {name: receipt for name, receipt in receipts.items() if name not in done}
    return Plan(tuple(units), done, stale, broken)


def is_made_of(
    receipt: Receipt, unit: WorkUnit, fingerprint: str, versions: Mapping[str, str]
) -> bool:
    """Whether a receipt is what this unit would give: no file of either is read.

    Args:
        receipt: of a unit of that name. unit: the input as it was listed.
        fingerprint: of the settings.
        versions: of inputs, as runs noted them, by unit.
    """
    return (
        receipt.fingerprint == fingerprint
        and receipt.is_of(unit.size_bytes, unit.part)
        and versions.get(unit.name, unit.version) == unit.version
        and receipt.input.html_extractor in (None, html_extractor())
    )


def _without_changed_inputs(
    done: Mapping[str, Receipt], by_name: Mapping[str, WorkUnit]
) -> dict[str, Receipt]:
    """Leaves out inputs whose bytes have changed: all parts of one, for a footer is read by all."""
    changed = {
        receipt.input.input
        for name, receipt in done.items()
        if input_differs(by_name[name], receipt)
    }
    return {name: one for name, one in done.items() if one.input.input not in changed}


def input_differs(unit: WorkUnit, receipt: Receipt) -> bool:
    """Reads an input, or that part of it: whether its bytes are others than the receipt says."""
    with RawInput(lambda: open_raw(unit.path), *(unit.part or ())) as raw:
        raw.drain()
        return raw.sha256 != receipt.input.sha256


def _broken_file(
    build: Build, receipt: Receipt, sizes: Mapping[str, int], *, reads: bool
) -> str | None:
    """The first file of a unit that is not what its receipt says, or None.

    Args:
        build: The output.
        receipt: Of the unit.
        sizes: Of all files that are there, by path.
        reads: Whether to compare checksums, not only sizes.
    """
    for entry in receipt.files():
        if sizes.get(entry.path) != entry.bytes:
            return entry.path
        if reads:
            with build.local_copy(entry.path) as local_path:
                if digest_of(local_path).sha256 != entry.sha256:
                    return entry.path
    return None
