"""Where a check leaves its receipts: here a temporary folder, elsewhere below `runs/`."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from pipeline.lease import tell_refused
from pipeline.run_record import new_run_name
from transforms.shards.build import Build
from transforms.shards.layout import run_folder
from transforms.shards.recovery import clear_run
from transforms.stores.scratch import scratch_folder


@contextmanager
def verify_place(checked: Build, beam_flags: Sequence[str]) -> Iterator[Build]:
    """A folder for the receipts of a check, which is gone afterwards.

    Args:
        checked: the build or export. beam_flags: of the runner whose workers are to reach the
            folder; empty: they are here.
    """
    run = new_run_name()
    if not beam_flags:
        with scratch_folder() as folder:
            yield Build.at(str(folder), run)
        return
    place = Build.at(checked.path(run_folder(run)), run)
    try:
        yield place
    finally:
        clear_run(place, run, tell_refused)
        place.delete(place.files())
        if place.is_local:
            _remove_empty_folders(place.root)


def _remove_empty_folders(root: str) -> None:
    """Where units could not be checked, why is still there."""
    for folder, _, _ in os.walk(root, topdown=False):
        with suppress(OSError):
            os.rmdir(folder)
