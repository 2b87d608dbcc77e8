"""Passes on Beam: units in, receipts out, one unit's failure is its own."""

import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.io.fileio import MatchFiles
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from sample_inputs import json_lines, output_bytes, write_inputs

import tokenmill
from pipeline.commands.build import build
from pipeline.config import BuildConfig
from tokenizer import ConfigurationError
from transforms import TokenizeSettings, TokenizeShards, WorkUnit
from transforms.errors import UnitFailedError
from transforms.passes.tokenize import TokenizePass
from transforms.passes.work_pass import run_unit
from transforms.run_pass import RunPass
from transforms.shards.build import Build
from transforms.shards.layout import failure_path, receipt_path
from transforms.shards.mark import Mark, settle


def unit_of(path: Path, **changes: Any) -> WorkUnit:
    facts = {"name": path.name, "path": str(path), "size_bytes": path.stat().st_size, **changes}
    return WorkUnit(**facts)


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "a.jsonl"
    path.write_bytes(json_lines("a", 5))
    return path


def test_a_unit_that_fails_does_not_keep_others_from_being_done(
    tmp_path: Path, lines: Path
) -> None:
    target = Build.at(str(tmp_path / "out"), "run")
    units = [unit_of(lines, name="bad.jsonl", size_bytes=1), unit_of(lines)]
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        done = (
            pipeline
            | beam.Create(units, reshuffle=False)
            | RunPass(TokenizePass(TokenizeSettings()), target)
        )
        names = done.receipts | beam.Map(lambda receipt: receipt.unit)
        assert_that(names, equal_to(["a.jsonl"]), label="done")
        places = done.failures | beam.Map(lambda message: message.split(":")[0])
        assert_that(places, equal_to(["bad.jsonl"]), label="failed")
    assert target.exists(receipt_path("a.jsonl"))
    assert not target.exists(receipt_path("bad.jsonl"))
    failure = json.loads(target.read(failure_path("run", "bad.jsonl")))
    assert "had 1 bytes when it was listed" in failure["message"]
    assert "Traceback" in failure["trace"]


def test_a_retry_of_a_finished_unit_reads_nothing_again(tmp_path: Path, lines: Path) -> None:
    target = Build.at(str(tmp_path / "out"), "run")
    work, unit = TokenizePass(TokenizeSettings()), unit_of(lines)
    first = run_unit(work, unit, target)
    lines.unlink()
    assert run_unit(work, unit, target) == first


def test_a_unit_of_other_settings_or_without_its_files_is_not_finished(
    tmp_path: Path, lines: Path
) -> None:
    target = Build.at(str(tmp_path / "out"), "run")
    work, unit = TokenizePass(TokenizeSettings()), unit_of(lines)
    first = run_unit(work, unit, target)
    other = run_unit(TokenizePass(TokenizeSettings(end_of_text="none")), unit, target)
    assert other.fingerprint != first.fingerprint
    assert run_unit(work, unit, target) == first
    shard = tmp_path / "out" / "tokens" / "a.jsonl.npy"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    assert run_unit(work, unit, target) == first
    assert shard.read_bytes() == whole


