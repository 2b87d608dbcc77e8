"""The same bytes, and the same answers, on a real engine: `make test-flink` and the like."""

import json
import shutil
import signal
import time
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from commands import build_arguments, finish, run, start, wait_for
from engines import Engine
from lines import read_lines, write_line
from sample_inputs import output_bytes, texts
from worker_faults import ask, attempts

from tokenizer import Tokenizer
from transforms import ApplyMergeRules

pytestmark = pytest.mark.clusters

SMALLEST = "e.txt"  # dealt out last: others are committed before


def test_a_build_has_the_same_bytes_and_is_verified_there(
    engine: Engine, inputs: Path, vocabulary: Path, at_home: Path, tmp_path: Path
) -> None:
    # Workers run in the engine's own folder: relative paths must not reach them.
    (tmp_path / "in").symlink_to(inputs)
    copy = Path(shutil.copy(vocabulary, tmp_path))
    arguments = build_arguments(Path("in"), Path(copy.name), Path("out"))
    built = run(engine, *arguments, cwd=tmp_path)
    assert built.returncode == 0, built.stderr
    assert output_bytes(tmp_path / "out") == output_bytes(at_home)
    copy.unlink()  # the build keeps a copy, and the manifest its hash
    arguments = ["out", "--retokenize", "1", "--input-root", "in"]
    verified = run(engine, "verify", *arguments, cwd=tmp_path)
    assert verified.returncode == 0, verified.stderr
    assert verified.stdout.startswith("verified: out\n")
    runs = [path.name for path in (tmp_path / "out/runs").iterdir()]
    assert len(runs) == 1, "the verification has left something"


def test_a_shuffled_export_has_the_same_bytes_and_is_verified_there(
    engine: Engine, at_home: Path, tmp_path: Path
) -> None:
    arguments = ["export", str(at_home), "--format", "megatron", "--shuffle", "1", "--output"]
    for where, name in ((None, "home"), (engine, "there")):
        exported = run(where, *arguments, name, cwd=tmp_path)
        assert exported.returncode == 0, exported.stderr
    assert output_bytes(tmp_path / "there") == output_bytes(tmp_path / "home")
    verified = run(engine, "verify", "there", "--source", str(at_home), cwd=tmp_path)
    assert verified.returncode == 0, verified.stderr
    assert verified.stdout.startswith("verified: there\n")


def test_apply_merge_rules_gives_the_same_ids(engine: Engine, tmp_path: Path) -> None:
    documents = texts("pipeline", 200)
    with beam.Pipeline(options=PipelineOptions(engine.flags({}))) as pipeline:
        spread = pipeline | beam.Create(documents) | beam.Reshuffle()
        encoded = spread | ApplyMergeRules("cl100k_base", end_of_text="auto")
        lines = encoded.tokens | "Lines" >> beam.Map(np.ndarray.tolist) | beam.Map(json.dumps)
        _ = lines | beam.Map(write_line, str(tmp_path))
    tokenizer = Tokenizer.load("cl100k_base")
    end = tokenizer.vocabulary.end_of_text
    expected = [json.dumps([*tokenizer.encode(text).tolist(), end]) for text in documents]
    assert read_lines(tmp_path) == sorted(expected)


def test_a_killed_worker_costs_what_it_had_under_way(
    engine: Engine, inputs: Path, vocabulary: Path, at_home: Path, tmp_path: Path, faults: Path
) -> None:
    arguments = build_arguments(inputs, vocabulary, tmp_path / "out")
    ask(faults, "kill", SMALLEST)
    ended = run(engine, *arguments, cwd=tmp_path, faults=faults)
    before, after = _around_the_kill(faults)
    if not engine.RESTARTS_WORKERS:
        assert ended.returncode == 1, ended.stderr
        assert "Traceback (" not in ended.stderr
        ended = run(engine, *arguments, cwd=tmp_path, faults=faults)
        after = attempts(faults)[len(before) + 1 :]
    assert ended.returncode == 0, ended.stderr
    assert output_bytes(tmp_path / "out") == output_bytes(at_home)
    committed = (faults / "committed").read_text().split()
    assert committed
    assert not set(committed) & set(after), "a unit that was committed was done again"
    assert SMALLEST in after


