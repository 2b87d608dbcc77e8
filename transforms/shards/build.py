"""`Build`: a folder that holds a build, and the run that works on it."""

import errno
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transforms import filesystem
from transforms.errors import BuildLostError, MismatchError, UnitTakenError
from transforms.filesystem import (
    exists,
    is_local,
    list_files,
    look_up,
    naming_place,
    open_raw,
    read_whole,
)
from transforms.shards import layout
from transforms.shards.formats import ShardRanges, shard_format
from transforms.shards.manifest import Manifest
from transforms.shards.noted_uploads import note_uploads
from transforms.shards.receipt import Receipt, ShardEntry
from transforms.shards.staged_file import StagedFile, sync_folders, write_whole
from transforms.shards.unit_records import Intent
from transforms.stores.scratch import scratch_folder

# On an object store to look costs a request, and small units come many a second. A build is taken
# over only after minutes of silence.
_OWNED_SECONDS = 2.0
_seen_owned: dict["Build", float] = {}

# What the file itself is at fault for, and not the disk that it lies on.
_NO_SMALL_FILE = frozenset(
    {errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL, errno.EFBIG}
)
_READERS = 16  # of small files at a time, where each is a request to a store


@dataclass(frozen=True, slots=True)
class Build:
    """Where a build is, and under which name this run works on it. Small and picklable.

    Attributes:
        root: the folder, without a slash at its end, on any filesystem.
        run: the name of the folder below `runs/` where this run keeps what is under way; "" for
            those who only read.
        is_leased: this run has taken the build for itself (pipeline/lease.py), and may lose it.
        is_shared: others write there, and `tokenmill.commit` may make a version at any moment: a
            unit that has a receipt is never written over.
    """

    root: str
    run: str = ""
    is_leased: bool = False
    is_shared: bool = False

    @classmethod
    def at(
        cls, directory: str, run: str = "", *, is_leased: bool = False, is_shared: bool = False
    ) -> "Build":
        """The build in that folder, which need not be there yet."""
        return cls(directory.rstrip("/") or "/", run, is_leased, is_shared)

    def path(self, relative: str) -> str:
        """The full path of a file, from one of layout.py."""
        return f"{self.root}/{relative}"

    @property
    def is_local(self) -> bool:
        """True when plain file calls reach it."""
        return is_local(self.root)

    # -- small files ---------------------------------------------------------------------------

    def exists(self, relative: str) -> bool:
        """Whether there is a file of that name."""
        return exists(self.path(relative))

    def read(self, relative: str) -> bytes:
        """The content of a small file.

        Raises:
            MismatchError: it is missing, no regular file, too large, or can not have such a name.
        """
        try:
            return read_whole(self.path(relative))
        except FileNotFoundError as error:
            raise MismatchError(f"{relative}: the file is missing") from error
        except ValueError as error:  # a NUL in the name
            raise MismatchError(f"{relative!r:.200}: {error}") from error
        except OSError as error:
            if error.errno in _NO_SMALL_FILE:
                raise MismatchError(f"{relative!r:.200}: {error.strerror}") from error
            raise

    def write(self, relative: str, content: bytes) -> None:
        """Writes a small file, whole or not at all.

        Raises:
            OSError: it can not be written; the message names the file.
        """
        with naming_place(self.path(relative)):
            write_whole(self.path(relative), content, self.staging, self._staging_there)

    def size(self, relative: str) -> int | None:
        """Bytes of a file; None when there is none."""
        found = look_up(self.path(relative))
        return None if found is None else found.size_bytes

    def delete(self, relatives: Iterable[str]) -> None:
        """Deletes files; those that are gone already are none of our business."""
        filesystem.delete_files(self.path(relative) for relative in relatives)

    def withdraw(self, relative: str) -> None:
        """Deletes a file so that not even a power cut brings it back."""
        if self.exists(relative):
            self.withdraw_all([relative])

    def withdraw_all(self, relatives: Sequence[str]) -> None:
        """The same of several files that are there, in that order."""
        self.delete(relatives)
        sync_folders(map(self.path, relatives))

    def check_owned(self) -> None:
        """Makes sure that this run may still write: to be called before anything appears.

        Raises:
            BuildLostError: it had taken the build, and somebody has taken it over.
        """
        if not self.is_leased:
            return
        now = time.monotonic()
        if not self.is_local and now - _seen_owned.get(self, -_OWNED_SECONDS) < _OWNED_SECONDS:
            return
        if self.exists(layout.owner_path(self.run)):
            _seen_owned[self] = now
        else:
            raise BuildLostError(
                f"{self.root} was taken over by another run while this one did not answer: "
                "it is left alone. Run the same command again when that other run has ended"
            )

    def check_free(self, unit: str) -> None:
        """Raises UnitTakenError where the build is shared and the unit has a receipt."""
        if self.is_shared and self.exists(layout.receipt_path(unit)):
            raise UnitTakenError(
                f"{self.path(layout.receipt_path(unit))} is of another input, or its files are "
                "missing: here no unit is written over. Give what is new another name or output"
            )

    # -- files of units ------------------------------------------------------------------------

    @property
    def staging(self) -> str:
        """The local folder where this run writes files before they appear.

        On the build's own disk, or, where that is an object store, among the temporary files of
        this machine, in a folder of the run's name.
        """
        if self.is_local:
            return self.path(layout.staging_folder(self.run))
        return os.path.join(tempfile.gettempdir(), f"tokenmill-{self.run}")

    @property
    def _staging_there(self) -> str:
        """The folder of this run on the build's store, for stores that write and then rename."""
        is_there = self.run and not self.is_local
        return self.path(layout.run_folder(self.run)) if is_there else ""

    def stage(self, relative: str) -> StagedFile:
        """A new file of the build, to be filled and published."""
        return StagedFile(self.path(relative), self.staging, self._staging_there)

    def publish(self, unit: str, files: Sequence[StagedFile]) -> None:
        """Makes all files of a unit appear, durably; the receipt that commits them comes after.

        Raises:
            BuildLostError: the build is not this run's any more: nothing appears.
            UnitTakenError: the build is shared, and the unit was committed meanwhile: as before.
            OSError: one can not be written.
        """
        self.check_owned()
        self.check_free(unit)
        self.note_intent(unit, [file.final_path for file in files])
        note_uploads(self, unit, files)
        for file in files:
            file.publish()
        sync_folders(file.final_path for file in files)

    def note_intent(self, unit: str, final_paths: Sequence[str]) -> None:
        """Notes what a unit is about to publish, for the case that this run dies in between.

        Files without a receipt are of no build. Whoever takes over may remove them because this
        record names them, and for no other reason. On an object store it is not noted: it would be
        two requests more for each unit, and a unit that is done again puts its files there anew;
        what is sent there in parts is noted by `note_uploads`.
        """
        if self.is_local:
            paths = tuple(path.removeprefix(f"{self.root}/") for path in final_paths)
            path = self.path(layout.intent_path(self.run, unit))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            Path(path).write_bytes(Intent(unit, paths).to_json())

    def drop_intent(self, unit: str) -> None:
        """Removes what `note_intent` noted: the unit's receipt is there, or its files are gone."""
        if self.is_local:
            Path(self.path(layout.intent_path(self.run, unit))).unlink(missing_ok=True)

    def files(self) -> dict[str, int]:
        """Every file below the folders of units: path relative to the build, and bytes."""
        found: dict[str, int] = {}
        for folder in layout.UNIT_FOLDERS:
            found.update(self.files_below(folder))
        return found

    def files_below(self, folder: str) -> dict[str, int]:
        """Every file below one folder of the build: path relative to the build, and bytes."""
        prefix = f"{self.root}/"
        return {
            file.path.replace(os.sep, "/").removeprefix(prefix): file.size_bytes
            for file in list_files(f"{prefix}{folder}")
        }

    @contextmanager
    def local_copy(self, relative: str) -> Iterator[str]:
        """A name under which plain file calls reach a file; a copy where they can not.

        Raises:
            MismatchError: it does not exist.
        """
        source = self.path(relative)
        if self.is_local:
            if not exists(source):
                raise MismatchError(f"{relative}: the file is missing")
            yield source
            return
        with scratch_folder() as folder:
            copy = Path(folder, "copy")
            try:
                with open_raw(source) as remote, copy.open("wb") as file:
                    shutil.copyfileobj(remote, file, 1 << 20)
            except FileNotFoundError as error:
                raise MismatchError(f"{relative}: the file is missing") from error
            yield str(copy)

    @contextmanager
    def open_shard(self, entry: ShardEntry) -> Iterator[ShardRanges]:
        """A token shard, to read any range of; of a store those ranges alone are fetched.

        Raises:
            MismatchError: it is missing, or not as claimed.
        """
        with self._open_claimed(entry.path, entry) as shard:
            yield shard

    @contextmanager
    def _open_claimed(self, relative: str, entry: ShardEntry) -> Iterator[ShardRanges]:
        """The shard in that file, which messages call as its entry does."""
        if self.is_local:
            with self.local_copy(relative) as local_path:
                yield shard_format(entry.format).open(local_path, entry)
            return
        try:
            file = open_raw(self.path(relative))
        except FileNotFoundError as error:
            raise MismatchError(f"{entry.path}: the file is missing") from error
        with file:
            yield shard_format(entry.format).open_stream(file, entry)

    # -- records -------------------------------------------------------------------------------

    def receipt(self, unit: str) -> Receipt:
        """A unit's receipt.

        Raises:
            MismatchError: it is missing, broken, or another unit's.
        """
        path = layout.receipt_path(unit)
        receipt = Receipt.from_json(self.read(path), path)
        if receipt.unit != unit:
            raise MismatchError(f"{path}: input.path: expected {unit}, found {receipt.unit}")
        return receipt

    def receipts(self, units: Sequence[str]) -> dict[str, Receipt]:
        """The receipts of those units, by name; many at a time where a store is asked.

        Raises:
            MismatchError: one is missing, broken, or another unit's.
        """
        if self.is_local:
            return {unit: self.receipt(unit) for unit in units}
        with ThreadPoolExecutor(_READERS) as threads:
            return dict(zip(units, threads.map(self.receipt, units), strict=True))

    def manifest(self) -> Manifest:
        """The manifest of a complete build.

        Raises:
            MismatchError: there is none.
        """
        return self.read_manifest()[0]

    def read_manifest(self) -> tuple[Manifest, bytes]:
        """The manifest, and the bytes that it was read from, both of one moment.

        Raises:
            MismatchError: there is none.
        """
        if not self.exists(layout.MANIFEST):
            raise MismatchError(
                f"{self.path(layout.MANIFEST)} does not exist: this is no build, or not a complete "
                "one; run `tokenmill build` again to complete it"
            )
        content = self.read(layout.MANIFEST)
        return Manifest.from_json(content, self.path(layout.MANIFEST)), content

    def newest_run_record(self) -> Mapping[str, Any] | None:
        """What the last run that ended wrote of itself; None when there is none to be read."""
        records = sorted(
            path for path in self.files_below(layout.RUNS) if layout.is_run_record(path)
        )
        if not records:
            return None
        try:
            record = json.loads(self.read(records[-1]))
        except (ValueError, RecursionError, OSError):
            return None
        return record if isinstance(record, dict) else None
