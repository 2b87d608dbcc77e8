"""`ApplyMergeRules`: documents in, token arrays out, for pipelines of your own.

    PCollection[str] or PCollection[Document]
       │ ApplyMergeRules("cl100k_base")
       ├─► .tokens   uint32[n] for a str, TokenizedDocument for a Document
       └─► .rejects  RejectedDocument: what could not be encoded, and why

It shares the kernel with `TokenizeShards`, which `tokenmill build` runs: the same tokens.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, List, NamedTuple, Union  # noqa: UP035 (Beam's batch hints want List)

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput

from tokenizer import Tokenizer
from transforms.documents import Reason
from transforms.framing import begin_of_text_id, end_of_text_id


class Document(NamedTuple):
    """A text with a name of its own."""

    id: str
    text: str


class TokenizedDocument(NamedTuple):
    """A document's ids, uint32[n], begin and end of text included."""

    id: str
    tokens: Any


class RejectedDocument(NamedTuple):
    """A document that was not encoded; `reason` is a value of `Reason`."""

    document: Any
    reason: str


_Element = Union[str, Document]  # noqa: UP007 (a run-time value for Beam's hints)


class _ApplyMergeRules(beam.DoFn):  # type: ignore[misc]
    """Encodes a document, or a batch of them, with the one tokenizer of its process."""

    def __init__(
        self, load: Mapping[str, Any], begin_of_text: int | None, end_of_text: int | None
    ) -> None:
        self._load = dict(load)
        self._begin_of_text = begin_of_text
        self._end_of_text = end_of_text
        self._tokenizer: Tokenizer | None = None
        self._documents = Metrics.counter("tokenmill", "documents")
        self._tokens = Metrics.counter("tokenmill", "tokens")

    def setup(self) -> None:
        self._tokenizer = Tokenizer.load(**self._load)

    def process(self, element: _Element) -> Iterator[Any]:
        yield from self._encode([element])

    @beam.DoFn.yields_elements  # type: ignore[untyped-decorator]
    def process_batch(self, batch: Sequence[_Element]) -> Iterator[Any]:
        yield from self._encode(batch)

    def get_input_batch_type(self, input_element_type: Any) -> Any:
        """A list of whatever the elements are: Beam wants the two types to match."""
        return List[input_element_type]  # noqa: UP006

    def _encode(self, elements: Sequence[_Element]) -> Iterator[Any]:
        assert self._tokenizer is not None  # setup() ran
        texts: list[bytes] = []
        kept: list[_Element] = []
        for element in elements:
            text = element.text if isinstance(element, Document) else element
            if (reason := _fault(text)) is not None:
                yield self._reject(element, reason)
                continue
            try:
                texts.append(text.encode())
            except UnicodeEncodeError:  # a lone surrogate
                yield self._reject(element, Reason.INVALID_UTF8)
                continue
            kept.append(element)
        encoded = self._tokenizer.encode_documents(
            pa.array(texts, pa.large_binary()).view(pa.large_string()),
            begin_of_text=self._begin_of_text,
            end_of_text=self._end_of_text,
        )
        self._documents.inc(int(np.count_nonzero(np.diff(encoded.offsets))))
        self._tokens.inc(len(encoded.tokens))
        for i, element in enumerate(kept):
            # A copy of its own: a view would keep the whole batch alive.
            tokens = encoded.tokens[encoded.offsets[i] : encoded.offsets[i + 1]].copy()
            if not len(tokens):  # the text is "", or the tokenizer removes all of it
                yield self._reject(element, Reason.EMPTY_DOCUMENT)
                continue
            yield (
                TokenizedDocument(element.id, tokens) if isinstance(element, Document) else tokens
            )

    def _reject(self, element: _Element, reason: Reason) -> TaggedOutput:
        Metrics.counter("tokenmill", f"rejects.{reason.value}").inc()
        return TaggedOutput(ApplyMergeRules.REJECTS, RejectedDocument(element, reason.value))


def _fault(text: Any) -> Reason | None:
    if text is None:
        return Reason.NULL_TEXT
    if not isinstance(text, str):
        return Reason.TEXT_NOT_A_STRING
    return None


class ApplyMergeRules(beam.PTransform):  # type: ignore[misc]
    """Applies a vocabulary's merge rules to each document: `str` or `Document`.

    tokenizer, split_pattern, special_tokens: as in Tokenizer.load; a path must be readable on
      the workers. begin_of_text, end_of_text: what goes around each document, as in framing.py:
      "auto", an id, the text of a special token, or None for nothing.

    Gives `.tokens` and `.rejects`; see the module. Special-token text is plain text. Counts
    documents, tokens and rejects by reason as Beam metrics of the namespace `tokenmill`.
    Raises ConfigurationError when the pipeline is built, not when it runs.
    """

    TOKENS, REJECTS = "tokens", "rejects"

    def __init__(
        self,
        tokenizer: str = "cl100k_base",
        *,
        split_pattern: str | None = None,
        special_tokens: Mapping[str, int] | None = None,
        revision: str | None = None,
        begin_of_text: str | int | None = None,
        end_of_text: str | int | None = None,
    ) -> None:
        super().__init__()
        self._load: dict[str, Any] = {
            "source": tokenizer,
            "split_pattern": split_pattern,
            "special_tokens": special_tokens,
        }
        loaded = Tokenizer.load(**self._load, revision=revision)
        self._load["revision"] = loaded.vocabulary.revision
        self._begin_of_text = begin_of_text_id(loaded, begin_of_text)
        self._end_of_text = end_of_text_id(loaded, end_of_text)

    def expand(self, documents: Any) -> Any:
        do_fn = _ApplyMergeRules(self._load, self._begin_of_text, self._end_of_text)
        return documents | "ApplyMergeRules" >> beam.ParDo(do_fn).with_input_types(
            _Element
        ).with_outputs(self.REJECTS, main=self.TOKENS)
