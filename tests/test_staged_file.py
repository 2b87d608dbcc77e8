"""Files that appear whole or not at all, and stay."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from transforms import filesystem
from transforms.filesystem import naming_place
from transforms.shards import staged_file
from transforms.shards.build import Build
from transforms.shards.recovery import remove_units
from transforms.shards.staged_file import StagedFile, sync_folders, write_whole
from transforms.stores.durable import make_folder


class Disk:
    """What reaches the disk, in order: the file or folder by name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        self.log: list[str] = []
        self._root = root
        fsync, replace, unlink = os.fsync, os.replace, os.remove

        def syncing(descriptor: int) -> None:
            path = os.readlink(f"/proc/self/fd/{descriptor}")
            self.log.append(f"sync {self._name(path)}")
            fsync(descriptor)

        def replacing(source: Any, target: Any) -> None:
            self.log.append(f"rename to {self._name(target)}")
            replace(source, target)

        def removing(path: Any) -> None:
            self.log.append(f"remove {self._name(path)}")
            unlink(path)

        monkeypatch.setattr(os, "fsync", syncing)
        monkeypatch.setattr(os, "replace", replacing)
        monkeypatch.setattr(os, "remove", removing)

    def _name(self, path: Any) -> str:
        name = os.path.relpath(path, self._root)
        return "the staged file" if name.startswith("staging/") else name


def test_a_file_is_synced_then_renamed_then_its_folder_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch, tmp_path)
    write_whole(str(tmp_path / "deep/er/x"), b"content", str(tmp_path / "staging"))
    assert disk.log == [
        "sync the staged file",
        "sync .",
        "sync deep",
        "rename to deep/er/x",
        "sync deep/er",
    ]


def test_a_digest_is_taken_while_the_file_is_synced_and_publishing_waits_for_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch, tmp_path)
    with StagedFile(str(tmp_path / "x"), str(tmp_path / "staging")) as staged:
        Path(staged.local_path).write_bytes(b"abc")
        digest = staged.finish()
        staged.publish()
    assert digest.bytes == 3
    assert digest.sha256.startswith("ba7816bf")
    assert disk.log == ["sync the staged file", "rename to x"]
    sync_folders([str(tmp_path / "x"), str(tmp_path / "y")])
    assert disk.log[2:] == ["sync ."]


def test_a_file_that_could_not_be_synced_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    for finish in (True, False):
        with StagedFile(str(tmp_path / "x"), str(tmp_path / "staging")) as staged:
            Path(staged.local_path).write_bytes(b"abc")
            if finish:
                staged.finish()
            with pytest.raises(OSError, match="Input/output"):
                staged.publish()
    assert not (tmp_path / "x").exists()
    assert os.listdir(tmp_path / "staging") == []


def test_what_is_not_published_leaves_no_trace(tmp_path: Path) -> None:
    staged = StagedFile(str(tmp_path / "x"), str(tmp_path / "staging"))
    with staged:
        Path(staged.local_path).write_bytes(b"abc")
        assert os.listdir(tmp_path / "staging") != []
    assert os.listdir(tmp_path / "staging") == []
    staged.discard()
    with StagedFile(str(tmp_path / "x"), str(tmp_path / "staging")) as staged:
        Path(staged.local_path).write_bytes(b"abc")
        staged.publish()
    assert (tmp_path / "x").read_bytes() == b"abc"


def test_folders_are_made_durably_and_only_where_they_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch, tmp_path)
    make_folder(str(tmp_path / "a/b"))
    make_folder(str(tmp_path / "a/b"))
    make_folder("")
    assert disk.log == ["sync .", "sync a"]


def test_a_withdrawn_file_does_not_come_back_after_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = Build.at(str(tmp_path), "run")
    (tmp_path / "manifest.json").write_bytes(b"{}")
    disk = Disk(monkeypatch, tmp_path)
    build.withdraw("manifest.json")
    build.withdraw("manifest.json")
    assert disk.log == ["remove manifest.json", "sync ."]


