"""`ApplyMergeRules` composed into pipelines, element by element and batch by batch."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, List  # noqa: UP035 (Beam's batch hints want List)

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.metrics import MetricsFilter
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.display import DisplayData
from apache_beam.transforms.window import (
    FixedWindows,
    GlobalWindows,
    SlidingWindows,
    TimestampedValue,
)
from published_tokenizers import drop_white_space, write_json
from sample_inputs import texts, write_inputs

import transforms.encoding_do_fns
from tokenizer import ConfigurationError, Tokenizer
from transforms import ApplyMergeRules, Document, TokenizedDocument
from transforms.encoding_do_fns import EncodeOneByOne
from transforms.passes.tokenize import TokenizePass
from transforms.passes.work_pass import WorkUnit, run_unit
from transforms.settings import TokenizeSettings
from transforms.shards.build import Build
from transforms.token_coders import TokenIdsCoder, TokenizedDocumentCoder

README = Path(__file__).resolve().parent.parent / "README.md"


def _replace_tildes(root: dict[str, object]) -> None:
    """A change for `write_json`: text is changed before it is cut, so one text has no short way."""
    root["normalizer"] = {"type": "Replace", "pattern": {"String": "~~~"}, "content": "~"}


def _compose(root: dict[str, object]) -> None:
    """A change for `write_json`: text is composed, but most of it is so already."""
    root["normalizer"] = {"type": "NFC"}


@pytest.fixture(params=["one by one", "many at a time"])
def tokenizer(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A tokenizer of either kind, by which "a", "b", "c", "d" are 64 to 67."""
    is_single = request.param == "one by one"
    path = write_json(tmp_path / "either.json", _compose if is_single else _replace_tildes)
    assert (Tokenizer.load(path).text_encoder() is not None) == is_single
    return str(path)


class _InBatches(beam.DoFn):  # type: ignore[misc]
    """Makes the next DoFn receive batches."""

    @beam.DoFn.yields_batches  # type: ignore[untyped-decorator]
    def process(self, batch: list[str]) -> Iterator[List[str]]:  # noqa: UP006
        yield batch

    def infer_output_type(self, input_type: Any) -> Any:
        return str


def test_strings_become_token_arrays() -> None:
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        encoded = pipeline | beam.Create(["hello world", "Hello world"]) | ApplyMergeRules()
        ids = encoded.tokens | beam.Map(lambda tokens: (tokens.dtype.name, *tokens.tolist()))
        assert_that(ids, equal_to([("uint32", 15339, 1917), ("uint32", 9906, 1917)]))
        assert_that(encoded.rejects, equal_to([]), label="no rejects")


def test_a_text_of_which_nothing_is_left_is_a_reject_to_both_ways(tmp_path: Path) -> None:
    vocabulary = str(write_json(tmp_path / "tokenizer.json", drop_white_space))
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        encoded = (
            pipeline | beam.Create([" ", "a b"]) | ApplyMergeRules(vocabulary, begin_of_text=7)
        )
        ids = encoded.tokens | beam.Map(np.ndarray.tolist)
        assert_that(ids, equal_to([[7, 64, 65]]))
        reasons = encoded.rejects | "reasons" >> beam.Map(lambda r: (r.document, r.reason))
        assert_that(reasons, equal_to([(" ", "empty-document")]), label="rejects")
    path = tmp_path / "texts.jsonl"
    path.write_text('{"text": " "}\n{"text": "a b"}\n', encoding="utf-8")
    settings = TokenizeSettings(tokenizer=vocabulary, begin_of_text=7, end_of_text="none")
    unit = WorkUnit(name=path.name, path=str(path), size_bytes=path.stat().st_size)
    receipt = run_unit(TokenizePass(settings), unit, Build.at(str(tmp_path / "out"), "test"))
    assert (receipt.input.documents, receipt.input.rejects) == (1, {"empty-document": 1})
    assert np.load(tmp_path / "out" / "tokens" / "texts.jsonl.npy").tolist() == [7, 64, 65]


