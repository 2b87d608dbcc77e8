"""`Version`: one state of a build that grows, complete, and citable by the hash of its record.

    versions/00000001.json   previous: null            added: a.jsonl, b.jsonl   manifest: 5c1f...
    versions/00000002.json   previous: hash of no. 1   added: c.jsonl            manifest: 90ab...
                             └ and so on down to no. 1: together, all units of version 2

A version holds all that its predecessors hold, and what they hold never changes. Its record tells
what it added and the SHA-256 of its whole manifest, which is made again from the receipts. Were
each record a whole manifest, 90,000 inputs that come one by one would leave 90,000, up to 104 MB
each (bench/versions.py).
"""

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tokenizer.errors import ConfigurationError
from transforms.errors import BuildLostError, MismatchError
from transforms.filesystem import create_exclusive, naming_place
from transforms.shards.build import Build
from transforms.shards.json_records import FORMAT, Count, Sha256, canonical_json, parse_record
from transforms.shards.layout import VERSIONS, number_of_version, version_path
from transforms.shards.receipt import is_safe

_REMEDY = "the versions from here on can not be trusted"
_READERS = 16
_BLOCK = 256  # records asked for before those before them were looked at
_HASH_CHARACTERS = 12  # so many name one of 90,000 versions


@dataclass(frozen=True, slots=True)
class Version:
    """A record of a version.

    Attributes:
        number: from 1.
        previous: SHA-256 of the record before it; None for the first.
        fingerprint: of the build's settings.
        manifest: SHA-256 of the manifest of all units of this version.
        units: how many it has, those of all versions before it included.
        added: the units that are new in it, each with the SHA-256 of its receipt.
    """

    number: Count
    previous: Sha256 | None
    fingerprint: Sha256
    manifest: Sha256
    units: Count
    added: Mapping[str, Sha256]

    @property
    def sha256(self) -> str:
        """Of its record: what one cites."""
        return hashlib.sha256(self.to_json()).hexdigest()

    def to_json(self) -> bytes:
        """Canonical JSON."""
        return canonical_json({"format": FORMAT, **dataclasses.asdict(self)})


def write_version(build: Build, version: Version) -> None:
    """Writes the record of a version: with that it is there. No record is ever written over.

    Raises:
        BuildLostError: there is a version of that number.
    """
    path = build.path(version_path(version.number))
    with naming_place(path):
        is_new = create_exclusive(path, version.to_json())
    if not is_new:
        raise BuildLostError(f"{path} was written by another run: this one ends")


def read_versions(build: Build) -> tuple[Version, ...]:
    """Every version, the first one first; none where the build has no versions.

    Raises:
        MismatchError: a record is missing, broken, or does not name the one before it.
    """
    return tuple(_chain(build))


def read_versions_up_to(build: Build, wanted: str) -> tuple[Version, ...]:
    """One version and all before it; what comes after may be broken.

    Args:
        build: which has them. wanted: a number, or at least 12 characters of a hash.

    Raises:
        ConfigurationError: there is no such version.
        MismatchError: as read_versions, of those that are read.
    """
    found: list[Version] = []
    for version in _chain(build):
        found.append(version)
        if wanted == str(version.number):
            return tuple(found)
        if len(wanted) >= _HASH_CHARACTERS and version.sha256.startswith(wanted.lower()):
            return tuple(found)
    raise ConfigurationError(
        f"expected a number from 1 to {len(found)}, or {_HASH_CHARACTERS} characters or more of a "
        f"version's hash, found {wanted!r:.80}",
        setting="version",
    )


def _chain(build: Build) -> Iterator[Version]:
    """Every version in order, each as far as those before it are sound."""
    numbers = sorted(filter(None, map(number_of_version, build.files_below(VERSIONS))))
    previous = fingerprint = None
    known: set[str] = set()
    for expected, (number, version) in enumerate(_read_all(build, numbers), 1):
        place = version_path(expected)
        if number != expected:
            raise MismatchError(f"{place}: the file is missing: {_REMEDY}")
        again = known.intersection(version.added)
        unsafe = [name for name in version.added if not is_safe(name)]
        if again or unsafe or not version.added:
            named = min([*again, *unsafe], default="none")
            raise MismatchError(
                f"{place}: expected units that no version before it has, found {named!r:.200}: "
                f"{_REMEDY}"
            )
        known.update(version.added)
        units = len(known)
        if version.fingerprint != (fingerprint or version.fingerprint):
            raise MismatchError(
                f"{place}: expected the fingerprint {fingerprint}, found {version.fingerprint}: "
                f"{_REMEDY}"
            )
        fingerprint = version.fingerprint
        if (version.number, version.previous, version.units) != (expected, previous, units):
            raise MismatchError(
                f"{place}: expected number {expected} after {previous}, with {units} units, found "
                f"{version.number} after {version.previous}, with {version.units}: {_REMEDY}"
            )
        previous = version.sha256
        yield version


def _read_all(build: Build, numbers: Sequence[int]) -> Iterator[tuple[int, Version]]:
    """Many at a time where a store is asked."""
    if build.is_local:
        for number in numbers:
            yield number, _read_version(build, number)
        return
    with ThreadPoolExecutor(_READERS) as threads:
        for start in range(0, len(numbers), _BLOCK):  # whoever wants the first needs no other
            block = numbers[start : start + _BLOCK]
            found = threads.map(lambda number: _read_version(build, number), block)
            yield from zip(block, found, strict=True)


def _read_version(build: Build, number: int) -> Version:
    place = version_path(number)
    content = build.read(place)
    version = parse_record(content, Version, place, _REMEDY)
    if version.to_json() != content:  # its hash would not be that of the file
        raise MismatchError(f"{place}: not canonical JSON: {_REMEDY}")
    return version
