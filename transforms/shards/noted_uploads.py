"""Uploads in parts, noted before they begin: what a killed process leaves of them can be ended.

    runs/<run>/staging/<hash>.intent    unit a.jsonl: tokens/a.jsonl.npy, 900 MB
    tokens/a.jsonl.npy                  a part, a part, a part ... killed

The bytes that had arrived are in no listing of objects, and are billed until the upload is aborted.
A store lists uploads, but not whose they are: only those of a file that an intent names are ours. A
unit without a file of that size costs no request more.

Nobody may clear the run of a pipeline, whose build is shared. There each attempt at a unit has a
note of its own, and the first that commits the unit ends what the others have left:

    runs/pipeline-1/staging/<hash>/<attempt 1>.intent   killed
    runs/pipeline-1/staging/<hash>/<attempt 2>.intent   writes the receipt, then finds two notes
"""

import logging
import os
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tokenizer.errors import ConfigurationError
from transforms.errors import MismatchError
from transforms.filesystem import abort_upload, leaves_parts, list_uploads
from transforms.shards.layout import attempt_path, attempts_folder, intent_path, is_file_of
from transforms.shards.receipt import is_safe
from transforms.shards.staged_file import StagedFile
from transforms.shards.unit_records import Intent

if TYPE_CHECKING:
    from transforms.shards.build import Build

_READERS = 16
_log = logging.getLogger(__name__)


def note_uploads(build: "Build", unit: str, files: Sequence[StagedFile]) -> None:
    """Notes which of those files will go in parts, before they do; one request if any does.

    The note stays until `clear_run`, which then ends what dead workers, and requests that were
    repeated because their answer was lost, have left; of a shared build until `end_attempts`.
    """
    sizes = {file.final_path: os.path.getsize(file.local_path) for file in files}
    paths = [
        path.removeprefix(f"{build.root}/") for path in sizes if leaves_parts(path, sizes[path])
    ]
    if paths:
        note = intent_path(build.run, unit)
        if build.is_shared:
            note = attempt_path(build.run, unit, uuid.uuid4().hex)
        build.write(note, Intent(unit, tuple(paths)).to_json())


def end_attempts(build: "Build", unit: str, sizes: Mapping[str, int]) -> None:
    """Aborts what other attempts at a unit of a shared build are uploading, and removes all notes.

    One that is still alive then fails, and finds the receipt. What can not be aborted is said in
    the log, and the notes stay: the unit is done all the same.

    Args:
        unit: committed: its receipt is there. sizes: path and bytes of its files.
    """
    if not build.is_shared:
        return
    if not any(leaves_parts(build.path(path), size) for path, size in sizes.items()):
        return
    try:
        notes = sorted(build.files_below(attempts_folder(build.run, unit)))
        if len(notes) > 1:  # the first is ours
            abort_noted_uploads(build, notes)
        build.delete(notes)
    except (OSError, ConfigurationError) as error:
        _log.warning("%s: %s", unit, may_be_left(error, "attempts"))


def may_be_left(error: Exception, whose: str) -> str:
    """Why uploads could not be aborted, and what else ends them. whose: what was killed."""
    return (
        f"{error}: uploads of {whose} that were killed may be left; have the bucket abort what is "
        "unfinished after a day"
    )


def abort_noted_uploads(build: "Build", intents: Sequence[str]) -> None:
    """Aborts every upload of a file that one of these intents names; no other.

    A worker of a dead run that still sends one gets an error: its attempt is dead.

    Raises:
        OSError: the store does not let us look, or abort, or can not be asked.
        ConfigurationError: a package is missing.
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
