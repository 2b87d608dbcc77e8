"""What is left of a run that ended, or died: removed because records of the build name it."""

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from tokenizer.errors import ConfigurationError
from transforms.errors import MismatchError
from transforms.shards.build import Build
from transforms.shards.layout import (
    beat_path,
    is_file_of,
    is_intent,
    is_temporary_of,
    owner_path,
    receipt_path,
    run_folder,
    staging_folder,
)
from transforms.shards.noted_uploads import abort_noted_uploads
from transforms.shards.receipt import Receipt, is_safe
from transforms.shards.unit_records import Intent

_REMOVALS = 20
_PAUSE_SECONDS = 0.1


def clear_run(
    build: Build, run: str, on_refused: Callable[[Exception], None] | None = None
) -> None:
    """Removes what a run was writing, files that it published without a receipt, and its claim.

    The folder is named after the run by the run itself, and files by its intents: nothing that was
    only found there is touched.

    Args:
        build: the build, at a moment when no other run may write there. run: which one has ended.
        on_refused: called where uploads that have not ended can not be listed or aborted, for
            whatever reason; they stay then. None: that is raised.
    """
    staging = replace(build, run=run).staging
    if os.path.isdir(staging):
        for name in sorted(os.listdir(staging)):
            path = f"{staging_folder(run)}/{name}"
            if build.is_local and is_intent(run, path):
                _undo(build, path)
        # What can not be removed keeps its owner, so that the next run tries again.
        _remove_tree(staging)
    if not build.is_local:  # else claims were in what was just removed
        there = build.files_below(run_folder(run))
        _abort_uploads(build, [path for path in there if is_intent(run, path)], on_refused)
        build.delete(path for path in there if is_temporary_of(run, path))
    build.delete([beat_path(run), owner_path(run)])
    if build.is_local:
        _clear_beats(build, run)
        with contextlib.suppress(OSError):  # it holds what is kept of the run
            os.rmdir(build.path(run_folder(run)))


def _abort_uploads(
    build: Build, intents: Sequence[str], on_refused: Callable[[Exception], None] | None
) -> None:
    try:
        abort_noted_uploads(build, intents)
    except (OSError, ConfigurationError) as error:
        # Where parts of files stay is no reason to keep a build from being resumed.
        if on_refused is None:
            raise
        on_refused(error)


def _remove_tree(folder: str) -> None:
    """Removes a folder; workers of a job that was cancelled may write there for a moment."""
    for attempt in range(_REMOVALS):
        try:
            shutil.rmtree(folder)
            return
        except FileNotFoundError:
            return  # the last of them removed it
        except OSError as error:
            if error.errno != errno.ENOTEMPTY or attempt == _REMOVALS - 1:
                raise
        time.sleep(_PAUSE_SECONDS)


def _clear_beats(build: Build, run: str) -> None:
    """Removes what is left of a claim that was being replaced when its run died."""
    folder, name = os.path.split(build.path(owner_path(run)))
    for left in os.listdir(folder) if os.path.isdir(folder) else ():
        if left.startswith(f"{name}."):
            os.unlink(os.path.join(folder, left))


def _undo(build: Build, path: str) -> None:
    """Removes files that were published for a unit which was not committed."""
    try:
        intent = Intent.from_json(build.read(path), path)
    except MismatchError:
        return  # it died while it wrote the intent: then nothing is published
    if is_safe(intent.unit) and not build.exists(receipt_path(intent.unit)):
        build.delete(path for path in intent.paths if is_file_of(intent.unit, path))


def remove_units(build: Build, receipts: dict[str, Receipt]) -> None:
    """Removes units: the receipt first, so that none ever stands for files that are gone.

    Their files are noted before, so that a crash in between leaves nothing that no record names.
    """
    for unit, receipt in receipts.items():
        build.note_intent(unit, [build.path(path) for path in receipt.sizes()])
        build.delete([receipt_path(unit)])
        build.delete(receipt.sizes())
        build.drop_intent(unit)
