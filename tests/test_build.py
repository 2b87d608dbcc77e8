"""Whole builds: books, bytes, resume, refusals, exit codes."""

import hashlib
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
from sample_inputs import json_lines, output_bytes, texts, write_inputs

from pipeline.cli import main
from pipeline.commands.build import build
from pipeline.config import BuildConfig
from tokenizer import ConfigurationError, Tokenizer
from transforms.settings import TokenizeSettings
from transforms.shards.settings import ShardSettings

EVERYTHING = ("*.*", "sub/*")


def config(folder: Path, output: Path, **changes: Any) -> BuildConfig:
    chosen: dict[str, Any] = {"max_rejects": 0.5, **changes}
    inputs = chosen.pop("inputs", [str(folder / pattern) for pattern in EVERYTHING])
    return BuildConfig(inputs=tuple(inputs), output=str(output), **chosen)


def run(folder: Path, output: Path, **changes: Any) -> str:
    report = io.StringIO()
    assert build(config(folder, output, **changes), report=report).exit_code == 0
    return report.getvalue()


def manifest(output: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((output / "manifest.json").read_bytes())
    return found


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs") / "web"
    write_inputs(folder)
    return folder


@pytest.fixture(scope="module")
def built(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("built") / "out"
    run(inputs, output)
    return output


def test_every_document_is_written_with_its_tokens_and_provenance(built: Path) -> None:
    tokenizer = Tokenizer.load("cl100k_base")
    expected = {f"{name}-{i}": text for name in "abcf" for i, text in enumerate(texts(name, 40))}
    expected |= {f"<urn:uuid:d-{i + 1}>": text for i, text in enumerate(texts("d", 40))}
    expected["e.txt"] = "a whole file, a document"
    found = {}
    for path in sorted(built.glob("documents/**/*.parquet")):
        unit = path.relative_to(built / "documents").as_posix().removesuffix(".parquet")
        tokens = np.load(built / "tokens" / f"{unit}.npy", mmap_mode="r")
        assert tokens.dtype == np.dtype("<u4")
        end = 0
        for row in pq.read_table(path).to_pylist():
            assert row["start"] == end
            end += row["length"]
            found[row["id"]] = tokens[row["start"] : end].tolist()
        assert end == len(tokens)
    assert found.keys() == expected.keys()
    for name, text in expected.items():
        assert found[name] == [*tokenizer.encode(text).tolist(), 100257]


def test_the_books_balance_and_name_each_reject(built: Path, inputs: Path) -> None:
    books = manifest(built)
    totals = books["totals"]
    assert totals["inputs"] == 6
    assert totals["records"] == totals["documents"] + sum(totals["rejects"].values())
    assert totals["documents"] == 5 * 40 + 1
    assert totals["rejects"] == {
        "empty-document": 1,
        "invalid-json": 1,
        "invalid-utf8": 1,
        "missing-text": 1,
        "not-a-document": 1,
        "null-text": 1,
    }
    documents = [text for name in "abcdf" for text in texts(name, 40)]
    assert totals["special_token_texts"] == sum(t.count("<|endoftext|>") for t in documents)
    assert totals["text_bytes"] == sum(len(t.encode()) for t in documents) + 24
    for entry in books["inputs"]:
        content = (inputs / entry["path"]).read_bytes()
        assert entry["bytes"] == len(content)
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        assert entry["records"] == entry["documents"] + sum(entry["rejects"].values())
    rejects = pq.read_table(built / "rejects" / "b.jsonl.gz.parquet").to_pylist()
    assert [row["record"] for row in rejects] == [40, 41, 42, 43, 44]
    assert rejects[0]["excerpt"] == b"not json"
    assert rejects[4]["excerpt"] == b"bad \xff"


def test_the_manifest_has_the_promised_fields(built: Path) -> None:
    books = manifest(built)
    assert books["format"] == "tokenmill/2"
    assert books["tokenizer"] == {
        "name": "cl100k_base",
        "sha256": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        "vocabulary_size": 100277,
        "end_of_text": 100257,
        "file": None,
        "split_pattern": None,
        "special_tokens": None,
    }
    assert books["totals"]["tokens"] == sum(shard["tokens"] for shard in books["shards"])
    for shard in books["shards"]:
        content = (built / shard["path"]).read_bytes()
        assert shard["bytes"] == len(content)
        assert shard["sha256"] == hashlib.sha256(content).hexdigest()
        assert np.load(built / shard["path"]).shape == (shard["tokens"],)
    text = (built / "manifest.json").read_text()
    assert str(built) not in text
    assert os.uname().nodename not in json.dumps(books["settings"])


def test_workers_and_the_order_of_inputs_do_not_change_a_byte(
    built: Path, inputs: Path, tmp_path: Path
) -> None:
    expected = output_bytes(built)
    run(inputs, tmp_path / "two", workers=2)
    assert output_bytes(tmp_path / "two") == expected
    paths = [str(path) for path in inputs.rglob("*") if path.is_file()]
    random.Random(3).shuffle(paths)
    run(inputs, tmp_path / "shuffled", inputs=paths, input_root=str(inputs))
    assert output_bytes(tmp_path / "shuffled") == expected


def start_build(inputs: Path, output: Path) -> "subprocess.Popen[str]":
    patterns = [str(inputs / pattern) for pattern in EVERYTHING if any(inputs.glob(pattern))]
    command = [sys.executable, "-m", "pipeline", "build", "--workers", "2", "--max-rejects", "0.5"]
    return subprocess.Popen(
        [*command, "--input", *patterns, "--output", str(output)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def slow_input(folder: Path) -> Path:
    """Enough text to keep two workers busy for several seconds."""
    folder.mkdir()
    line = json.dumps({"text": " ".join(texts("slow", 3000))}).encode() + b"\n"
    for name in "ab":
        (folder / f"{name}.jsonl").write_bytes(line * 400)
    return folder


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV])
def test_a_worker_that_dies_ends_the_job_with_a_message_and_the_next_run_resumes(
    how: signal.Signals, tmp_path: Path
) -> None:
    folder = slow_input(tmp_path / "in")
    process = start_build(folder, tmp_path / "out")
    started = time.monotonic()
    workers: list[psutil.Process] = []
    while not workers and time.monotonic() - started < 30:
        # Parent, fork server (and resource tracker), workers.
        workers = [
            worker
            for child in psutil.Process(process.pid).children()
            for worker in child.children()
        ]
        time.sleep(0.02)
    assert workers
    workers[0].send_signal(how)
    died = time.monotonic()
    _, error = process.communicate(timeout=60)
    assert time.monotonic() - died < 15
    assert process.returncode == 1
    assert how.name in error
    assert "run the same command again" in error
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert not any(worker.is_running() for worker in workers[1:])


def test_a_second_run_does_only_what_is_missing(inputs: Path, built: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    run(inputs, output)
    before = {path: path.stat().st_mtime_ns for path in (output / "tokens").rglob("*.npy")}
    (output / "receipts" / "sub" / "c.jsonl.json").unlink()
    run(inputs, output)
    after = {path: path.stat().st_mtime_ns for path in (output / "tokens").rglob("*.npy")}
    changed = [path.name for path in before if before[path] != after[path]]
    assert changed == ["c.jsonl.npy"]
    assert output_bytes(output) == output_bytes(built)
    kept = [
        json.loads(path.read_text())["units_kept"]
        for path in sorted((output / "runs").glob("*/run.json"))
    ]
    assert kept == [0, 5]


def test_an_input_that_changed_is_done_again_and_leaves_nothing_of_its_past(
    tmp_path: Path,
) -> None:
    folder, output = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    settings = TokenizeSettings(shards=ShardSettings(max_tokens=50))
    (folder / "x.jsonl").write_bytes(json_lines("x", 9) + b"broken\n")
    (folder / "y.jsonl").write_bytes(json_lines("y", 3))
    inputs = [str(folder / "*.jsonl")]
    run(folder, output, inputs=inputs, settings=settings)
    kept = (output / "receipts" / "y.jsonl.json").stat().st_mtime_ns
    (folder / "x.jsonl").write_bytes(json_lines("x", 2))
    run(folder, output, inputs=inputs, settings=settings)
    run(folder, tmp_path / "anew", inputs=inputs, settings=settings)
    assert output_bytes(output) == output_bytes(tmp_path / "anew")
    assert (output / "receipts" / "y.jsonl.json").stat().st_mtime_ns == kept
    (output / "tokens" / "y.jsonl-00000.npy").unlink()
    run(folder, output, inputs=inputs, settings=settings)
    assert output_bytes(output) == output_bytes(tmp_path / "anew")


def test_more_inputs_later_change_no_shard_that_is_there(inputs: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    run(inputs, output, inputs=[str(inputs / "*.*")])
    first = output_bytes(output)
    run(inputs, output)
    later = output_bytes(output)
    assert len(later) > len(first)
    del first["manifest.json"]
    assert first.items() <= later.items()


def test_other_settings_are_refused_by_name_until_told_to_start_over(
    inputs: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    run(inputs, output)
    changes: list[tuple[dict[str, Any], str]] = [
        ({"settings": TokenizeSettings(tokenizer="r50k_base")}, "tokenizer.name was 'cl100k_base'"),
        ({"settings": TokenizeSettings(end_of_text="none")}, "tokenizer.end_of_text was 100257"),
        (
            {"settings": TokenizeSettings(shards=ShardSettings(max_tokens=9))},
            "shards.max_tokens was None",
        ),
        ({"inputs": [str(inputs / "*.*")]}, "not among the inputs"),
    ]
    for change, message in changes:
        with pytest.raises(ConfigurationError, match=message):
            build(config(inputs, output, **change))
    settings = TokenizeSettings(tokenizer="r50k_base")
    run(inputs, output, settings=settings, overwrite=True)
    assert manifest(output)["tokenizer"]["name"] == "r50k_base"
    assert {shard["dtype"] for shard in manifest(output)["shards"]} == {"<u2"}


def test_full_shards_are_closed_and_no_document_is_split(inputs: Path, tmp_path: Path) -> None:
    run(inputs, tmp_path / "out", settings=TokenizeSettings(shards=ShardSettings(max_tokens=300)))
    books = manifest(tmp_path / "out")
    unit = [shard for shard in books["shards"] if "a.jsonl.zst" in shard["path"]]
    assert [shard["path"] for shard in unit] == [
        f"tokens/a.jsonl.zst-{k:05d}.npy" for k in range(len(unit))
    ]
    assert len(unit) > 3
    rows = pq.read_table(tmp_path / "out/documents/a.jsonl.zst.parquet").to_pylist()
    for k, shard in enumerate(unit):
        mine = [row for row in rows if row["shard"] == k]
        assert len(mine) == shard["documents"]
        assert sum(row["length"] for row in mine) == shard["tokens"]
        assert shard["tokens"] <= 300 or len(mine) == 1
        tokens = np.load(tmp_path / "out" / shard["path"])
        assert tokens[-1] == 100257


def test_too_many_rejects_withhold_the_manifest_until_they_are_accepted(
    inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    report = io.StringIO()
    assert build(config(inputs, output, max_rejects=0.01), report=report).exit_code == 3
    assert not (output / "manifest.json").exists()
    assert "no manifest:\n  2.43% of the records are faulty\n" in capsys.readouterr().err
    assert "b.jsonl.gz: 1 empty-document, 1 invalid-json" in report.getvalue()
    assert "invalid-utf8" in report.getvalue()
    run(inputs, output, max_rejects=0.03)
    assert manifest(output)["totals"]["documents"] == 201


def test_wrong_usage_ends_with_2_and_says_what_to_do(
    inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--output", str(tmp_path / "out")]
    cases = [
        (["--input", str(inputs / "*.nothing"), *out], "matches no file"),
        (["--input", str(inputs), *out], "it is a folder"),
        (["--input", str(inputs / "*"), "--tokenizer", "gpt9", *out], "expected one of"),
        (["--input", str(inputs / "*"), "--workers", "0", *out], "expected 1 or more"),
        (["--input", str(inputs / "*"), "--max-rejects", "7", *out], "from 0 to 1"),
        (["--input", str(inputs / "*"), "--max-shard-tokens", "0", *out], "at least 1"),
        (["--input", str(inputs / "*"), "--begin-of-text", "100277", *out], "below 100277"),
        (["--input", str(inputs / "*"), "--special-tokens", "{", *out], "--special-tokens"),
        (["--input", str(inputs / "*"), "--input-root", "/nowhere", *out], "--input-root"),
    ]
    for arguments, message in cases:
        assert main(["build", *arguments]) == 2
        assert message in capsys.readouterr().err
    for arguments in (["build"], ["build", "--input", "x", *out, "--max-reject", "1"], ["frob"]):
        assert main(arguments) == 2
    assert not (tmp_path / "out").exists()


def test_an_input_of_an_unknown_kind_is_refused_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "table.csv").write_text("a,b\n")
    arguments = ["--input", str(tmp_path / "table.csv"), "--output", str(tmp_path / "out")]
    assert main(["build", *arguments]) == 2
    assert "table.csv" in (message := capsys.readouterr().err)
    assert "--input-format" in message
    (tmp_path / "table.csv").write_bytes(json_lines("x", 3))
    assert main(["build", *arguments, "--input-format", "jsonl"]) == 0


def test_an_error_in_a_worker_reaches_the_user_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import pyarrow as pa

    pq.write_table(pa.table({"body": ["x"]}), tmp_path / "a.parquet")
    arguments = ["--input", str(tmp_path / "a.parquet"), "--output", str(tmp_path / "out")]
    assert main(["build", *arguments, "--workers", "1"]) == 2
    error = capsys.readouterr().err
    assert re.search(r"^tokenmill: .*a\.parquet.*body", error, re.MULTILINE)
    assert "Traceback" not in error


def test_a_log_file_gets_plain_lines_and_no_noise_from_beam(inputs: Path, tmp_path: Path) -> None:
    process = start_build(inputs, tmp_path / "out")
    report, error = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "books: 207 records == 207 documents and rejects" in report
    assert error.splitlines()[0].startswith("build: 6 units, ")
    assert error.splitlines()[1].startswith("build: 6/6 units done in ")
    assert len(error.splitlines()) == 2
    assert "\x1b" not in report


def test_all_shared_web_files_balance_and_one_worker_is_as_good_as_two(
    shared_data: Path, tmp_path: Path
) -> None:
    web = shared_data / "web"
    for workers in (1, 2):
        run(web, tmp_path / str(workers), inputs=[str(web / "*")], workers=workers)
    books = manifest(tmp_path / "1")
    assert books["totals"]["rejects"] == {"not-a-document": 2}  # the WET files' warcinfo
    assert output_bytes(tmp_path / "1") == output_bytes(tmp_path / "2")
