"""Files by plain calls: the same as Beam's, and without Beam."""

import errno
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from apache_beam.io.filesystems import FileSystems

from tokenizer import ConfigurationError
from transforms.filesystem import (
    _open_store,
    create_exclusive,
    delete_files,
    exists,
    find_files,
    is_local,
    list_files,
    look_up,
    open_raw,
    put_file,
    read_version,
    read_whole,
    replace_file,
    replace_version,
    write_whole,
)


@pytest.mark.parametrize(
    "pattern",
    [
        "*",
        "*.gz",
        "a*",
        ".*",
        "?.gz",
        "[ab].gz",
        "[!a].gz",
        "a.gz",
        "sub",
        "none",
        "none/*",
        "[.gz",
        "sub/*",
        "*/a.gz",
        "**",
        "**.gz",
        "sub/**",
        "s*/*",
        "link/*",
        "A.gz",
        "[a-c]*[z]",
    ],
)
def test_a_pattern_finds_what_beam_finds(pattern: str, tmp_path: Path) -> None:
    for name in ("a.gz", "b.gz", ".hidden.gz", "ab.txt", "[.gz", "sub/a.gz", "sub/deep/b.gz"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    (tmp_path / "c.gz").symlink_to(tmp_path / "a.gz")
    (tmp_path / "link").symlink_to(tmp_path / "sub")
    expected = FileSystems.match([f"{tmp_path}/{pattern}"])[0].metadata_list
    found = find_files(f"{tmp_path}/{pattern}")
    expected_pairs = [(file.path, file.size_in_bytes) for file in expected]
    assert sorted(file[:2] for file in found) == sorted(expected_pairs)


def test_a_link_to_nothing_is_not_left_out_in_silence(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(b"a")
    (tmp_path / "broken.gz").symlink_to(tmp_path / "nowhere")
    for pattern in ("*.gz", "**"):
        with pytest.raises(FileNotFoundError, match=r"a link to nothing: .*broken\.gz"):
            find_files(f"{tmp_path}/{pattern}")
    assert [file.path for file in find_files(f"{tmp_path}/a*")] == [f"{tmp_path}/a.gz"]


def test_folders_are_reached_by_links_each_once(tmp_path: Path) -> None:
    elsewhere, data = tmp_path / "elsewhere", tmp_path / "data"
    (elsewhere / "deep").mkdir(parents=True)
    (elsewhere / "a.gz").write_bytes(b"a")
    (elsewhere / "deep/up").symlink_to(elsewhere)
    data.mkdir()
    (data / "de").symlink_to(elsewhere)
    for pattern in ("*/a.gz", "**"):
        found = [file.path for file in find_files(f"{data}/{pattern}")]
        assert found == [f"{data}/de/a.gz"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_can_not_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed").chmod(0)
    with pytest.raises(PermissionError):
        find_files(f"{tmp_path}/**")


@pytest.mark.parametrize(
    "path", ["a", "/a/b", "a:b", "gs://bucket/a", "s3a+x.y-z://b", " hdfs://h"]
)
def test_what_beam_gives_a_scheme_is_not_local(path: str) -> None:
    assert is_local(path) == (FileSystems.get_scheme(path) is None)


def test_a_file_takes_the_place_of_another(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("old")
    new.write_text("new")
    replace_file(str(new), str(old))
    assert (exists(str(new)), old.read_text()) == (False, "new")
    delete_files([str(old), str(new)])
    assert not exists(str(old))


def test_a_question_mark_does_not_cross_a_folder(tmp_path: Path) -> None:
    (tmp_path / "x/y").mkdir(parents=True)
    (tmp_path / "x/y/a").write_bytes(b"")
    assert find_files(f"{tmp_path}/x?y/**") == find_files(f"{tmp_path}/*?y/*") == []
    assert [file.path for file in find_files(f"{tmp_path}/?/y/a")] == [f"{tmp_path}/x/y/a"]


def test_a_name_with_brackets_stands_for_itself(tmp_path: Path) -> None:
    (tmp_path / "a[1].gz").write_bytes(b"")
    assert [file.path for file in find_files(f"{tmp_path}/a[1].gz")] == [f"{tmp_path}/a[1].gz"]
    (tmp_path / "a1.gz").write_bytes(b"")
    assert [file.path for file in find_files(f"{tmp_path}/a[1].gz")] == [f"{tmp_path}/a1.gz"]


def test_a_pattern_without_a_folder_gives_names_as_they_are_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.gz").write_bytes(b"")
    (tmp_path / "sub/b.gz").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    assert [file.path for file in find_files("*.gz")] == ["a.gz"]
    assert sorted(file.path for file in find_files("**.gz")) == ["a.gz", "sub/b.gz"]


def test_a_folder_is_listed_at_any_depth(tmp_path: Path) -> None:
    for name in ("a", "b/c/d", "b/e"):
        write_whole(f"{tmp_path}/{name}", name.encode())
    listed = sorted((file.path, file.size_bytes) for file in list_files(str(tmp_path)))
    assert listed == [(f"{tmp_path}/{name}", len(name)) for name in ("a", "b/c/d", "b/e")]
    assert list(list_files(f"{tmp_path}/none")) == []


def test_another_content_is_another_version(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1")
    os.utime(path, ns=(1, 1))
    before = look_up(str(path))
    path.write_bytes(b"2")
    os.utime(path, ns=(1, 2))
    after = look_up(str(path))
    assert before is not None
    assert after is not None
    assert before.version != after.version
    assert find_files(f"{tmp_path}/*") == [after] == list(list_files(str(tmp_path)))
    assert look_up(f"{tmp_path}/none") is None


def test_a_file_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"{tmp_path}/new/a"
    write_whole(path, b"old")

    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "the disk is full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="full"):
        write_whole(path, b"new")
    assert read_whole(path) == b"old"
    assert os.listdir(f"{tmp_path}/new") == ["a"]


def test_the_folder_is_synced_after_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    )
    write_whole(f"{tmp_path}/a", b"1")
    (tmp_path / "staged").write_bytes(b"2")
    put_file(f"{tmp_path}/staged", f"{tmp_path}/b")
    assert [Path(path).name.split(".")[0] for path in synced] == [
        "a",
        tmp_path.name,
        "staged",
        tmp_path.name,
    ]


def test_a_staged_file_moves_to_its_place_also_from_another_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "staged").write_bytes(b"1")
    put_file(f"{tmp_path}/staged", f"{tmp_path}/new/a")
    assert read_whole(f"{tmp_path}/new/a") == b"1"
    (tmp_path / "staged").write_bytes(b"2")
    rename = os.replace

    def refuse(source: str, target: str) -> None:
        if source.endswith("staged"):
            raise OSError(errno.EXDEV, "another disk")
        rename(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    put_file(f"{tmp_path}/staged", f"{tmp_path}/new/a")
    assert read_whole(f"{tmp_path}/new/a") == b"2"
    assert os.listdir(f"{tmp_path}/new") == ["a"]


def test_of_many_that_create_a_file_one_does(tmp_path: Path) -> None:
    path = f"{tmp_path}/lease"
    contents = [str(number).encode() for number in range(16)]
    with ThreadPoolExecutor(8) as threads:
        won = list(threads.map(lambda content: create_exclusive(path, content), contents))
    assert won.count(True) == 1
    assert read_whole(path) == contents[won.index(True)]
    assert os.listdir(tmp_path) == ["lease"]


def test_of_many_that_replace_a_version_one_does(tmp_path: Path) -> None:
    path = f"{tmp_path}/lease"
    assert not replace_version(path, b"", "1")
    write_whole(path, b"old")
    os.utime(path, ns=(1, 1))
    content, version = read_version(path)
    assert content == b"old"
    contents = [str(number).encode() for number in range(16)]
    with ThreadPoolExecutor(8) as threads:
        won = list(threads.map(lambda new: replace_version(path, new, version), contents))
    assert won.count(True) == 1
    assert read_whole(path) == contents[won.index(True)]
    assert os.listdir(tmp_path) == ["lease"]


def test_beam_is_not_imported_before_a_transform_is_asked_for() -> None:
    program = (
        "import sys, pipeline.commands.build, pipeline.commands.verify, pipeline.cli\n"
        "assert 'apache_beam' not in sys.modules\n"
        "from transforms import TokenizeShards\n"
        "assert 'apache_beam' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("path", "extra"), [("s3://bucket/a", "aws"), ("gs://bucket/a", "gcs"), ("az://box/a", "azure")]
)
def test_a_missing_package_is_named_with_its_remedy(
    path: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    _open_store.cache_clear()
    for use in (find_files, exists, open_raw, read_whole, lambda there: write_whole(there, b"")):
        with pytest.raises(ConfigurationError, match=rf"pip install 'tokenmill\[{extra}\]'$"):
            use(path)
    _open_store.cache_clear()
