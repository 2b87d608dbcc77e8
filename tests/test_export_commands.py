"""`tokenmill export`, and `build` with an export: options, what is printed, what is refused."""

import json
from pathlib import Path

import pytest
from sample_inputs import output_bytes, write_inputs
from small_export import (
    exported,
    make_source,
    shard_files,
)

from pipeline.cli import main


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_source(tmp_path_factory.mktemp("source"))


def test_a_split_without_documents_is_said(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exported(source, tmp_path / "out", "bin", splits=(("test", 1e-9),))
    assert "the split test has no documents" in capsys.readouterr().err


def test_a_vocabulary_too_large_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = make_source(tmp_path, "cl100k_base")
    output = tmp_path / "out"
    arguments = ["export", str(source), "--output", str(output), "--format", "nanogpt"]
    assert main(arguments) == 2
    assert "--format" in (message := capsys.readouterr().err)
    assert "These hold it: bin, megatron" in message
    assert not output.exists()


def test_the_command_prints_what_each_split_holds(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["export", str(source), "--output", str(tmp_path / "out"), "--format", "bin"]
    assert main([*arguments, "--split", "validation=20%"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["split", "shards", "documents", "tokens"]
    assert [line.split()[0] for line in lines[1:3]] == ["train", "validation"]
    assert lines[3].startswith("complete: ")


def test_splits_may_be_given_one_after_the_other(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["export", str(source), "--format", "bin", "--output"]
    one_by_one = ["--split", "validation=20%", "--split", "test=30%"]
    assert main([*arguments, str(tmp_path / "a"), *one_by_one]) == 0
    assert main([*arguments, str(tmp_path / "b"), "--split", "validation=20%,test=30%"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:4]]
    assert names == ["train", "validation", "test"]
    contents = [
        [path.read_bytes() for _, files in shard_files(tmp_path / name) for path in files]
        for name in "ab"
    ]
    assert contents[0] == contents[1] != []


def test_the_command_prints_json_and_takes_numbers_as_people_write_them(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = str(tmp_path / "out")
    arguments = ["export", str(source), "--output", output, "--format", "bin", "--json"]
    assert main([*arguments, "--shard-tokens", "0.7k"]) == 0
    printed = json.loads(capsys.readouterr().out)
    manifest = json.loads((tmp_path / "out/manifest.json").read_bytes())
    assert manifest["settings"]["shard_tokens"] == 700
    assert printed["splits"] == manifest["splits"]
    assert printed["shards_done"] == len(manifest["shards"])
    assert main(["verify", output, "--json"]) == 0
    verified = json.loads(capsys.readouterr().out)
    assert verified["sound"] is True
    assert verified["splits"] == manifest["splits"]


def test_a_build_can_end_with_an_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_inputs(tmp_path / "in")
    build = ["build", "--input", f"{tmp_path}/in/**", "--tokenizer", "gpt2", "--max-rejects", "0.5"]
    more = ["--export-format", "olmo", "--export-split", "test=0.2", "--export-shard-tokens", "900"]
    outputs = ["--output", f"{tmp_path}/build", "--export-output", f"{tmp_path}/one"]
    assert main([*build, *outputs, *more]) == 0
    assert capsys.readouterr().out.count("complete: ") == 2
    two = exported(
        tmp_path / "build", tmp_path / "two", "olmo", shard_tokens=900, splits=(("test", 0.2),)
    )
    assert output_bytes(tmp_path / "one") == output_bytes(two)
    assert main([*build, *outputs, *more, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["complete"] is True
    assert printed["export"]["shards_done"] == 0
    assert printed["export"]["shards_kept"] == len(list(shard_files(two)))


def test_a_dry_run_exports_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_inputs(tmp_path / "in")
    build = ["build", "--input", f"{tmp_path}/in/**", "--output", f"{tmp_path}/out", "--dry-run"]
    assert main([*build, "--export-output", f"{tmp_path}/one", "--export-format", "bin"]) == 0
    assert not (tmp_path / "one").exists()
    assert not (tmp_path / "out").exists()
    assert main([*build, "--export-output", f"{tmp_path}/one", "--export-format", "npz"]) == 2
    assert "--export-format: expected one of bin" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--export-format", "nanogpt"], "--export-output go together"),
        (["--export-split", "val=0.1"], "--export-split: says how an export is made: name one by"),
        (["--export-format", "nanogpt", "--export-output", "x"], "--export-format: nanogpt holds"),
        (
            ["--export-format", "bin", "--export-output", "x", "--export-split", "a"],
            "--export-split",
        ),
    ],
)
def test_an_impossible_export_is_refused_before_the_build(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    write_inputs(tmp_path / "in")
    build = ["build", "--input", f"{tmp_path}/in/**", "--output", f"{tmp_path}/out"]
    assert main([*build, *more]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
