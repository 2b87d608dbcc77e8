"""What a second run keeps and what it does again: changed inputs, files not as written."""

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sample_inputs import json_lines, output_bytes

from pipeline.commands.build import BuildResult, build
from pipeline.config import BuildConfig
from pipeline.errors import RunFailedError
from tokenizer import ConfigurationError
from transforms.errors import MismatchError
from transforms.passes import tokenize
from transforms.settings import TokenizeSettings
from transforms.shards.settings import ShardSettings

SETTINGS = TokenizeSettings(shards=ShardSettings(max_tokens=40))


def run(folder: Path, output: Path, **changes: Any) -> BuildResult:
    chosen = {"settings": SETTINGS, **changes}
    config = BuildConfig(inputs=(f"{folder}/*",), output=str(output), **chosen)
    return build(config, report=io.StringIO())


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in "ab":
        (folder / f"{name}.jsonl").write_bytes(json_lines(name, 6))
    return folder


@pytest.fixture
def output(inputs: Path, tmp_path: Path) -> Path:
    assert run(inputs, tmp_path / "out").exit_code == 0
    return tmp_path / "out"


def times(output: Path, unit: str) -> int:
    return (output / f"receipts/{unit}.json").stat().st_mtime_ns


def check_done_again(inputs: Path, output: Path, **changes: Any) -> None:
    """Just a.jsonl is done again, and the bytes are those of a build from nothing."""
    kept = times(output, "b.jsonl")
    result = run(inputs, output, **changes)
    assert (result.units_done, result.units_kept) == (1, 1)
    assert times(output, "b.jsonl") == kept
    anew = output.with_name("anew")
    run(inputs, anew)
    assert output_bytes(output) == output_bytes(anew)


def test_an_input_of_another_size_is_done_again(inputs: Path, output: Path) -> None:
    path = inputs / "a.jsonl"
    status = path.stat()
    path.write_bytes(json_lines("a", 3))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    check_done_again(inputs, output)


def replaced(path: Path, *, keep_time: bool) -> None:
    """Another content of the same size."""
    status = path.stat()
    content = path.read_bytes().replace(b"Hello", b"Hallo")
    assert content != path.read_bytes()
    path.write_bytes(content)
    later = status.st_mtime_ns + (0 if keep_time else 1_000_000)
    os.utime(path, ns=(status.st_atime_ns, later))


def test_an_input_replaced_by_one_of_the_same_size_is_done_again(
    inputs: Path, output: Path
) -> None:
    replaced(inputs / "a.jsonl", keep_time=False)
    check_done_again(inputs, output)


def test_an_input_replaced_unseen_is_found_by_its_checksum(inputs: Path, output: Path) -> None:
    replaced(inputs / "a.jsonl", keep_time=True)
    before = output_bytes(output)
    assert run(inputs, output).units_done == 0
    assert output_bytes(output) == before
    check_done_again(inputs, output, check_inputs=True)


def test_an_input_replaced_after_a_run_that_did_others_is_still_seen(
    inputs: Path, output: Path
) -> None:
    (inputs / "c.jsonl").write_bytes(json_lines("c", 2))
    assert run(inputs, output).units_done == 1
    replaced(inputs / "a.jsonl", keep_time=False)
    result = run(inputs, output)
    assert (result.units_done, result.units_kept) == (1, 2)


def test_a_build_that_was_moved_without_its_runs_is_taken_as_it_is(
    inputs: Path, output: Path
) -> None:
    for path in sorted((output / "runs").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    assert run(inputs, output).units_done == 0


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"format":"tokenmill/2","versions":3}'])
def test_broken_notes_of_versions_are_passed_over(
    content: bytes, inputs: Path, output: Path
) -> None:
    for path in (output / "runs").glob("*/inputs.json"):
        path.write_bytes(content)
    assert run(inputs, output).units_done == 0


@pytest.mark.parametrize("name", ["tokens/a.jsonl-00000.npy", "documents/a.jsonl.parquet"])
def test_a_file_cut_short_is_written_again(name: str, inputs: Path, output: Path) -> None:
    content = (output / name).read_bytes()
    (output / name).write_bytes(content[:-1])
    check_done_again(inputs, output)
    (output / name).unlink()
    assert run(inputs, output).units_done == 1


