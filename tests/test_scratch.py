"""Temporary folders: what a killed process left goes, what is in use or another's stays."""

import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from transforms.stores import scratch
from transforms.stores.scratch import scratch_folder

_HOLD = """
from transforms.stores.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "tokens.npy").write_bytes(b"x" * 1000)
    print(folder, flush=True)
    input()
"""

# Verifies, and is killed when the unit has been encoded again.
_VERIFY = """
import os, signal, sys
import transforms.passes.retokenize as module
from pipeline.cli import main
if sys.argv[3] == "killed":
    module._compare_indexes = lambda *a: os.kill(os.getpid(), signal.SIGKILL)
sys.exit(main(["verify", sys.argv[1], "--retokenize", "1", "--input-root", sys.argv[2]]))
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of temporary files of the test's own, for its children too."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path / "temporary"


def test_a_scratch_folder_is_empty_and_gone_afterwards(temporary: Path) -> None:
    with scratch_folder() as folder:
        assert os.listdir(folder) == []
        (folder / "x").write_bytes(b"x")
    assert os.listdir(temporary) == []


def test_what_a_killed_process_left_goes_with_the_next_and_what_is_in_use_stays(
    temporary: Path,
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    theirs = Path(process.stdout.readline().strip())
    with scratch_folder():
        assert os.listdir(theirs) == ["tokens.npy"]
    process.kill()
    process.communicate()
    scratch._remove_abandoned.cache_clear()  # as in another process
    assert os.listdir(theirs) == ["tokens.npy"]
    with scratch_folder():
        assert not theirs.exists()
    assert os.listdir(temporary) == []


def test_a_folder_of_such_a_name_without_our_lock_stays(temporary: Path) -> None:
    (temporary / "tokenmill-scratch-mine").mkdir()
    (temporary / "tokenmill-scratch-mine/kept").write_bytes(b"")
    (temporary / "elsewhere").mkdir()
    (temporary / "elsewhere/lock").write_bytes(b"")
    (temporary / "tokenmill-scratch-link").symlink_to(temporary / "elsewhere")
    with scratch_folder():
        pass
    assert (temporary / "tokenmill-scratch-mine/kept").exists()
    assert (temporary / "elsewhere/lock").exists()


def test_where_there_are_no_locks_a_folder_is_removed_by_its_owner_alone(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with scratch_folder() as first, scratch_folder() as second:
        assert first.exists()
        assert second.exists()
    assert os.listdir(temporary) == []


def test_a_verify_that_was_killed_leaves_nothing_after_the_next(
    made: Path, temporary: Path
) -> None:
    codes = [
        subprocess.run(
            [sys.executable, "-c", _VERIFY, made / "output", made / "input", how],
            stdout=subprocess.DEVNULL,
        ).returncode
        for how in ("killed", "whole")
    ]
    assert codes == [-9, 0]
    assert os.listdir(temporary) == []