def _around_the_kill(faults: Path) -> tuple[list[str], list[str]]:
    """The attempts at units before and after a worker was killed."""
    units = attempts(faults)
    at = units.index("--- killed")
    return units[:at], units[at + 1 :]


def test_what_went_wrong_is_told_with_input_record_and_cause(
    engine: Engine, inputs: Path, vocabulary: Path, tmp_path: Path, faults: Path
) -> None:
    folder = Path(shutil.copytree(inputs, tmp_path / "in"))
    pq.write_table(pa.table({"body": ["x"]}), folder / "no-text.parquet")
    ask(faults, "spoil", "sub/c.jsonl")
    arguments = build_arguments(folder, vocabulary, tmp_path / "out")
    ended = run(engine, *arguments, cwd=tmp_path, faults=faults)
    assert ended.returncode == 1
    told = [line for line in ended.stderr.splitlines() if not line.startswith("build: ")]
    submitted, first, column, content = told
    assert submitted.startswith("submitted: ")
    assert "2 of 7 units could not be done" in first
    assert column.strip().startswith("no-text.parquet: after record 0: ")
    assert "found: there is none. The columns are: body (string)" in column
    expected = "sub/c.jsonl: after record 20: ValueError: this content was asked to fail"
    assert content.strip() == expected
    (folder / "no-text.parquet").unlink()
    resumed = run(None, *arguments, cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert "resuming: 5 of 6 units" in resumed.stderr


def test_workers_without_tokenmill_are_named(
    engine: Engine, inputs: Path, vocabulary: Path, tmp_path: Path, faults: Path
) -> None:
    ask(faults, "hide", "all")
    arguments = build_arguments(inputs, vocabulary, tmp_path / "out")
    ended = run(engine, *arguments, cwd=tmp_path, faults=faults)
    assert ended.returncode == 1
    *_, last = ended.stderr.splitlines()
    assert "no tokenmill" in last
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_cancels_the_job_and_ends_the_command_in_ten_seconds(
    engine: Engine,
    inputs: Path,
    vocabulary: Path,
    tmp_path: Path,
    faults: Path,
    how: signal.Signals,
) -> None:
    if engine.STARTS_JVMS and how is signal.SIGTERM:
        pytest.skip("the same as SIGINT but for the signal, which other engines' tests send")
    ask(faults, "wait", SMALLEST)
    arguments = build_arguments(inputs, vocabulary, tmp_path / "out")
    process = start(engine, *arguments, cwd=tmp_path, faults=faults)
    wait_for(lambda: SMALLEST in attempts(faults), process)
    asked = time.monotonic()
    process.send_signal(how)
    ended = finish(process)
    assert time.monotonic() - asked < 10
    assert ended.returncode == 1
    assert "Traceback (" not in ended.stderr
    *said, last = ended.stderr.splitlines()
    assert any("was cancelled" in one or "ends with this command" in one for one in said), said
    assert last.startswith("tokenmill: interrupted")
    assert not list((tmp_path / "out/runs").glob("*/owner.json"))
    engine.wait_until_idle()


def test_a_job_without_progress_is_said_to_be_so(
    engine: Engine, inputs: Path, vocabulary: Path, tmp_path: Path, faults: Path
) -> None:
    if engine.STARTS_JVMS:
        pytest.skip("what is said does not depend on the engine: others' tests look")
    ask(faults, "wait", SMALLEST)
    arguments = [*build_arguments(inputs, vocabulary, tmp_path / "out"), "--stall-minutes", "0.02"]
    process = start(engine, *arguments, cwd=tmp_path, faults=faults)
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "no unit was finished for 0.02 minutes (5 are done)" in line:
            break
    process.send_signal(signal.SIGINT)
    assert "no unit was finished" in lines[-1], lines
    assert finish(process).returncode == 1
    engine.wait_until_idle()
