"""`tokenmill verify --retokenize`: the inputs, read again, give what the build holds."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from small_build import INDEX, UNIT, change_parquet, make_build, reseal

from pipeline.commands.verify import verify
from tokenizer import ConfigurationError
from transforms.passes.retokenize import chosen_units
from transforms.shards.staged_file import digest_of

Verdict = Callable[[Path, Path], str]


@pytest.fixture
def verdict_on(capsys: pytest.CaptureFixture[str]) -> Verdict:
    """Verifies against other inputs; returns the differences found."""

    def verdict(output: Path, inputs: Path) -> str:
        assert verify(str(output), retokenize=1.0, input_root=str(inputs)) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        return captured.err

    return verdict


def test_an_id_exchanged_in_the_index_is_found_by_reading_the_input_again(
    made: Path, output: Path, capsys: pytest.CaptureFixture[str], verdict_on: Verdict
) -> None:
    change_parquet(output, INDEX, lambda rows: rows[5].update(id="another"))
    reseal(output)
    assert verify(str(output)) == 0
    capsys.readouterr()
    found = verdict_on(output, made / "input")
    assert f"{INDEX}: record 6: id: expected d6, found another" in found


def test_another_input_in_its_place_is_named(
    made: Path, output: Path, tmp_path: Path, verdict_on: Verdict
) -> None:
    inputs = Path(shutil.copytree(made / "input", tmp_path / "input"))
    content = (inputs / UNIT).read_text(encoding="utf-8")
    (inputs / UNIT).write_text(content.replace("number 5", "number 6"), encoding="utf-8")
    found = verdict_on(output, inputs)
    assert f"{UNIT}: not the input that was tokenized: SHA-256" in found


def test_tokens_of_another_text_are_found_by_reading_the_input_again(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], verdict_on: Verdict
) -> None:
    inputs = Path(shutil.copytree(made / "input", tmp_path / "input"))
    content = (inputs / UNIT).read_text(encoding="utf-8")
    (inputs / UNIT).write_text(content.replace("number 5", "number 6"), encoding="utf-8")
    output = tmp_path / "output"
    make_build(inputs, output)
    reseal(output, sha256=digest_of(made / "input" / UNIT).sha256)
    assert verify(str(output)) == 0
    capsys.readouterr()
    found = verdict_on(output, made / "input")
    assert f"{INDEX}: record 5: text_xxh3" in found


def test_a_missing_input_is_named(output: Path, tmp_path: Path, verdict_on: Verdict) -> None:
    found = verdict_on(output, tmp_path / "nowhere")
    assert f"nowhere/{UNIT}: can not read the input again" in found
    assert "input_root" in found


def test_the_inputs_are_looked_for_where_the_newest_run_read_them(
    made: Path, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("20260101T000000.0Z", "20260102T000000.0Z"):
        (output / "runs" / name).mkdir(parents=True)
    (output / "runs/20260101T000000.0Z/run.json").write_text('{"input_root": "nowhere"}')
    newest = json.dumps({"input_root": str(made / "input")})
    (output / "runs/20260102T000000.0Z/run.json").write_text(newest)
    assert verify(str(output), retokenize=1.0) == 0
    assert f"made again from {made / 'input'}" in capsys.readouterr().out


def test_without_a_run_the_inputs_must_be_named(output: Path) -> None:
    with pytest.raises(ConfigurationError, match="input_root"):
        verify(str(output), retokenize=0.5)


def test_a_share_above_one_is_refused(output: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"retokenize: expected a share .*, found 2"):
        verify(str(output), retokenize=2)


def test_the_share_is_as_asked_and_grows_with_it() -> None:
    units = [f"u{i}" for i in range(100)]
    few, many = (chosen_units("f", units, share) for share in (0.1, 0.5))
    assert (len(few), len(many)) == (10, 50)
    assert few < many < chosen_units("f", units, 1.0) == set(units)
    assert chosen_units("f", units, 0.0) == set()
    assert len(chosen_units("f", units, 0.001)) == 1
    assert chosen_units("other", units, 0.1) != few
