"""`TokenizeWindows`: a stream of documents, windows, late ones, retries, versions."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.test_stream import TestStream as Stream  # pytest would collect the name
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.trigger import AccumulationMode, AfterCount, AfterWatermark, Repeatedly
from apache_beam.transforms.window import (
    FixedWindows,
    IntervalWindow,
    NonMergingWindowFn,
    TimestampedValue,
)
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from sample_inputs import output_bytes

import tokenmill
from tokenizer import ConfigurationError, Tokenizer
from transforms import Document, TokenizeSettings, TokenizeWindows
from transforms.errors import MismatchError, UnitFailedError
from transforms.passes import work_pass
from transforms.passes.tokenize import TokenizePass
from transforms.shards.build import Build
from transforms.shards.receipt import Receipt
from transforms.shards.version import read_versions
from transforms.tokenize_windows import pane_name

FIRST = "19700101T000000.000000Z-19700101T000100.000000Z"
SECOND = "19700101T000100.000000Z-19700101T000200.000000Z"


def at(second: int, name: str) -> TimestampedValue:
    return TimestampedValue(Document(name, f"the text of {name}"), second)


def messages() -> Stream:
    """Two windows of a minute, and one document that comes late for the first."""
    return (
        Stream()
        .advance_watermark_to(0)
        .add_elements([at(3, "a"), at(41, "b")])
        .add_elements([at(70, "c"), at(59, "d")])
        .advance_watermark_to(65)
        .add_elements([at(7, "late")])
        .advance_watermark_to(130)
        .advance_watermark_to_infinity()
    )


def minutes(mode: AccumulationMode = AccumulationMode.DISCARDING) -> Any:
    return beam.WindowInto(
        FixedWindows(60),
        trigger=AfterWatermark(late=AfterCount(1)),
        accumulation_mode=mode,
        allowed_lateness=600,
    )


def run_stream(output: Path, stream: Any, shards: int = 1) -> None:
    options = PipelineOptions(streaming=True)
    with beam.Pipeline(runner=BundleBasedDirectRunner(), options=options) as pipeline:
        _ = (
            pipeline
            | stream
            | minutes()
            | TokenizeWindows(str(output), TokenizeSettings(), shards=shards)
        )


def units(output: Path) -> dict[str, list[str]]:
    """The ids of documents by unit; a version is made of all that is there."""
    assert tokenmill.commit(output).new is not None
    found: dict[str, list[str]] = {}
    for document in tokenmill.open(output):
        found.setdefault(document.unit, []).append(str(document.id))
    return found


def test_each_pane_of_a_window_is_a_unit_late_documents_have_one_of_their_own(
    tmp_path: Path,
) -> None:
    run_stream(tmp_path / "out", messages())
    assert units(tmp_path / "out") == {
        f"{FIRST}/shard-00000/pane-00000.jsonl": ["a", "b", "d"],
        f"{FIRST}/shard-00000/pane-00001.jsonl": ["late"],
        f"{SECOND}/shard-00000/pane-00000.jsonl": ["c"],
    }
    assert tokenmill.verify(tmp_path / "out").is_sound
    tokenizer = Tokenizer.load("cl100k_base")
    first = tokenmill.open(tmp_path / "out")["a"].tokens.tolist()
    assert first == [*tokenizer.encode("the text of a"), 100257]


def test_documents_go_to_shards_by_their_id_whatever_the_order(tmp_path: Path) -> None:
    names = [f"document-{number}" for number in range(20)]
    for folder, order in (("one", names), ("other", names[::-1])):
        stream = Stream().advance_watermark_to(0).add_elements([at(5, name) for name in order])
        run_stream(tmp_path / folder, stream.advance_watermark_to_infinity(), shards=3)
    assert output_bytes(tmp_path / "one") == output_bytes(tmp_path / "other")
    found = units(tmp_path / "one")
    assert list(found) == [f"{FIRST}/shard-0000{n}/pane-00000.jsonl" for n in range(3)]
    assert sorted(name for unit in found.values() for name in unit) == sorted(names)


def test_documents_without_an_id_go_to_shards_by_their_text(tmp_path: Path) -> None:
    texts = [f"text {number}" for number in range(20)]
    for folder, documents in (("bare", texts), ("none", [Document(None, text) for text in texts])):
        with beam.Pipeline(runner=FnApiRunner()) as pipeline:
            transform = TokenizeWindows(str(tmp_path / folder), TokenizeSettings(), shards=3)
            _ = pipeline | beam.Create(documents) | transform
    found = {folder: units(tmp_path / folder) for folder in ("bare", "none")}
    assert found["bare"] == found["none"]
    assert len(found["none"]) == 3


def test_a_bundle_that_is_tried_again_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_stream(tmp_path / "undisturbed", messages())
    failures = {"run": 0, "write": 0}
    run, write = TokenizePass.run, Build.write

    def fail_after_files(self: TokenizePass, unit: Any, build: Build) -> Receipt:
        receipt = run(self, unit, build)
        failures["run"] += 1
        if failures["run"] % 2:
            raise RuntimeError("the worker is gone, its files are there, its receipt is not")
        return receipt

    def fail_after_receipt(self: Build, relative: str, content: bytes) -> None:
        write(self, relative, content)
        if relative.startswith("receipts/") and not failures["write"]:
            failures["write"] += 1
            raise RuntimeError("the worker is gone, its receipt is there")

    monkeypatch.setattr(TokenizePass, "run", fail_after_files)
    monkeypatch.setattr(Build, "write", fail_after_receipt)
    monkeypatch.setattr(work_pass, "is_fatal", lambda _: True)  # the bundle fails, not the unit
    run_stream(tmp_path / "out", messages())
    assert failures["write"] == 1
    assert output_bytes(tmp_path / "out") == output_bytes(tmp_path / "undisturbed")


def test_the_same_stream_again_changes_nothing_and_another_one_is_refused(tmp_path: Path) -> None:
    run_stream(tmp_path / "out", messages())
    before = output_bytes(tmp_path / "out")
    run_stream(tmp_path / "out", messages())
    assert output_bytes(tmp_path / "out") == before
    stream = Stream().advance_watermark_to(0).add_elements([at(3, "x"), at(41, "y"), at(42, "z")])
    with pytest.raises(Exception, match="has this pane already, of other documents"):
        run_stream(tmp_path / "out", stream.advance_watermark_to_infinity())
    assert output_bytes(tmp_path / "out") == before


def test_a_pane_that_another_attempt_committed_meanwhile_with_other_documents_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    run = TokenizePass.run
    runs = []

    def run_late(self: TokenizePass, unit: Any, build: Build) -> Receipt:
        runs.append(unit)
        if len(runs) == 1:
            other = Stream().advance_watermark_to(0).add_elements([at(3, "x")])
            run_stream(output, other.advance_watermark_to_infinity())
            assert tokenmill.commit(output).new is not None
        return run(self, unit, build)

    monkeypatch.setattr(TokenizePass, "run", run_late)
    stream = Stream().advance_watermark_to(0).add_elements([at(3, "a")])
    with pytest.raises(Exception, match="has this pane already, of other documents"):
        run_stream(output, stream.advance_watermark_to_infinity())
    assert tokenmill.verify(output).is_sound
    assert [document.id for document in tokenmill.open(output)] == ["x"]


def test_what_a_killed_worker_left_of_a_pane_goes_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    run = TokenizePass.run

    def run_noted(self: TokenizePass, unit: Any, build: Build) -> Receipt:
        seen.append(Path(unit.path))
        return run(self, unit, build)

    monkeypatch.setattr(TokenizePass, "run", run_noted)
    run_stream(tmp_path / "out", messages())
    # Only a scratch folder is known by its lock to be nobody's (test_scratch.py).
    assert all(path.parent.parent.name.startswith("tokenmill-scratch-") for path in seen)
    assert not any(path.parent.parent.exists() for path in seen)


def test_what_is_no_text_is_a_reject_of_its_pane(tmp_path: Path) -> None:
    documents = ["good", "", "lone \udc00", None, 7, b"bytes", float("nan")]

    def rejected(receipts: Iterable[Receipt]) -> None:
        (receipt,) = receipts
        assert receipt.input.documents == 1
        assert receipt.input.rejects == {
            "empty-document": 1,
            "invalid-utf8": 1,
            "null-text": 1,
            "text-not-a-string": 3,
        }

    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        receipts = (
            pipeline
            | beam.Create([Document(str(n), text) for n, text in enumerate(documents)])  # type: ignore[arg-type]
            | TokenizeWindows(str(tmp_path / "out"), TokenizeSettings())
        )
        assert_that(receipts, rejected)


def test_texts_alone_are_documents_and_one_window_is_global(tmp_path: Path) -> None:
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        receipts = (
            pipeline
            | beam.Create(["one", "naïve 🧵"])
            | TokenizeWindows(str(tmp_path / "out"), TokenizeSettings())
        )
        names = receipts | beam.Map(lambda receipt: receipt.unit)
        assert_that(names, equal_to(["global/shard-00000/pane-00000.jsonl"]))
    found = units(tmp_path / "out")
    assert found == {"global/shard-00000/pane-00000.jsonl": ["None", "None"]}


def test_names_of_windows_stand_in_the_order_of_time() -> None:
    starts = [-60_000_000_000, 0, 0.25, 0.5, 1]
    names = [pane_name(IntervalWindow(start, start + 1), 0, 0) for start in starts]
    assert names == sorted(names)
    assert names[0].startswith("00680903T132000.")
    with pytest.raises(UnitFailedError, match="give each document the time that it is of"):
        pane_name(IntervalWindow(MIN_TIMESTAMP, 0), 0, 0)


class Untimed(NonMergingWindowFn):  # type: ignore[misc]
    """Windows that are nothing but a name."""

    def assign(self, _: Any) -> list[str]:
        return ["one"]

    def get_window_coder(self) -> Any:
        return beam.coders.StrUtf8Coder()


def test_windows_without_start_and_end_are_refused() -> None:
    documents = beam.Pipeline(runner=FnApiRunner()) | beam.Create(["a"])
    with pytest.raises(ConfigurationError, match="expected windows with a start and an end"):
        _ = documents | beam.WindowInto(Untimed()) | TokenizeWindows("out", TokenizeSettings())


def test_panes_that_accumulate_are_refused() -> None:
    again = beam.WindowInto(
        FixedWindows(60),
        trigger=Repeatedly(AfterCount(1)),
        accumulation_mode=AccumulationMode.ACCUMULATING,
    )
    pipeline = beam.Pipeline(runner=FnApiRunner())
    documents = pipeline | beam.Create(["a"]) | again
    with pytest.raises(ConfigurationError, match="DISCARDING"):
        _ = documents | TokenizeWindows("out", TokenizeSettings())
    with pytest.raises(ConfigurationError, match="expected 1 or more, found 0"):
        TokenizeWindows("out", TokenizeSettings(), shards=0)


def test_versions_are_committed_while_the_stream_goes_on(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with pytest.raises(MismatchError, match="is no build"):
        tokenmill.commit(output)
    start = Stream().advance_watermark_to(0).add_elements([at(3, "a")])
    run_stream(output, start.advance_watermark_to_infinity())
    first = tokenmill.commit(output).new
    assert first is not None
    assert tokenmill.commit(output).new is None, "nothing new"
    later = Stream().advance_watermark_to(60).add_elements([at(70, "b")])
    run_stream(output, later.advance_watermark_to_infinity())
    second = tokenmill.commit(output).new
    assert second is not None
    assert second.inputs == (f"{SECOND}/shard-00000/pane-00000.jsonl",)
    assert second.version.previous == first.version.sha256
    assert [document.id for document in tokenmill.open(output, version=1)] == ["a"]
    assert [document.id for document in tokenmill.open(output)] == ["a", "b"]
    assert tokenmill.verify(output).is_sound
    with pytest.raises(ConfigurationError, match="built with other settings"):
        tokenmill.commit(output, TokenizeSettings(end_of_text=None))


def test_the_stream_of_the_readme_runs_as_it_stands_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
    (block,) = (b for b in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "FixedW" in b)
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {"__name__": "__main__"})
    (version,) = read_versions(Build.at("stream"))
    assert capsys.readouterr().out == f"{version.sha256}\n"
