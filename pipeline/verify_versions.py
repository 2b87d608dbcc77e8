"""Are the versions of a build a chain, and is its manifest that of the last one?

A build with versions may have an owner at work: then there are files of the version to come, and
for a moment a manifest of the version before the last.
"""

import hashlib
from collections.abc import Iterable, Sequence

from pipeline.lease import is_worked_on
from pipeline.versions import receipt_sha256
from transforms.errors import MismatchError
from transforms.passes.findings import expect
from transforms.shards.build import Build
from transforms.shards.layout import (
    MANIFEST,
    receipt_path,
    unit_of_receipt,
    version_path,
)
from transforms.shards.manifest import Manifest
from transforms.shards.receipt import Receipt
from transforms.shards.version import Version


def check_versions(
    source: Build, versions: Sequence[Version], manifest: Manifest, receipts: Sequence[Receipt]
) -> None:
    """Makes sure that the manifest is of the last version, and each receipt as a version added it.

    Args:
        source: the build. versions: all, at least one, as read_versions gives them.
        manifest: of the build, as it was read before the versions. receipts: of all of its units.

    Raises:
        MismatchError: at the first difference.
    """
    by_manifest = {one.manifest: one for one in versions}
    found = hashlib.sha256(manifest.to_json()).hexdigest()
    last = by_manifest.get(found)
    if last is None or (last != versions[-1] and not _moves(source, found)):
        raise MismatchError(
            f"{MANIFEST}: expected SHA-256 {versions[-1].manifest}, as "
            f"{version_path(versions[-1].number)} says, found {found}: run `tokenmill watch` again"
        )
    added = {unit: sha256 for one in versions[: last.number] for unit, sha256 in one.added.items()}
    for receipt in receipts:
        place = receipt_path(receipt.unit)
        expect(place, "SHA-256", added.get(receipt.unit), receipt_sha256(receipt))


def _moves(source: Build, found: str) -> bool:
    """Whether a manifest with that SHA-256 is one that was replaced since, or is about to be."""
    return is_worked_on(source) or found != hashlib.sha256(source.read(MANIFEST)).hexdigest()


def files_of_no_version(source: Build, known: Iterable[str]) -> set[str]:
    """Receipts of units that wait for a version, with the files that they name.

    Args:
        source: the build. known: the units of its manifest.

    Raises:
        MismatchError: one of the receipts is broken.
    """
    found = {unit for path in source.files() if (unit := unit_of_receipt(path)) is not None}
    waiting = source.receipts(sorted(found - set(known)))
    return {path for unit, one in waiting.items() for path in (receipt_path(unit), *one.sizes())}