def test_the_transform_takes_what_match_files_gives_and_writes_the_bytes_of_a_build(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "in"
    write_inputs(folder, 10)
    patterns = (str(folder / "*.*"), str(folder / "sub/*"))
    config = BuildConfig(
        inputs=patterns, output=str(tmp_path / "built"), workers=1, max_rejects=0.5
    )
    assert build(config).exit_code == 0
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        receipts = (
            pipeline
            | MatchFiles(str(folder / "**"))
            | TokenizeShards(str(tmp_path / "own"), TokenizeSettings(), input_root=str(folder))
        )
        counted = receipts | beam.combiners.Count.Globally()
        assert_that(counted, equal_to([6]))
    expected = output_bytes(tmp_path / "built")
    del expected["manifest.json"]  # that is for whoever knows that all is there
    assert output_bytes(tmp_path / "own") == expected


def test_a_pipeline_never_writes_over_a_unit_that_a_version_may_have(
    tmp_path: Path, lines: Path
) -> None:
    def run(unit: WorkUnit) -> None:
        with beam.Pipeline(runner=FnApiRunner()) as pipeline:
            units = pipeline | beam.Create([unit])
            _ = units | TokenizeShards(str(tmp_path / "out"), TokenizeSettings())

    run(unit_of(lines))
    assert tokenmill.commit(tmp_path / "out").new is not None
    before = output_bytes(tmp_path / "out")
    lines.write_bytes(json_lines("other", 7))
    with pytest.raises(UnitFailedError, match=r"a\.jsonl\.json is of another input"):
        run(unit_of(lines))
    assert output_bytes(tmp_path / "out") == before
    lines.write_bytes(json_lines("a", 5))
    (tmp_path / "out/tokens/a.jsonl.npy").unlink()
    with pytest.raises(UnitFailedError, match="or its files are missing"):
        run(unit_of(lines))


@pytest.mark.parametrize("is_same", [True, False])
def test_a_unit_that_another_attempt_committed_meanwhile_stays_as_it_is(
    is_same: bool, tmp_path: Path, lines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = TokenizePass(TokenizeSettings())
    other = tmp_path / "other" / "a.jsonl"
    other.parent.mkdir()
    other.write_bytes(lines.read_bytes() if is_same else json_lines("other", 7))
    write = Build.stage
    receipts = []
    settle(Build.at(str(tmp_path / "out")), Mark(work.fingerprint, work.described()))

    def stage_late(self: Build, relative: str) -> Any:
        if not receipts:
            receipts.append(None)
            target = Build.at(str(tmp_path / "out"), "faster", is_shared=True)
            receipts[0] = run_unit(work, unit_of(other), target)
        return write(self, relative)

    monkeypatch.setattr(Build, "stage", stage_late)
    target = Build.at(str(tmp_path / "out"), "slower", is_shared=True)
    if is_same:
        assert run_unit(work, unit_of(lines), target) == receipts[0]
    else:
        with pytest.raises(UnitFailedError, match="is of another input"):
            run_unit(work, unit_of(lines), target)
    assert receipts[0] == target.receipt("a.jsonl")
    assert tokenmill.commit(tmp_path / "out").new is not None
    assert tokenmill.verify(tmp_path / "out").is_sound


def test_a_unit_that_fails_fails_a_pipeline_that_does_not_look(tmp_path: Path, lines: Path) -> None:
    with (
        pytest.raises(UnitFailedError, match="had 1 bytes when it was listed"),
        beam.Pipeline(runner=FnApiRunner()) as pipeline,
    ):
        _ = (
            pipeline
            | beam.Create([unit_of(lines, size_bytes=1)])
            | TokenizeShards(str(tmp_path / "out"), TokenizeSettings())
        )


def test_a_folder_of_other_files_is_not_made_a_build(tmp_path: Path, lines: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").write_text("Dear reader")
    with (
        pytest.raises(ConfigurationError, match=r"of no build, such as 'letter\.txt'"),
        beam.Pipeline(runner=FnApiRunner()) as pipeline,
    ):
        _ = (
            pipeline
            | beam.Create([unit_of(lines)])
            | TokenizeShards(str(tmp_path / "out"), TokenizeSettings())
        )
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["letter.txt"]


def test_a_failure_is_an_error_where_a_unit_is_run_by_hand(tmp_path: Path, lines: Path) -> None:
    target = Build.at(str(tmp_path / "out"), "run")
    with pytest.raises(UnitFailedError, match=r"^a\.jsonl: "):
        run_unit(TokenizePass(TokenizeSettings()), unit_of(lines, size_bytes=1), target)


def test_an_input_outside_the_root_fails_the_pipeline_by_name(tmp_path: Path, lines: Path) -> None:
    transform = TokenizeShards(
        str(tmp_path / "out"), TokenizeSettings(), input_root=str(tmp_path / "elsewhere")
    )
    with (
        pytest.raises(Exception, match="does not lie in the input_root"),
        beam.Pipeline(runner=FnApiRunner()) as pipeline,
    ):
        _ = pipeline | MatchFiles(str(lines)) | transform