def test_bad_documents_cost_themselves_in_both_kinds(tokenizer: str) -> None:
    documents = [
        Document(name, text)  # type: ignore[arg-type]
        for name, text in zip("abcdef", ["ab", None, 7, "", "x\ud800", b"a"], strict=True)
    ]
    pipeline = beam.Pipeline(runner=FnApiRunner())
    encoded = pipeline | beam.Create(documents) | ApplyMergeRules(tokenizer, end_of_text=9)
    rows = encoded.tokens | beam.Map(lambda document: (document.id, document.tokens.tolist()))
    expected_ids = Tokenizer.load(tokenizer).encode("ab").tolist()
    assert_that(rows, equal_to([("a", [*expected_ids, 9])]))
    reasons = encoded.rejects | "reasons" >> beam.Map(lambda r: (r.document.id, r.reason))
    expected = [
        ("b", "null-text"),
        ("c", "text-not-a-string"),
        ("d", "empty-document"),
        ("e", "invalid-utf8"),
        ("f", "text-not-a-string"),
    ]
    assert_that(reasons, equal_to(expected), label="rejects")
    result = pipeline.run()
    result.wait_until_finish()
    counters = result.metrics().query(MetricsFilter().with_namespace("tokenmill"))["counters"]
    found = {counter.key.metric.name: counter.committed for counter in counters}
    assert (found.pop("documents"), found.pop("tokens")) == (1, len(expected_ids) + 1)
    assert sum(found.values()) == len(expected)


def test_a_bundle_that_is_tried_again_is_counted_once() -> None:
    do_fn = EncodeOneByOne({"source": "gpt2"}, None, None)
    counted: list[int] = []
    do_fn._documents = SimpleNamespace(inc=counted.append)
    do_fn.setup()
    for texts_of_bundle, is_finished in ((["a", "b"], True), (["c", "d"], False), (["c"], True)):
        do_fn.start_bundle()
        for text in texts_of_bundle:
            assert len(list(do_fn.process(text))) == 1
        if is_finished:
            do_fn.finish_bundle()
    assert counted == [2, 1]


def test_documents_keep_their_ids_and_bad_ones_go_to_the_dead_letters() -> None:
    good, empty, null, number = (
        Document("a", "hello world"),
        Document("b", ""),
        Document("c", None),  # type: ignore[arg-type]
        Document("d", 7),  # type: ignore[arg-type]
    )
    pipeline = beam.Pipeline(runner=FnApiRunner())
    encoded = (
        pipeline
        | beam.Create([good, empty, null, number])
        | ApplyMergeRules("gpt2", begin_of_text=50256, end_of_text="auto")
    )
    rows = encoded.tokens | beam.Map(lambda document: (document.id, document.tokens.tolist()))
    assert_that(rows, equal_to([("a", [50256, 31373, 995, 50256])]))
    rejects = encoded.rejects | "reasons" >> beam.Map(lambda r: (r.document.id, r.reason))
    expected = [("b", "empty-document"), ("c", "null-text"), ("d", "text-not-a-string")]
    assert_that(rejects, equal_to(expected), label="rejects")
    result = pipeline.run()
    result.wait_until_finish()
    found = {
        counter.key.metric.name: counter.committed
        for counter in result.metrics().query(MetricsFilter().with_namespace("tokenmill"))[
            "counters"
        ]
    }
    assert found == {
        "documents": 1,
        "tokens": 4,
        "rejects.empty-document": 1,
        "rejects.null-text": 1,
        "rejects.text-not-a-string": 1,
    }


def test_batches_give_what_elements_give() -> None:
    documents = texts("batch", 50)
    tokenizer = Tokenizer.load("cl100k_base")
    expected = [tokenizer.encode(text).tolist() for text in documents]
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        batched = (
            pipeline
            | beam.Create([documents[:20], [*documents[20:], ""]])
            | beam.ParDo(_InBatches())
            | ApplyMergeRules()
        )
        assert_that(batched.tokens | beam.Map(lambda tokens: tokens.tolist()), equal_to(expected))
        reasons = batched.rejects | "reasons" >> beam.Map(lambda reject: reject.reason)
        assert_that(reasons, equal_to(["empty-document"]), label="rejects")


def test_the_transform_and_the_build_give_the_same_tokens(tmp_path: Path) -> None:
    write_inputs(tmp_path / "in")
    settings = TokenizeSettings()
    path = tmp_path / "in" / "a.jsonl.zst"
    unit = WorkUnit("a.jsonl.zst", str(path), path.stat().st_size)
    run_unit(TokenizePass(settings), unit, Build.at(str(tmp_path / "out"), "test"))
    built = np.load(tmp_path / "out" / "tokens" / "a.jsonl.zst.npy").tolist()
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        encoded = pipeline | beam.Create(texts("a", 40)) | ApplyMergeRules(end_of_text="auto")
        together = (
            encoded.tokens
            | beam.Map(lambda tokens: tokens.tolist())
            | beam.combiners.ToList()
            | "join" >> beam.Map(lambda lists: [token for tokens in lists for token in tokens])
        )
        assert_that(together, equal_to([built]))


