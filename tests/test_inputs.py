"""Which files are inputs, by what names; whatever they are called."""

import io
import os
import socket
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_inputs import json_lines

from pipeline.cli import main
from pipeline.commands.build import build
from pipeline.commands.verify import verify
from pipeline.config import BuildConfig
from pipeline.inputs import common_root, list_units
from tokenizer import ConfigurationError
from transforms.reading import ReadSettings
from transforms.shards.layout import (
    documents_path,
    receipt_path,
    rejects_path,
    shard_path,
    unit_of_receipt,
)
from transforms.shards.receipt import is_safe
from transforms.shards.unit_names import relative_path, unit_name

ODD = [
    b"caf\xe9.jsonl",
    b"new\nline.jsonl",
    b"[ab].jsonl",
    b"star*.jsonl",
    b"what?.jsonl",
    b"50%.jsonl",
    b"%0A.jsonl",
    b"x" * 220 + b".jsonl",
    b"x" * 219 + b"y.jsonl",
    "縦".encode() * 80 + b".jsonl",
    b"\x1b[2Jcomplete: yes.jsonl",
    b" blank .jsonl",
    b"a.jsonl",
    b"a.jsonl.npy/b.jsonl",
    b"a.jsonl-00000.npy/b.jsonl",
    b"a.jsonl.parquet/a.jsonl.json/c.jsonl",
    b"..a/...jsonl",
    "\u202eright.jsonl".encode(),
]


