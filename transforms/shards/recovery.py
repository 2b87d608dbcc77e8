"""What a run that ended, or died, leaves behind: removed because records of the build name it."""

import contextlib
import os
import shutil
from dataclasses import dataclass

from transforms.errors import MismatchError
from transforms.shards.build import Build
from transforms.shards.json_records import parse_record
from transforms.shards.layout import (
    is_file_of,
    owner_path,
    receipt_path,
    run_folder,
    staging_folder,
)
from transforms.shards.receipt import Receipt, is_safe


@dataclass(frozen=True, slots=True)
class _Intent:
    unit: str
    paths: tuple[str, ...]


def clear_run(build: Build, run: str) -> None:
    """Removes what a run was writing, files that it published without a receipt, and its claim.

    The folder is named after the run by the run itself, and files by its intents: nothing that was
    only found there is touched.
    """
    folder = build.path(staging_folder(run))
    if build.is_local and os.path.isdir(folder):
        for name in sorted(os.listdir(folder)):
            if name.endswith(".intent"):
                _undo(build, f"{staging_folder(run)}/{name}")
        shutil.rmtree(folder, ignore_errors=True)
    build.delete([owner_path(run)])
    if build.is_local:
        _clear_beats(build, run)
        with contextlib.suppress(OSError):  # it holds what is kept of the run
            os.rmdir(build.path(run_folder(run)))


def _clear_beats(build: Build, run: str) -> None:
    """Removes what is left of a claim that was being replaced when its run died."""
    folder, name = os.path.split(build.path(owner_path(run)))
    for left in os.listdir(folder) if os.path.isdir(folder) else ():
        if left.startswith(f"{name}."):
            os.unlink(os.path.join(folder, left))


def _undo(build: Build, path: str) -> None:
    """Removes files that were published for a unit which was not committed."""
    try:
        intent = parse_record(build.read(path), _Intent, path, "remove it")
    except MismatchError:
        return  # it died while it wrote the intent: then nothing is published
    if is_safe(intent.unit) and not build.exists(receipt_path(intent.unit)):
        build.delete(path for path in intent.paths if is_file_of(intent.unit, path))


def remove_units(build: Build, receipts: dict[str, Receipt]) -> None:
    """Removes units: the receipt first, so that none ever stands for files that are gone."""
    for unit, receipt in receipts.items():
        build.delete([receipt_path(unit)])
        build.delete(receipt.sizes())