def test_a_receipt_goes_before_the_files_it_stands_for(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = Build.at(str(output))
    unit = "web/lines.jsonl"
    disk = Disk(monkeypatch, output)
    remove_units(build, {unit: build.receipt(unit)})
    assert disk.log[0] == f"remove receipts/{unit}.json"
    assert len(disk.log) > 3


def test_a_file_that_goes_while_it_is_looked_for_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transforms.errors import MismatchError
    from transforms.shards import build as module

    monkeypatch.setattr(module, "exists", lambda _: True)
    with pytest.raises(MismatchError, match="x: the file is missing"):
        Build.at(str(tmp_path)).read("x")


def full(*_: Any, **__: Any) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    "write",
    [
        lambda build: build.write("runs/run/x.json", b"{}"),
        lambda build: build.write("manifest.json", b"{}"),
    ],
)
def test_a_full_disk_says_where(
    write: Callable[[Build], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staged_file, "sync", full)
    with pytest.raises(OSError, match=str(tmp_path)):
        write(Build.at(str(tmp_path), "run"))


def test_an_error_that_names_a_file_keeps_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"), naming_place("/elsewhere"):
        open(tmp_path / "nowhere").close()
    with pytest.raises(OSError, match="one text"), naming_place("/elsewhere"):
        raise OSError("one text")


def test_a_file_is_new_or_refused_and_never_half_there(tmp_path: Path) -> None:
    path = str(tmp_path / "deep/mark")
    assert filesystem.create_exclusive(path, b"first")
    assert not filesystem.create_exclusive(path, b"second")
    assert Path(path).read_bytes() == b"first"
    assert os.listdir(tmp_path / "deep") == ["mark"]


def test_a_new_file_where_the_system_has_no_files_without_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "O_TMPFILE")
    path = str(tmp_path / "mark")
    assert filesystem.create_exclusive(path, b"first")
    assert not filesystem.create_exclusive(path, b"second")
    assert os.listdir(tmp_path) == ["mark"]


def test_every_way_to_write_a_local_file_syncs_it_and_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "deep/x")
    (tmp_path / "deep").mkdir()
    disk = Disk(monkeypatch, tmp_path)

    def synced() -> list[str]:
        log = [line if line.startswith("rename") else line.split(".")[0] for line in disk.log]
        disk.log.clear()
        return log

    assert filesystem.create_exclusive(path, b"1")
    first, second = synced()
    assert first.startswith("sync ")
    assert second == "sync deep"
    filesystem.write_whole(path, b"2")
    assert synced()[:3] == ["sync deep/x", "rename to deep/x", "sync deep"]
    _, version = filesystem.read_version(path)
    assert filesystem.replace_version(path, b"3", version)
    assert synced()[:3] == ["sync deep/x", "rename to deep/x", "sync deep"]
    (tmp_path / "local").write_bytes(b"4")
    filesystem.put_file(str(tmp_path / "local"), path)
    assert synced() == ["sync local", "rename to deep/x", "sync deep"]
    assert Path(path).read_bytes() == b"4"


def test_a_new_file_where_a_file_without_a_name_can_not_be_linked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def without_proc(source: str, *more: Any, **named: Any) -> None:
        if source.startswith("/proc"):
            raise FileNotFoundError(2, "No such file or directory")
        link(source, *more, **named)

    monkeypatch.setattr(os, "link", without_proc)
    path = str(tmp_path / "mark")
    assert filesystem.create_exclusive(path, b"first")
    assert not filesystem.create_exclusive(path, b"second")
    assert os.listdir(tmp_path) == ["mark"]


def test_a_folder_that_nobody_may_write_to_is_an_error_and_no_reason_to_try_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def refused(path: str, flags: int, *more: Any, **named: Any) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise PermissionError(13, "Permission denied", path)
        return real(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(PermissionError, match=str(tmp_path)):
        filesystem.create_exclusive(str(tmp_path / "mark"), b"first")
    assert os.listdir(tmp_path) == []


def test_a_record_whose_name_could_not_be_made_durable_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A receipt, say: its unit would be done, and a power cut could undo that."""

    def refused(folder: str) -> None:
        raise OSError(5, "Input/output error", folder)

    path = tmp_path / "receipts" / "a.json"
    staging = str(tmp_path / "staging")

    def write_unsynced(content: bytes) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(staged_file, "sync_folders", lambda paths: refused(str(path.parent)))
            with pytest.raises(OSError, match="receipts"):
                write_whole(str(path), content, staging)

    write_unsynced(b"1")
    assert not path.exists()
    write_whole(str(path), b"1", staging)
    write_unsynced(b"2")
    assert path.read_bytes() == b"2", "there is no going back to what it replaced"
    with monkeypatch.context() as patch:
        patch.setattr(StagedFile, "publish", lambda self: refused(self.final_path))
        with pytest.raises(OSError, match="receipts"):
            write_whole(str(path), b"3", staging)
    assert path.read_bytes() == b"2", "what was not replaced stays"
