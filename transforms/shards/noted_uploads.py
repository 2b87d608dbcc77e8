"""Uploads in parts, noted before they begin: what a killed process leaves of them can be ended.

    runs/<run>/staging/<hash>.intent    unit a.jsonl: tokens/a.jsonl.npy, 900 MB
    tokens/a.jsonl.npy                  a part, a part, a part ... killed

The bytes that had arrived are in no listing of objects, and are billed until the upload is aborted.
A store lists uploads, but not whose they are: only those of a file that an intent names are ours. A
unit without a file of that size costs no request more.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from tokenizer.errors import ConfigurationError
from transforms.errors import MismatchError
from transforms.filesystem import abort_upload, leaves_parts, list_uploads
from transforms.shards.layout import intent_path, is_file_of
from transforms.shards.receipt import is_safe
from transforms.shards.staged_file import StagedFile
from transforms.shards.unit_records import Intent

if TYPE_CHECKING:
    from transforms.shards.build import Build

_READERS = 16


@contextmanager
def noted_uploads(build: "Build", unit: str, files: Sequence[StagedFile]) -> Iterator[None]:
    """Uploads those files within its block; which of them go in parts is noted before.

    The note stays until `clear_run`, which then ends what dead workers, and requests that were
    repeated because their answer was lost, have left. Where the build is shared nobody may clear
    the run of a pipeline: there the attempt that succeeds ends what another one of this unit left.
    """
    paths = [
        file.final_path.removeprefix(f"{build.root}/")
        for file in files
        if leaves_parts(file.final_path, os.path.getsize(file.local_path))
    ]
    if not paths:
        yield
        return
    intent = intent_path(build.run, unit)
    is_second = build.is_shared and build.exists(intent)
    build.write(intent, Intent(unit, tuple(paths)).to_json())
    yield
    if is_second:
        # The unit is done, whether or not the store lets us look.
        with suppress(PermissionError, ConfigurationError):
            abort_noted_uploads(build, [intent])
    if build.is_shared:
        build.delete([intent])


def abort_noted_uploads(build: "Build", intents: Sequence[str]) -> None:
    """Aborts every upload of a file that one of these intents names; no other.

    A worker of a dead run that still sends one gets an error: its attempt is dead.

    Raises:
        PermissionError: the store does not let us look, or abort.
        ConfigurationError: a package is missing. OSError: the store can not be asked.
    """
    if not intents or not (found := list(list_uploads(build.root))):
        return
    with ThreadPoolExecutor(_READERS) as threads:
        ours = {
            path for paths in threads.map(lambda one: _noted(build, one), intents) for path in paths
        }
    for upload in found:
        if upload.path.removeprefix(f"{build.root}/") in ours:
            abort_upload(upload)


def _noted(build: "Build", path: str) -> list[str]:
    try:
        intent = Intent.from_json(build.read(path), path)
    except MismatchError:
        return []  # of another version, or gone
    return [name for name in intent.paths if is_safe(intent.unit) and is_file_of(intent.unit, name)]