def test_an_impossible_tokenizer_fails_when_the_pipeline_is_built() -> None:
    with pytest.raises(ConfigurationError, match="expected one of"):
        ApplyMergeRules("gpt9")


def test_outputs_and_rejects_keep_their_windows_and_timestamps(tokenizer: str) -> None:
    elements = [TimestampedValue(text, 30 * i) for i, text in enumerate(["a", "b", "", "c", "d"])]

    class _Place(beam.DoFn):  # type: ignore[misc]
        def process(
            self,
            element: Any,
            timestamp: Any = beam.DoFn.TimestampParam,
            window: Any = beam.DoFn.WindowParam,
        ) -> Iterator[Any]:
            shown = element.reason if hasattr(element, "reason") else element.tolist()
            yield shown, float(timestamp), float(window.start), float(window.end)

    for windows, length in ((GlobalWindows(), None), (FixedWindows(60), 60.0)):
        with beam.Pipeline(runner=FnApiRunner()) as pipeline:
            encoded = (
                pipeline
                | beam.Create(elements)
                | beam.Map(lambda element: element)
                | beam.WindowInto(windows)
                | ApplyMergeRules(tokenizer)
            )
            places = encoded.tokens | "token places" >> beam.ParDo(_Place())
            rejects = encoded.rejects | "reject places" >> beam.ParDo(_Place())
            if length is None:
                times = places | beam.Map(lambda row: row[:2])
                assert_that(times, equal_to([([64], 0), ([65], 30), ([66], 90), ([67], 120)]))
                lost = rejects | "r" >> beam.Map(lambda row: row[:2])
                assert_that(lost, equal_to([("empty-document", 60)]), label="rejects")
            else:
                expected = [([64], 0, 0, 60), ([65], 30, 0, 60), ([66], 90, 60, 120)]
                assert_that(places, equal_to([*expected, ([67], 120, 120, 180)]))
                lost = [("empty-document", 60, 60, 120)]
                assert_that(rejects, equal_to(lost), label="rejects")


def test_an_element_in_several_windows_comes_out_in_each(tokenizer: str) -> None:
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        encoded = (
            pipeline
            | beam.Create([TimestampedValue("a", 70)])
            | beam.Map(lambda element: element)
            | beam.WindowInto(SlidingWindows(60, 30))
            | ApplyMergeRules(tokenizer)
        )
        counted = (
            encoded.tokens
            | beam.Map(lambda ids: ("ids", 1))
            | beam.CombinePerKey(sum)
            | beam.Values()
        )
        assert_that(counted, equal_to([1, 1]))


def distribution(result: Any, name: str) -> Any:
    query = MetricsFilter().with_namespace("tokenmill").with_name(name)
    (found,) = result.metrics().query(query)["distributions"]
    return found.committed


def test_documents_are_encoded_many_at_a_time(tmp_path: Path) -> None:
    """Those of a tokenizer of which one alone takes as long as a hundred."""
    pipeline = beam.Pipeline(runner=FnApiRunner())
    vocabulary = str(write_json(tmp_path / "tokenizer.json", _replace_tildes))
    documents = pipeline | beam.Create(texts("many", 5000), reshuffle=False)
    _ = documents | ApplyMergeRules(vocabulary)
    result = pipeline.run()
    result.wait_until_finish()
    batches = distribution(result, "batch_documents")
    assert batches.sum == 5000
    assert batches.count <= 10  # of bundles that the runner cuts, not of documents
    assert distribution(result, "batch_tokens").sum > 5000


