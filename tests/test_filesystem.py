"""Files by plain calls: the same as Beam's, and without Beam."""

import subprocess
import sys
from pathlib import Path

import pytest
from apache_beam.io.filesystems import FileSystems

from transforms.filesystem import delete_files, exists, find_files, is_local, replace_file


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
    (tmp_path / "broken.gz").symlink_to(tmp_path / "nowhere")
    (tmp_path / "link").symlink_to(tmp_path / "sub")
    expected = FileSystems.match([f"{tmp_path}/{pattern}"])[0].metadata_list
    found = find_files(f"{tmp_path}/{pattern}")
    assert sorted(found) == sorted((file.path, file.size_in_bytes) for file in expected)


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
    delete_files([str(old)])
    assert not exists(str(old))
    with pytest.raises(OSError, match="old"):
        delete_files([str(old)])


def test_a_local_command_leaves_beam_to_its_workers() -> None:
    program = (
        "import sys, pipeline.build, pipeline.cli, pipeline.verify, transforms.reading\n"
        "assert 'apache_beam' not in sys.modules\n"
        "from transforms import TokenizeShards\n"
        "assert 'apache_beam' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
