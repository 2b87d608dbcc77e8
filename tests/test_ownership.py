"""A build removes and replaces what its own records name, and nothing else."""

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sample_inputs import json_lines, output_bytes

from pipeline.commands.build import build
from pipeline.config import BuildConfig
from tokenizer import ConfigurationError
from transforms.errors import MismatchError
from transforms.settings import TokenizeSettings
from transforms.shards.build import Build
from transforms.shards.mark import Mark, settle


class Nowhere:
    """A stream for reports that nobody reads."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass


def run(inputs: Path | str | list[str], output: Path, **changes: Any) -> int:
    patterns = inputs if isinstance(inputs, list) else [str(inputs)]
    config = BuildConfig(inputs=tuple(patterns), output=str(output), **changes)
    return build(config, report=Nowhere()).exit_code  # type: ignore[arg-type]


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.jsonl").write_bytes(json_lines("a", 3))
    (folder / "b.jsonl").write_bytes(json_lines("b", 2))
    return folder


def lying(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "name",
    ["notes.txt", "tokens/mine.npy", "manifest.json", "runs/x/y", "receipts/a.jsonl.json", ".x"],
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_with_files_of_others_is_refused_by_name_and_stays_as_it_is(
    name: str, overwrite: bool, inputs: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    (output / name).parent.mkdir(parents=True)
    (output / name).write_bytes(b"mine")
    before = lying(output)
    with pytest.raises(ConfigurationError, match=name.split("/")[0].replace(".", r"\.")):
        run(inputs / "*", output, overwrite=overwrite)
    assert lying(output) == before


def test_a_file_in_the_place_of_the_output_is_refused(inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"mine")
    with pytest.raises(ConfigurationError, match="is a file: name a folder"):
        run(inputs / "*", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"mine"


def test_an_empty_folder_becomes_a_build(inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert run(inputs / "*", tmp_path / "out") == 0


@pytest.mark.parametrize("kind", [{}, {"overwrite": True}, {"max_rejects": 0.0}])
def test_files_that_no_record_names_outlive_every_run(
    kind: dict[str, Any], inputs: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    assert run(inputs / "*", output) == 0
    kept = ["tokens/x.npy", "documents/x.parquet", "rejects/mine.txt", "receipts/readme.md", "my"]
    for name in kept:
        (output / name).parent.mkdir(exist_ok=True)
        (output / name).write_bytes(name.encode())
    with (inputs / "a.jsonl").open("ab") as file:
        file.write(b"broken\n")
    run(inputs / "*", output, **kind)
    for name in kept:
        assert (output / name).read_bytes() == name.encode()


def test_inputs_in_the_output_are_refused_and_stay(inputs: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(inputs, project / "documents")
    before = lying(project)
    for overwrite in (False, True):
        with pytest.raises(ConfigurationError, match="lies in the output"):
            run(project / "documents/*.jsonl", project, overwrite=overwrite)
    assert lying(project) == before


@pytest.mark.parametrize("folder", ["tokens", "documents", "rejects", "receipts", "runs"])
def test_inputs_behind_a_linked_folder_of_the_output_are_refused(
    folder: str, inputs: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    assert run(inputs / "*", output) == 0
    elsewhere = shutil.copytree(inputs, tmp_path / "elsewhere")
    shutil.rmtree(output / folder, ignore_errors=True)
    (output / folder).symlink_to(elsewhere)
    before = lying(elsewhere)
    for pattern in (elsewhere / "*.jsonl", output / folder / "*.jsonl"):
        with pytest.raises(ConfigurationError, match="lies in the output"):
            run(pattern, output, overwrite=True)
    assert lying(elsewhere) == before


@pytest.mark.parametrize(
    "pattern", ["**", "*/*/*", "out/*", "[no]ut/**", "out/[t]okens/*", "o?t/*/*.parquet", "link/**"]
)
def test_an_output_that_the_patterns_would_match_is_refused(
    pattern: str, inputs: Path, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "out")
    (tmp_path / "out").mkdir()
    patterns = [str(inputs / "*"), f"{tmp_path}/{pattern}"]
    # What is there already lies where no pattern of a later run may reach.
    (tmp_path / "out/found.jsonl").write_bytes(json_lines("x", 1))
    (tmp_path / "out/tokens").mkdir()
    (tmp_path / "out/tokens/found.parquet").write_bytes(b"")
    before = lying(tmp_path)
    with pytest.raises(ConfigurationError, match="output"):
        run(patterns, tmp_path / "out")
    assert lying(tmp_path) == before
    for path in (tmp_path / "out").rglob("*.*"):
        path.unlink()
    if pattern != "**":
        return
    with pytest.raises(ConfigurationError, match="would match"):
        run(patterns, tmp_path / "out")


def test_an_output_is_found_behind_a_link_in_the_pattern(inputs: Path, tmp_path: Path) -> None:
    shutil.copytree(inputs, tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(ConfigurationError, match="would match"):
        run(f"{tmp_path}/link/**", tmp_path / "real/out")


def test_a_pattern_that_can_not_match_the_output_may_lie_beside_it(
    inputs: Path, tmp_path: Path
) -> None:
    assert run(inputs / "*.jsonl", inputs / "sub" / "out") == 0


def test_to_start_over_removes_units_and_vocabulary_of_the_past(
    inputs: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    assert run(inputs / "*", output) == 0
    (output / "vocabulary").mkdir()
    (output / "vocabulary/tokenizer.json").write_bytes(b"{}")
    settings = TokenizeSettings(tokenizer="r50k_base")
    assert run(inputs / "b.jsonl", output, settings=settings, overwrite=True) == 0
    assert run(inputs / "b.jsonl", tmp_path / "anew", settings=settings) == 0
    assert output_bytes(output) == output_bytes(tmp_path / "anew")


def test_to_start_over_with_a_broken_receipt_is_refused_before_anything_goes(
    inputs: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    assert run(inputs / "*", output) == 0
    (output / "receipts/b.jsonl.json").write_bytes(b"{}")
    before = output_bytes(output)
    with pytest.raises(MismatchError, match=r"receipts/b\.jsonl\.json.*remove the file"):
        run(inputs / "*", output, overwrite=True)
    assert output_bytes(output) == before
    (output / "receipts/b.jsonl.json").unlink()
    assert run(inputs / "*", output, overwrite=True) == 0


def test_a_receipt_of_other_settings_is_done_again_and_never_added_up(
    inputs: Path, tmp_path: Path
) -> None:
    output, other = tmp_path / "out", tmp_path / "other"
    assert run(inputs / "*", output) == 0
    expected = output_bytes(output)
    assert run(inputs / "*", other, settings=TokenizeSettings(tokenizer="r50k_base")) == 0
    for name in ("receipts/a.jsonl.json", "tokens/a.jsonl.npy", "documents/a.jsonl.parquet"):
        shutil.copy(other / name, output / name)
    assert run(inputs / "*", output) == 0
    assert output_bytes(output) == expected


def edited(change: Callable[[dict[str, Any]], None]) -> Callable[[bytes], bytes]:
    def edit(content: bytes) -> bytes:
        value = json.loads(content)
        change(value)
        return json.dumps(value).encode()

    return edit


@pytest.mark.parametrize(
    "edit",
    [
        lambda content: b"",
        lambda content: b"not json",
        lambda content: content[:-20],
        lambda content: b"[" * 100_000,
        edited(lambda mark: mark.update(format="tokenmill/1")),
        edited(lambda mark: mark.update(fingerprint="x")),
        edited(lambda mark: mark["settings"].pop("tokenizer")),
        edited(lambda mark: mark["settings"].update(shards=7)),
    ],
)
def test_a_folder_with_a_broken_mark_is_refused(
    edit: Callable[[bytes], bytes], inputs: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    assert run(inputs / "*", output) == 0
    (output / "tokenmill.json").write_bytes(edit((output / "tokenmill.json").read_bytes()))
    before = lying(output)
    for overwrite in (False, True):
        with pytest.raises(ConfigurationError, match=r"tokenmill\.json"):
            run(inputs / "*", output, overwrite=overwrite)
    assert lying(output) == before


def test_of_builds_that_begin_together_one_settles_and_the_others_are_refused(
    tmp_path: Path,
) -> None:
    described = TokenizeSettings().described(TokenizeSettings().load_tokenizer())
    marks = [Mark(f"{number:064x}", described) for number in range(8)]

    def try_to_settle(mark: Mark) -> bool:
        try:
            settle(Build.at(str(tmp_path / "out")), mark)
        except ConfigurationError:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        settled = list(threads.map(try_to_settle, marks))
    assert sum(settled) == 1
    assert os.listdir(tmp_path / "out") == ["tokenmill.json"]
    content = (tmp_path / "out/tokenmill.json").read_bytes()
    assert content == marks[settled.index(True)].to_json()