def test_what_is_collected_is_bounded_in_documents_and_in_characters(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    vocabulary = str(write_json(tmp_path / "tokenizer.json", _replace_tildes))
    digits = ["abcd " * 2] * 50
    for limit, value in (("_MAX_DOCUMENTS", 7), ("_MAX_CHARACTERS", 100)):
        monkeypatch.setattr(transforms.encoding_do_fns, limit, value)
        pipeline = beam.Pipeline(runner=FnApiRunner())
        documents = pipeline | beam.Create(digits, reshuffle=False)
        encoded = documents | ApplyMergeRules(vocabulary)
        expected = Tokenizer.load(vocabulary).count(digits[0])
        assert_that(encoded.tokens | beam.Map(len), equal_to([expected] * 50))
        result = pipeline.run()
        result.wait_until_finish()
        assert distribution(result, "batch_documents").max == min(value, 10)
        monkeypatch.undo()


def test_arrow_arrays_become_arrays_of_lists_by_either(tokenizer: str) -> None:
    array = pa.array(["a b", None, "", "d"])
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        encoded = pipeline | beam.Create([array]) | ApplyMergeRules(tokenizer, begin_of_text=7)
        lists = encoded.tokens | beam.Map(lambda tokens: tokens.to_pylist())
        first = [7, *Tokenizer.load(tokenizer).encode("a b").tolist()]
        assert_that(lists, equal_to([[first, None, None, [7, 67]]]))
        rejects = encoded.rejects | beam.Map(lambda reject: (reject.document, reject.reason))
        expected = [(None, "null-text"), ("", "empty-document")]
        assert_that(rejects, equal_to(expected), label="rejects")


def test_arrow_arrays_become_arrays_of_lists() -> None:
    array = pa.array(["hello world", None, "", "Hello world"])
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        encoded = pipeline | beam.Create([array]) | ApplyMergeRules()
        lists = encoded.tokens | beam.Map(lambda tokens: tokens.to_pylist())
        assert_that(lists, equal_to([[[15339, 1917], None, None, [9906, 1917]]]))
        rejects = encoded.rejects | beam.Map(lambda reject: (reject.document, reject.reason))
        expected = [(None, "null-text"), ("", "empty-document")]
        assert_that(rejects, equal_to(expected), label="rejects")


def test_a_document_with_a_lone_surrogate_costs_itself() -> None:
    # Documents: Beam's own coder for str would not let it through.
    documents = [Document(name, text) for name, text in ("xa", "y\ud800", "zb")]
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        encoded = pipeline | beam.Create(documents) | ApplyMergeRules()
        rows = encoded.tokens | beam.Map(lambda document: (document.id, *document.tokens.tolist()))
        assert_that(rows, equal_to([("x", 64), ("z", 65)]))
        reasons = encoded.rejects | beam.Map(lambda reject: (reject.document.id, reject.reason))
        assert_that(reasons, equal_to([("y", "invalid-utf8")]), label="rejects")


@pytest.mark.parametrize(
    "array",
    [
        np.array([1, 2**32 - 1], np.uint32),
        np.array([], np.uint32),
        np.array([[1, 2], [3, 4]], np.float64),
        np.array([1, 2], ">u4"),
        np.array(7),
    ],
)
def test_arrays_travel_as_they_are(array: Any) -> None:
    coder = TokenIdsCoder()
    again = coder.decode(coder.encode(array))
    assert again.dtype == array.dtype
    assert again.shape == array.shape
    assert np.array_equal(again, array)
    again[...] = 0  # writable: it is nobody else's memory


def test_ids_are_not_pickled_between_stages() -> None:
    pipeline = beam.Pipeline(runner=FnApiRunner())
    plain = pipeline | "a" >> beam.Create(["a"]) | "plain" >> ApplyMergeRules()
    named = pipeline | "b" >> beam.Create([Document("a", "b")]) | "named" >> ApplyMergeRules()
    registry = beam.coders.registry
    assert isinstance(registry.get_coder(plain.tokens.element_type), TokenIdsCoder)
    coder = registry.get_coder(named.tokens.element_type)
    assert isinstance(coder, TokenizedDocumentCoder)
    document = TokenizedDocument("a", np.array([5], np.uint32))
    again = coder.decode(coder.encode(document))
    assert (again.id, again.tokens.tolist()) == ("a", [5])


def test_what_it_does_is_shown_with_the_pipeline() -> None:
    data = DisplayData.create_from(ApplyMergeRules("gpt2", end_of_text="auto"))
    shown = {item.key: item.value for item in data.items}
    assert shown == {
        "tokenizer": "gpt2",
        "revision": "(none)",
        "begin_of_text": "none",
        "end_of_text": 50256,
    }


def test_the_pipeline_in_the_readme_prints_what_its_comments_say(
    capfd: pytest.CaptureFixture[str],
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    pipelines = [block for block in blocks if "ApplyMergeRules" in block]
    assert len(pipelines) == 1
    exec(compile(pipelines[0], "README.md", "exec"), {"__name__": "__main__"})
    comments = re.findall(r"# Prints (.*)\.", pipelines[0])
    expected = [line for comment in comments for line in comment.split(" and ")]
    assert sorted(capfd.readouterr().out.splitlines()) == sorted(expected)
