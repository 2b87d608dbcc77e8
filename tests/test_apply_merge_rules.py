"""`ApplyMergeRules` composed into pipelines, element by element and batch by batch."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, List  # noqa: UP035 (Beam's batch hints want List)

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.metrics import MetricsFilter
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from published_tokenizers import drop_white_space, write_json
from sample_inputs import texts, write_inputs

from tokenizer import ConfigurationError, Tokenizer
from transforms import ApplyMergeRules, Document
from transforms.passes.tokenize import TokenizePass
from transforms.passes.work_pass import WorkUnit, run_unit
from transforms.settings import TokenizeSettings
from transforms.shards.build import Build

README = Path(__file__).resolve().parent.parent / "README.md"


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


def test_the_pipeline_in_the_readme_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    pipelines = [block for block in blocks if "ApplyMergeRules" in block]
    assert len(pipelines) == 1
    exec(compile(pipelines[0], "README.md", "exec"), {"__name__": "__main__"})
