"""Several builds as one: the units of each below its name.

    web=shards/web     a.jsonl.zst    ─►  web/a.jsonl.zst
    code=shards/code   a.jsonl.zst    ─►  code/a.jsonl.zst

To read only, each file by its name: they have no folder in common, so whatever needs a path, and
all that writes or deletes, raises TypeError. All of them have the same ids: one tokenizer, one
begin and end of text.
"""

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

from tokenizer import ConfigurationError
from transforms.errors import MismatchError
from transforms.shards.build import Build
from transforms.shards.formats import ShardRanges
from transforms.shards.json_records import canonical_json
from transforms.shards.layout import MANIFEST
from transforms.shards.manifest import Manifest, Totals
from transforms.shards.receipt import IndexEntry, Receipt, ShardEntry
from transforms.shards.staged_file import StagedFile


@dataclass(frozen=True, slots=True)
class JoinedBuild(Build):
    """Builds by name. root: of the first; every file is found below its own build's.

    Attributes:
        builds: name and build, ascending by name.
    """

    builds: tuple[tuple[str, Build], ...] = ()

    @classmethod
    def of(cls, builds: Mapping[str, Build]) -> "JoinedBuild":
        """Those builds, called by their names, which have no slash."""
        named = tuple(sorted(builds.items()))
        return cls(named[0][1].root, builds=named)

    def path(self, relative: str) -> NoReturn:
        """None. Raises TypeError: below the root of the first build it would be a wrong one."""
        raise TypeError(f"{relative}: several builds as one have no path, and are only read")

    def files_below(self, folder: str) -> NoReturn:
        """None. Raises TypeError, as `path` does."""
        self.path(folder)

    def publish(self, unit: str, files: Sequence[StagedFile]) -> NoReturn:
        """Nothing. Raises TypeError, as `path` does."""
        self.path(unit)

    def note_intent(self, unit: str, final_paths: Sequence[str]) -> NoReturn:
        """Nothing. Raises TypeError, as `path` does."""
        self.path(unit)

    def drop_intent(self, unit: str) -> NoReturn:
        """Nothing. Raises TypeError, as `path` does."""
        self.path(unit)

    def delete(self, relatives: Iterable[str]) -> NoReturn:
        """Nothing. Raises TypeError, as `path` does."""
        self.path(", ".join(relatives))

    @property
    def staging(self) -> NoReturn:
        """None. Raises TypeError, as `path` does."""
        self.path("staging")

    def read(self, relative: str) -> bytes:
        """Of the manifest: what pins all of them. Of another file: its content."""
        if relative == MANIFEST:
            digests = {
                name: hashlib.sha256(build.read(MANIFEST)).hexdigest()
                for name, build in self.builds
            }
            return canonical_json(digests)
        build, inner = self._inside(relative)
        return build.read(inner)

    def read_manifest(self) -> tuple[Manifest, bytes]:
        """As `manifest` and `read` give them."""
        return self.manifest(), self.read(MANIFEST)

    def manifest(self) -> Manifest:
        """As if they were one build.

        Raises:
            MismatchError: one of them is not complete.
            ConfigurationError: they have not the same tokenizer.
        """
        manifests = {name: build.manifest() for name, build in self.builds}
        (first_name, first), *others = manifests.items()
        for name, other in others:
            for key, value in first.settings["tokenizer"].items():
                if key not in ("name", "revision") and other.settings["tokenizer"][key] != value:
                    raise ConfigurationError(
                        f"{first_name} and {name} differ in tokenizer.{key}: {value!r} and "
                        f"{other.settings['tokenizer'][key]!r}: build them alike"
                    )
        return Manifest(
            fingerprint=hashlib.sha256(
                canonical_json({name: one.fingerprint for name, one in manifests.items()})
            ).hexdigest(),
            settings=first.settings,
            tokenizer=first.tokenizer,
            totals=_sum([one.totals for one in manifests.values()]),
            inputs=tuple(
                dataclasses.replace(book, path=f"{name}/{book.path}")
                for name, one in manifests.items()
                for book in one.inputs
            ),
            shards=tuple(
                _named_shard(name, shard) for name, one in manifests.items() for shard in one.shards
            ),
            indexes=tuple(
                _named_index(name, index)
                for name, one in manifests.items()
                for index in one.indexes
            ),
        )

    def receipt(self, unit: str) -> Receipt:
        """A unit's receipt, its paths as they are here."""
        name, _, inner = unit.partition("/")
        receipt = self._named(name).receipt(inner)
        return dataclasses.replace(
            receipt,
            input=dataclasses.replace(receipt.input, path=unit),
            shards=tuple(_named_shard(name, shard) for shard in receipt.shards),
            documents=_named_index(name, receipt.documents),
            rejects=None if receipt.rejects is None else _named_index(name, receipt.rejects),
        )

    @contextmanager
    def local_copy(self, relative: str) -> Iterator[str]:
        """A name under which plain file calls reach a file; a copy where they can not."""
        build, inner = self._inside(relative)
        with build.local_copy(inner) as local_path:
            yield local_path

    @contextmanager
    def open_shard(self, entry: ShardEntry) -> Iterator[ShardRanges]:
        """A token shard, to read any range of."""
        build, inner = self._inside(entry.path)
        with build._open_claimed(inner, entry) as shard:
            yield shard

    def _inside(self, relative: str) -> tuple[Build, str]:
        folder, _, rest = relative.partition("/")
        name, _, inner = rest.partition("/")
        return self._named(name), f"{folder}/{inner}"

    def _named(self, name: str) -> Build:
        for own, build in self.builds:
            if own == name:
                return build
        raise MismatchError(
            f"no build of the name {name!r} among {[own for own, _ in self.builds]}"
        )


def _named_shard(name: str, shard: ShardEntry) -> ShardEntry:
    return dataclasses.replace(shard, path=_below(name, shard.path))


def _named_index(name: str, index: IndexEntry) -> IndexEntry:
    return dataclasses.replace(index, path=_below(name, index.path))


def _below(name: str, path: str) -> str:
    folder, _, rest = path.partition("/")
    return f"{folder}/{name}/{rest}"


def _sum(totals: Sequence[Totals]) -> Totals:
    sums = {
        field.name: sum(getattr(one, field.name) for one in totals)
        for field in dataclasses.fields(Totals)
        if field.name != "rejects"
    }
    rejects = sum((Counter(one.rejects) for one in totals), Counter[str]())
    return Totals(**sums, rejects=dict(sorted(rejects.items())))
