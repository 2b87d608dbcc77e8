"""Builds of large inputs in parts: the same documents and tokens, and every command knows them."""

import gzip
import io
import json
import os
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.io.fileio import MatchFiles
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from sample_inputs import json_lines, output_bytes, texts, wet

import tokenmill
from pipeline.commands.build import BuildResult, build
from pipeline.config import BuildConfig
from pipeline.inputs import split_units
from tokenizer import ConfigurationError
from transforms.passes.work_pass import WorkUnit
from transforms.reading import InputFormat, ReadSettings
from transforms.settings import TokenizeSettings
from transforms.shards.layout import MANIFEST
from transforms.shards.manifest import Manifest
from transforms.shards.unit_names import input_name, part_name, relative_path, unit_name
from transforms.tokenize_shards import TokenizeShards

PARTS = TokenizeSettings(read=ReadSettings(max_unit_bytes=2500))
WHOLE = TokenizeSettings(read=ReadSettings(max_unit_bytes=None))
NAMES = ("a.jsonl", "b.jsonl.gz", "c.warc.wet.gz", "d.parquet", "e.txt")


def write_large(folder: Path) -> None:
    """Five inputs of more than one part, but for the text."""
    folder.mkdir(parents=True)
    lines = json_lines("a", 60)
    (folder / "a.jsonl").write_bytes(lines)
    (folder / "b.jsonl.gz").write_bytes(
        b"".join(gzip.compress(lines[at : at + 700], mtime=0) for at in range(0, len(lines), 700))
    )
    (folder / "c.warc.wet.gz").write_bytes(wet("c", 60))
    table = pa.table({"text": texts("d", 100), "id": [f"d{n}" for n in range(100)]})
    pq.write_table(table, folder / "d.parquet", row_group_size=10, compression="none")
    (folder / "e.txt").write_bytes(lines)


def run(folder: Path, output: Path, **changes: Any) -> BuildResult:
    chosen = {"settings": PARTS, **changes}
    config = BuildConfig(inputs=(f"{folder}/*",), output=str(output), **chosen)
    result = build(config, report=io.StringIO())
    assert result.is_complete
    return result


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    write_large(tmp_path / "in")
    return tmp_path / "in"


def manifest_of(build: Path) -> Manifest:
    place = build / MANIFEST
    return Manifest.from_json(place.read_bytes(), str(place))


@pytest.fixture
def output(inputs: Path, tmp_path: Path) -> Path:
    run(inputs, tmp_path / "out")
    return tmp_path / "out"


def test_parts_have_names_that_sort_as_they_stand_in_the_file_and_tell_their_input() -> None:
    for count in (2, 100_000, 100_001):
        names = [part_name("a.jsonl", number, count) for number in range(count)]
        assert names == sorted(set(names))
    for path in ("a.jsonl", "x/b.parquet", "c.json", "d.npy/e.json", "x" * 300 + ".json", "50%"):
        name = part_name(unit_name(path), 1, 2)
        assert input_name(name) == unit_name(path)
        assert relative_path(input_name(name)) in (path, None)
        assert not name.rpartition("/")[0].endswith((".npy", ".parquet", ".json"))


def test_a_part_with_the_name_of_another_input_is_refused(tmp_path: Path) -> None:
    """An object store has files below files."""
    (tmp_path / "a").write_bytes(json_lines("a", 20))
    read = ReadSettings(max_unit_bytes=1000, input_format=InputFormat.JSONL)
    large = WorkUnit("a", str(tmp_path / "a"), (tmp_path / "a").stat().st_size)
    other = WorkUnit("a/part-00001", str(tmp_path / "other"), 10)
    with pytest.raises(ConfigurationError, match="a/part-00001"):
        split_units([large, other], read)


def test_parts_hold_the_documents_and_tokens_of_the_whole_in_its_order(
    inputs: Path, output: Path, tmp_path: Path
) -> None:
    run(inputs, tmp_path / "whole", settings=WHOLE)
    whole, parts = tokenmill.open(tmp_path / "whole"), tokenmill.open(output)
    of_parts, of_whole = manifest_of(output), manifest_of(tmp_path / "whole")
    assert len(of_parts.inputs) > 3 * len(NAMES)
    assert len(of_whole.inputs) == len(NAMES)
    assert len(parts) == len(whole)
    for one, other in zip(parts, whole, strict=True):
        assert (one.id, one.url) == (other.id, other.url)
        assert np.array_equal(one.tokens, other.tokens)
    assert of_parts.totals == of_whole.totals
    assert of_parts.totals.inputs == len(NAMES)
    assert [unit for unit in of_parts.units if unit.startswith("d")] == [
        f"d%2Eparquet/part-{number:05d}" for number in range(6)
    ]


