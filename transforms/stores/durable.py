"""What outlives a power cut on a local disk: a synced file, under a name in a synced folder."""

import os


def sync(path: str) -> None:
    """Has the content of a file, or the names in a folder, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder_of(path: str) -> None:
    """Makes the name of a file durable: without it a power cut can undo a rename."""
    sync(os.path.dirname(path) or os.curdir)


def make_folder(folder: str) -> None:
    """Makes a local folder and those above it that are missing, durably."""
    if not folder or os.path.isdir(folder):
        return
    above = os.path.dirname(folder)
    make_folder(above)
    os.makedirs(folder, exist_ok=True)
    sync(above or os.curdir)
