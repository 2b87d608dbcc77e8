"""What a build has to do: its units, less those that are committed already."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.config import BuildConfig
from pipeline.quantities import counted
from tokenizer import ConfigurationError
from transforms.filesystem import open_raw
from transforms.passes.work_pass import WorkUnit
from transforms.reading.html_extractor import html_extractor
from transforms.shards.build import Build
from transforms.shards.input_versions import known_versions
from transforms.shards.layout import unit_of_receipt
from transforms.shards.receipt import Receipt
from transforms.shards.staged_file import digest_of, digest_of_stream


@dataclass(frozen=True)
class Plan:
    """A build's work, in the order of unit names.

    Attributes:
        units: all of it.
        done: receipts of the units that need no work, by name: made with the same settings, from
            the same input, and with all their files in place.
        stale: receipts of the units that have to be done again, by name.
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
    if unknown := sorted(set(names) - by_name.keys()):
        raise ConfigurationError(
            f"{build.root} holds {counted(len(unknown), 'unit')} of other inputs, such as "
            f"{unknown[0]!r}: name all inputs of the build; if they now share another folder, "
            "name the old one as input_root; to start over, say overwrite"
        )
    receipts = build.receipts(sorted(names))
    versions = known_versions(build)
    done: dict[str, Receipt] = {}
    broken: dict[str, str] = {}
    for name, receipt in receipts.items():
        unit = by_name[name]
        if not (
            receipt.fingerprint == fingerprint
            and receipt.input.bytes == unit.size_bytes
            and versions.get(name, unit.version) == unit.version
            and receipt.input.html_extractor in (None, html_extractor())
            and not (config.check_inputs and _input_differs(unit, receipt))
        ):
            continue
        file = _broken_file(build, receipt, files, reads=config.repair)
        if file is None:
            done[name] = receipt
        elif config.repair:
            broken[name] = file
    stale = {name: receipt for name, receipt in receipts.items() if name not in done}
    return Plan(tuple(units), done, stale, broken)


def _input_differs(unit: WorkUnit, receipt: Receipt) -> bool:
    with open_raw(unit.path) as file:
        return digest_of_stream(file).sha256 != receipt.input.sha256


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