@pytest.mark.parametrize("name", ["tokens/a.jsonl-00001.npy", "documents/a.jsonl.parquet"])
def test_a_flipped_byte_is_mended_by_repair_and_by_nothing_else(
    name: str, inputs: Path, output: Path
) -> None:
    content = bytearray((output / name).read_bytes())
    content[len(content) // 2] ^= 1
    (output / name).write_bytes(content)
    assert run(inputs, output).units_done == 0
    check_done_again(inputs, output, repair=True)


def test_a_repair_says_which_units_it_does_again_and_because_of_which_file(
    inputs: Path, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (output / "documents/a.jsonl.parquet").unlink()
    content = bytearray((output / "tokens/b.jsonl-00000.npy").read_bytes())
    content[-1] ^= 1
    (output / "tokens/b.jsonl-00000.npy").write_bytes(content)
    capsys.readouterr()
    run(inputs, output, repair=True)
    assert capsys.readouterr().err.splitlines()[:3] == [
        "repair: 2 units with files that are not what their receipts say",
        "  a.jsonl is done again: documents/a.jsonl.parquet",
        "  b.jsonl is done again: tokens/b.jsonl-00000.npy",
    ]
    run(inputs, output, repair=True)
    assert capsys.readouterr().err.splitlines() == [
        "repair: 0 units with files that are not what their receipts say",
        "nothing to do: 2 units done already",
    ]


def test_a_resume_says_what_is_done_already(
    inputs: Path, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (output / "receipts/a.jsonl.json").unlink()
    capsys.readouterr()
    run(inputs, output)
    assert "resuming: 1 of 2 units done" in capsys.readouterr().err
    run(inputs, output)
    assert capsys.readouterr().err == "nothing to do: 2 units done already\n"


def test_a_resume_says_which_inputs_are_not_what_they_were(
    inputs: Path, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where one was only touched: what it holds is known when it has been read."""
    (found,) = inputs.glob("b.jsonl*")
    os.utime(found, ns=(1, 1))
    capsys.readouterr()
    assert run(inputs, output).units_done == 1
    said = capsys.readouterr().err
    said_of_b = "1 input done anew, as the input or a file of its units is not what it was: b.jsonl"
    assert said_of_b in said.splitlines()
    run(inputs, output)
    assert "anew" not in capsys.readouterr().err


def test_a_temporary_file_beside_receipts_is_no_receipt(inputs: Path, output: Path) -> None:
    (output / "receipts/a.jsonl.json.0123.tmp").write_bytes(b"{")
    assert run(inputs, output).units_done == 0


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b"[" * 100_000])
def test_a_broken_receipt_is_named_with_what_to_do(
    content: bytes, inputs: Path, output: Path
) -> None:
    (output / "receipts/a.jsonl.json").write_bytes(content)
    with pytest.raises(MismatchError, match=r"receipts/a\.jsonl\.json.*remove the file"):
        run(inputs, output)
    (output / "receipts/a.jsonl.json").unlink()
    assert run(inputs, output).units_done == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda receipt: receipt.update(format="tokenmill/0"),
        lambda receipt: receipt["documents"].update(path="../../etc/passwd"),
        lambda receipt: receipt["shards"][0].update(path="tokens/b.jsonl-00000.npy"),
        lambda receipt: receipt["shards"].pop(0),
        lambda receipt: receipt["input"].update(path="b.jsonl"),
        lambda receipt: receipt["input"].update(path="../a.jsonl"),
        lambda receipt: receipt["input"].update(rejects={"no-such-reason": 1}),
        lambda receipt: receipt["input"].update(records=-1),
        lambda receipt: receipt["input"].update(records=1 << 80),
        lambda receipt: receipt["settings"].update(shards=None),
    ],
)
def test_a_forged_receipt_is_refused(
    change: Callable[[dict[str, Any]], None], inputs: Path, output: Path
) -> None:
    path = output / "receipts/a.jsonl.json"
    receipt = json.loads(path.read_bytes())
    change(receipt)
    path.write_bytes(json.dumps(receipt).encode())
    before = output_bytes(output)
    with pytest.raises(MismatchError, match=r"receipts/a\.jsonl\.json"):
        run(inputs, output)
    with pytest.raises(MismatchError, match=r"receipts/a\.jsonl\.json"):
        run(inputs, output, overwrite=True)
    assert output_bytes(output) == before


def test_units_that_are_no_longer_among_the_inputs_are_refused_by_name(
    inputs: Path, output: Path
) -> None:
    (inputs / "b.jsonl").unlink()
    before = output_bytes(output)
    with pytest.raises(ConfigurationError, match=r"1 unit not .* 'b\.jsonl'"):
        run(inputs, output)
    assert output_bytes(output) == before


def test_the_manifest_is_gone_while_units_are_done(
    inputs: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (inputs / "c.jsonl").write_bytes(json_lines("c", 2))
    seen = []
    facts_of = tokenize.facts_of

    def looking(reader: Any) -> Any:
        seen.append((output / "manifest.json").exists())
        return facts_of(reader)

    monkeypatch.setattr(tokenize, "facts_of", looking)
    assert run(inputs, output).exit_code == 0
    assert seen == [False]
    assert (output / "manifest.json").exists()


def test_an_input_that_shrinks_before_it_is_read_fails_its_unit_and_is_done_next_time(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    open_reader = tokenize.open_reader

    def shrinking(path: str, *settings: Any) -> Any:
        if path.endswith("a.jsonl"):
            Path(path).write_bytes(json_lines("a", 1))
        return open_reader(path, *settings)

    monkeypatch.setattr(tokenize, "open_reader", shrinking)
    with pytest.raises(RunFailedError, match=r"1 of 2 units .*(?s:.)*a\.jsonl had \d+ bytes"):
        run(inputs, output)
    assert (output / "receipts/b.jsonl.json").exists()
    assert not (output / "receipts/a.jsonl.json").exists()
    assert not (output / "manifest.json").exists()
    monkeypatch.undo()
    result = run(inputs, output)
    assert (result.units_done, result.units_kept) == (1, 1)


def test_an_input_replaced_by_one_of_the_same_size_while_it_is_read_fails_its_unit(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts_of = tokenize._check_unchanged

    def late(unit: Any, reader: Any) -> Any:
        if unit.name == "a.jsonl":
            replaced(inputs / "a.jsonl", keep_time=False)
        return facts_of(unit, reader)

    monkeypatch.setattr(tokenize, "_check_unchanged", late)
    with pytest.raises(RunFailedError, match="was replaced while it was read"):
        run(inputs, tmp_path / "out")


def test_an_input_that_vanishes_fails_its_unit_alone(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_reader = tokenize.open_reader

    def vanishing(path: str, *settings: Any) -> Any:
        if path.endswith("a.jsonl"):
            Path(path).unlink(missing_ok=True)
        return open_reader(path, *settings)

    monkeypatch.setattr(tokenize, "open_reader", vanishing)
    with pytest.raises(RunFailedError, match=r"a\.jsonl: .*No such file"):
        run(inputs, tmp_path / "out")
    assert (tmp_path / "out/receipts/b.jsonl.json").exists()