def test_parts_are_the_same_bytes_for_any_number_of_workers(
    inputs: Path, output: Path, tmp_path: Path
) -> None:
    run(inputs, tmp_path / "two", workers=2)
    assert output_bytes(tmp_path / "two") == output_bytes(output)


def test_a_lost_part_is_done_again_alone(inputs: Path, output: Path) -> None:
    before = output_bytes(output)
    (output / "receipts/a.jsonl/part-00001.json").unlink()
    result = run(inputs, output)
    assert result.units_done == 1
    assert output_bytes(output) == before


def test_an_input_replaced_by_another_of_other_parts_leaves_nothing_of_the_old(
    inputs: Path, output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for count in (5, 90):
        (inputs / "a.jsonl").write_bytes(json_lines("a", count))
        capsys.readouterr()
        run(inputs, output)
        assert "1 input done anew, " in (said := capsys.readouterr().err)
        assert "is not what it was: a.jsonl\n" in said
        run(inputs, tmp_path / f"anew-{count}")
        assert output_bytes(output) == output_bytes(tmp_path / f"anew-{count}")


def test_an_input_that_has_changed_in_one_part_is_done_again_in_all(
    inputs: Path, output: Path
) -> None:
    path = inputs / "d.parquet"
    status = path.stat()
    path.write_bytes(path.read_bytes().replace(b"d 3: ", b"D 3: "))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert run(inputs, output).units_done == 0
    assert run(inputs, output, check_inputs=True).units_done == 6
    assert run(inputs, output, check_inputs=True).units_done == 0


def test_a_broken_file_of_a_part_is_repaired(inputs: Path, output: Path) -> None:
    before = output_bytes(output)
    path = output / "tokens/c.warc.wet.gz/part-00001.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert not tokenmill.verify(output).is_sound
    assert run(inputs, output, repair=True).units_done == 1
    assert output_bytes(output) == before


def test_parts_are_verified_and_done_again_from_their_inputs(inputs: Path, output: Path) -> None:
    result = tokenmill.verify(output, retokenize=1.0)
    assert result.is_sound
    assert result.compared == manifest_of(output).totals.documents
    path = inputs / "a.jsonl"
    path.write_bytes(path.read_bytes().replace(b"a 3: ", b"A 3: "))
    (difference,) = tokenmill.verify(output, retokenize=1.0).differences
    assert "a.jsonl: not the input that was tokenized: SHA-256" in difference
    path.write_bytes(json_lines("a", 3))
    assert not tokenmill.verify(output, retokenize=1.0).is_sound


def test_documents_of_parts_are_found_and_exported(
    output: Path, inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from pipeline.cli import main

    assert main(["find", str(output), "--id", "d95", "--json"]) == 0
    (place,) = json.loads(capsys.readouterr().out)["places"]
    assert place["unit"] == "d%2Eparquet/part-00005"
    shard = f"{place['shard']}:{place['start']}"
    assert place["input"] == "d.parquet"
    capsys.readouterr()
    assert main(["find", str(output), "--at", shard]) == 0
    printed = capsys.readouterr().out
    assert "input     d.parquet\n" in printed
    assert f"part      part-00005, record {place['record']} of it\n" in printed
    assert place["record"] < 95
    assert main(["inspect", str(output), "--document", "d95"]) == 0
    run(inputs, tmp_path / "whole", settings=WHOLE)
    for build_folder in (output, tmp_path / "whole"):
        exported = str(build_folder.with_name(f"{build_folder.name}-bin"))
        assert main(["export", str(build_folder), "--output", exported, "--format", "bin"]) == 0
    found, expected = (
        b"".join(path.read_bytes() for path in sorted(tmp_path.glob(f"{name}-bin/tokens/**/*.bin")))
        for name in ("out", "whole")
    )
    assert found == expected


def test_the_transform_writes_the_same_parts(inputs: Path, output: Path, tmp_path: Path) -> None:
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        _ = (
            pipeline
            | MatchFiles(f"{inputs}/*")
            | TokenizeShards(str(tmp_path / "beam"), PARTS, input_root=str(inputs))
        )
    written = output_bytes(tmp_path / "beam")
    assert written == {k: v for k, v in output_bytes(output).items() if k != "manifest.json"}