def write_odd(folder: Path) -> None:
    for number, name in enumerate(ODD):
        path = os.path.join(os.fsencode(folder), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(json_lines(f"n{number}", 1 + number))


@pytest.mark.parametrize("limit", [["--workers", "2"], ["--max-shard-tokens", "30"]])
def test_files_of_any_name_are_built_verified_and_read_again(
    limit: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_odd(tmp_path / "in")
    arguments = ["--input", f"{tmp_path}/in/**", "--output", f"{tmp_path}/out", *limit]
    assert main(["build", *arguments, "--input-root", f"{tmp_path}/in"]) == 0
    assert main(["verify", f"{tmp_path}/out", "--retokenize", "1"]) == 0
    out, _ = capsys.readouterr()
    assert "\x1b" not in out
    for path in (tmp_path / "out").rglob("*"):
        assert str(path).isprintable()
    receipts = [path for path in (tmp_path / "out/receipts").rglob("*.json") if path.is_file()]
    assert len(receipts) == len(ODD)


@pytest.mark.parametrize("name", [b"[ab].jsonl", b"star*.jsonl", b"what?.jsonl", b"caf\xe9.jsonl"])
def test_a_file_named_by_itself_is_taken_literally(name: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for each in (name, b"a.jsonl", b"star1.jsonl", b"what1.jsonl"):
        with open(os.path.join(os.fsencode(folder), each), "wb") as file:
            file.write(json_lines("x", 1))
    path = os.path.join(str(folder), os.fsdecode(name))
    units = list_units([path], common_root([path]), str(tmp_path / "out"), ReadSettings())
    assert [unit.path for unit in units] == [path]
    assert units[0].name == unit_name(os.fsdecode(name))


# Characters that could be taken for something else, and bytes that are no characters.
_COMPONENT = st.one_of(
    st.text(
        st.sampled_from([*"ab%.~-0129AF[]*?\n\t \x1b", "\udce9", "\udcff", "é", "\u202e"]),
        min_size=1,
        max_size=12,
    ),
    st.builds(lambda text, n: text * n, st.sampled_from(["x", "縦", "%"]), st.integers(60, 255)),
    st.sampled_from(["a.npy", "a.npy.npy", "a.jsonl.json", "a%2Enpy", "%7E", "x" * 200]),
).filter(lambda name: name not in (".", "..") and "/" not in name)
_PATH = st.lists(_COMPONENT, min_size=1, max_size=3).map("/".join)


@given(_PATH)
@settings(derandomize=True, max_examples=300, deadline=None)
def test_a_unit_name_is_safe_printable_short_and_tells_its_path(path: str) -> None:
    name = unit_name(path)
    assert is_safe(name)
    assert name.isprintable()
    assert all(len(part.encode()) <= 200 for part in name.split("/"))
    assert unit_of_receipt(receipt_path(name)) == name
    assert relative_path(name) in (path, None)
    if all(len(part.encode(errors="surrogateescape")) <= 50 for part in path.split("/")):
        assert relative_path(name) == path


def files_of(name: str) -> set[str]:
    shards = {shard_path(name, ".npy", number) for number in (0, 3, 99_999, 100_000)}
    return {receipt_path(name), documents_path(name), rejects_path(name), *shards}


@given(st.lists(_PATH, min_size=2, max_size=6, unique=True))
@settings(derandomize=True, max_examples=300, deadline=None)
def test_no_two_inputs_share_a_file_and_no_file_is_another_ones_folder(paths: list[str]) -> None:
    folders = {path[:at] for path in paths for at, letter in enumerate(path) if letter == "/"}
    paths = [path for path in paths if path not in folders]  # a file can not be a folder, either
    files = [file for path in paths for file in files_of(unit_name(path))]
    assert len(set(files)) == len(files)
    above = {file[:at] for file in files for at, letter in enumerate(file) if letter == "/"}
    assert not above & set(files)
    plain = [shard_path(unit_name(path), ".npy", None) for path in paths]
    assert len(set(plain)) == len(plain)
    assert not above & set(plain)


def test_two_long_names_that_differ_at_their_end_are_two_units() -> None:
    assert unit_name("x" * 250 + "1") != unit_name("x" * 250 + "2")
    assert relative_path(unit_name("x" * 250)) is None
    assert unit_name("x" * 200) == "x" * 200
    assert unit_name("x" * 201) != "x" * 201


@pytest.mark.parametrize(
    ("patterns", "root"),
    [
        (["/d/a/x/*", "/d/b/x/*"], "/d"),
        (["/d/a/x/*", "/d/a/y/*"], "/d/a"),
        (["/d/a?/x/*"], "/d"),
        (["/d/*"], "/d"),
    ],
)
def test_folders_of_one_name_below_others_are_not_shared(patterns: list[str], root: str) -> None:
    assert common_root(patterns) == root


def test_inputs_of_the_whole_machine_need_a_root() -> None:
    with pytest.raises(ConfigurationError, match="share no folder"):
        common_root(["/a/x.jsonl", "/b/y.jsonl"])


def test_a_relative_root_stays_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert common_root(["web/en/*", "web/de/*"]) == "web"
    assert common_root(["a.jsonl"]) == "."


def refused(path: Path, output: Path) -> str:
    with pytest.raises(ConfigurationError) as error:
        list_units([str(path)], str(path.parent), str(output), ReadSettings())
    return str(error.value)


def test_a_pipe_a_socket_and_a_device_are_refused_by_name(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(str(tmp_path / "socket.jsonl"))
    assert "pipe.jsonl is a pipe" in refused(tmp_path / "pipe.jsonl", tmp_path / "out")
    assert "socket.jsonl is a socket" in refused(tmp_path / "socket.jsonl", tmp_path / "out")
    (tmp_path / "a.jsonl").write_bytes(json_lines("a", 1))
    assert "pipe.jsonl is a pipe" in refused(tmp_path / "[ap]*.jsonl", tmp_path / "out")
    (tmp_path / "zero.jsonl").symlink_to("/dev/zero")
    assert "zero.jsonl is a device" in refused(tmp_path / "zero.jsonl", tmp_path / "out")
    assert "/dev/zero is a device" in refused(Path("/dev/zero"), tmp_path / "out")


def test_a_folder_is_refused_with_what_to_write(tmp_path: Path) -> None:
    assert f"try {tmp_path}/*" in refused(tmp_path, tmp_path.parent / "out")


def test_an_input_outside_the_root_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(json_lines("a", 1))
    with pytest.raises(ConfigurationError, match="does not lie in"):
        list_units([f"{tmp_path}/*"], f"{tmp_path}/sub", "/out", ReadSettings())


def test_standard_input_is_one_unit_and_is_done_again_when_it_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["build", "--input", "-", "--output", str(tmp_path / "out")]
    done = []
    for content in (json_lines("a", 3), json_lines("a", 3), json_lines("b", 3)):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        assert main([*arguments, "--input-format", "jsonl"]) == 0
        done.append((tmp_path / "out/receipts/stdin.json").stat().st_mtime_ns)
    assert done[0] == done[1] != done[2]
    assert not list((tmp_path / "out/runs").glob("*/staging"))
    assert main(arguments) == 2  # of which format?


def test_a_name_that_was_shortened_is_found_again_to_compare(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / f"{'x' * 230}.jsonl").write_bytes(json_lines("x", 2))
    config = BuildConfig(inputs=(f"{folder}/*",), output=str(tmp_path / "out"))
    assert build(config, report=io.StringIO()).exit_code == 0
    assert verify(str(tmp_path / "out"), retokenize=1.0) == 0
