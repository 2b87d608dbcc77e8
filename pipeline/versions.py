"""Versions of a build: what belongs to one, read from its receipts and compared with its hashes."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from pipeline.books import make_manifest
from transforms.errors import MismatchError
from transforms.shards.build import Build
from transforms.shards.layout import receipt_path, version_path
from transforms.shards.manifest import Manifest, TokenizerEntry
from transforms.shards.receipt import Receipt
from transforms.shards.version import Version, read_versions_up_to


def receipt_sha256(receipt: Receipt) -> str:
    """Of the file that a receipt is in."""
    return hashlib.sha256(receipt.to_json()).hexdigest()


def receipts_of_versions(build: Build, versions: Sequence[Version]) -> dict[str, Receipt]:
    """The receipts of all units of the last of these versions, by name.

    Args:
        build: which holds them. versions: from the first one on.

    Raises:
        MismatchError: one is missing, broken, or not the one that a version added.
    """
    added = {unit: (sha256, one.number) for one in versions for unit, sha256 in one.added.items()}
    receipts = build.receipts(sorted(added))
    for unit, receipt in receipts.items():
        expected, number = added[unit]
        if (found := receipt_sha256(receipt)) != expected:
            raise MismatchError(
                f"{receipt_path(unit)}: expected SHA-256 {expected}, as {version_path(number)} "
                f"says, found {found}"
            )
    return receipts


def manifest_of_receipts(receipts: Iterable[Receipt], tokenizer: TokenizerEntry) -> Manifest:
    """The manifest of these units, at least one, all of the same settings."""
    given = list(receipts)
    return make_manifest(given, given[0].settings, given[0].fingerprint, tokenizer)


def make_version(
    versions: Sequence[Version],
    kept: Mapping[str, Receipt],
    added: Mapping[str, Receipt],
    tokenizer: TokenizerEntry,
) -> tuple[Version, Manifest, bytes]:
    """The next version of a build, its manifest, and that as JSON, which takes seconds to make.

    Args:
        versions: all there are. kept: the receipts of their units. added: those of new units, at
            least one. tokenizer: what the manifest says of it.
    """
    receipts = [*kept.values(), *added.values()]
    manifest = manifest_of_receipts(receipts, tokenizer)
    content = manifest.to_json()
    version = Version(
        number=len(versions) + 1,
        previous=versions[-1].sha256 if versions else None,
        fingerprint=manifest.fingerprint,
        manifest=hashlib.sha256(content).hexdigest(),
        units=len(receipts),
        added={unit: receipt_sha256(receipt) for unit, receipt in sorted(added.items())},
    )
    return version, manifest, content


def manifest_of_version(build: Build, wanted: str) -> tuple[Version, Manifest]:
    """A version and its manifest, made again of its receipts and compared with its hash.

    What it says of the tokenizer is taken from the present manifest: it is the same in all of them.

    Args:
        build: which holds it. wanted: its number, or 12 characters or more of its hash.

    Raises:
        ConfigurationError: there is no such version.
        MismatchError: what is there is not what that version was.
    """
    versions = read_versions_up_to(build, wanted)
    version = versions[-1]
    receipts = receipts_of_versions(build, versions)
    manifest = manifest_of_receipts(receipts.values(), build.manifest().tokenizer)
    if (found := hashlib.sha256(manifest.to_json()).hexdigest()) != version.manifest:
        raise MismatchError(
            f"{version_path(version.number)}: manifest: expected SHA-256 {version.manifest}, found "
            f"{found} from the receipts"
        )
    return version, manifest
