"""The DoFns of `ApplyMergeRules`: one by one, or collected within a bundle.

text has a short way to its ids       element ─► ids, at once
it has none (some of SentencePiece)   elements ─► collected ─► ids of many ─► each in its window
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, List, NamedTuple, Union  # noqa: UP035 (Beam's batch hints want List)

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils import windowed_value

from tokenizer import Tokenizer
from transforms import token_coders
from transforms.documents import Reason
from transforms.faulty_texts import is_text, texts_and_faults

REJECTS = "rejects"  # the tag of what could not be encoded

# What is collected is bounded in characters, and in documents for those that are empty.
_MAX_CHARACTERS = 1 << 20
_MAX_DOCUMENTS = 1 << 14


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


token_coders.register(TokenizedDocument)
_Outcome = Union[npt.NDArray[np.uint32], TokenizedDocument, RejectedDocument]  # noqa: UP007


class Encode(beam.DoFn):  # type: ignore[misc]
    """Encodes documents with the one tokenizer of its process: batches of them, Arrow arrays."""

    def __init__(
        self, load: Mapping[str, Any], begin_of_text: int | None, end_of_text: int | None
    ) -> None:
        self._load = dict(load)
        self._begin_of_text = begin_of_text
        self._end_of_text = end_of_text
        self._tokenizer: Tokenizer | None = None
        self._documents = Metrics.counter("tokenmill", "documents")
        self._tokens = Metrics.counter("tokenmill", "tokens")
        self._batch_documents = Metrics.distribution("tokenmill", "batch_documents")
        self._batch_tokens = Metrics.distribution("tokenmill", "batch_tokens")

    def setup(self) -> None:
        self._tokenizer = Tokenizer.load(**self._load)

    @beam.DoFn.yields_elements  # type: ignore[untyped-decorator]
    def process_batch(self, batch: Sequence[Any]) -> Iterable[Any]:
        for outcome in self._encode(batch):
            is_reject = isinstance(outcome, RejectedDocument)
            yield TaggedOutput(REJECTS, outcome) if is_reject else outcome

    def get_input_batch_type(self, input_element_type: Any) -> Any:
        """A list of whatever the elements are: Beam wants the two types to match."""
        return List[input_element_type]  # noqa: UP006

    def _encode(self, elements: Sequence[Any]) -> Iterator[_Outcome]:
        """What becomes of each element, in their order."""
        texts = [one.text if isinstance(one, Document) else one for one in elements]
        faults: dict[int, Reason] = {}
        try:
            array = pa.array(texts, pa.large_string())
            # Arrow takes bytes for text; None and what only looks like text are looked at singly.
            is_plain = not array.null_count and all(type(text) is str for text in texts)
        except (TypeError, UnicodeEncodeError, pa.ArrowException):
            is_plain = False
        if not is_plain:
            array, faults = texts_and_faults(texts)
        tokens, bounds = self._encode_texts(array)
        for number, element in enumerate(elements):
            # A copy of its own: a view would keep the whole batch alive.
            ids = tokens[bounds[number] : bounds[number + 1]].copy()
            if not ids.size:  # at fault; or the text is "", or the tokenizer removes all of it
                yield self._reject(element, faults.get(number, Reason.EMPTY_DOCUMENT))
            elif isinstance(element, Document):
                yield TokenizedDocument(element.id, ids)
            else:
                yield ids

    def _encode_array(self, texts: Any) -> Iterator[Any]:
        """A list of ids for each text of an Arrow array; null where the text is a reject."""
        values = texts.to_pylist() if texts.null_count or not is_text(texts) else None
        faults: dict[int, Reason] = {}
        if values is not None:
            array, faults = texts_and_faults(values)
        else:
            combined = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
            array = combined.cast(pa.large_string())
        tokens, bounds = self._encode_texts(array)
        offsets = np.array(bounds, np.int64)
        is_rejected = np.diff(offsets) == 0
        for number in np.flatnonzero(is_rejected).tolist():
            reason = faults.get(number, Reason.EMPTY_DOCUMENT)
            yield self._rejected(texts[number].as_py(), reason)
        yield pa.LargeListArray.from_arrays(offsets, tokens, mask=pa.array(is_rejected))

    def _encode_texts(self, texts: pa.Array) -> tuple[npt.NDArray[np.uint32], list[int]]:
        assert self._tokenizer is not None  # setup() ran
        encoded = self._tokenizer.encode_documents(
            texts, begin_of_text=self._begin_of_text, end_of_text=self._end_of_text
        )
        documents = int(np.count_nonzero(np.diff(encoded.offsets)))
        self._documents.inc(documents)
        self._tokens.inc(len(encoded.tokens))
        self._batch_documents.update(documents)
        self._batch_tokens.update(len(encoded.tokens))
        return encoded.tokens, encoded.offsets.tolist()

    def _rejected(self, document: Any, reason: Reason) -> TaggedOutput:
        return TaggedOutput(REJECTS, self._reject(document, reason))

    def _reject(self, document: Any, reason: Reason) -> RejectedDocument:
        Metrics.counter("tokenmill", f"rejects.{reason.value}").inc()
        return RejectedDocument(document, reason.value)


class EncodeOneByOne(Encode):
    """Where one text takes the short way to its ids: each goes out as it came, in its windows."""

    def setup(self) -> None:
        super().setup()
        assert self._tokenizer is not None
        encode_text = self._tokenizer.text_encoder(
            begin_of_text=self._begin_of_text, end_of_text=self._end_of_text
        )
        assert encode_text is not None  # or expand() would have chosen another
        self._encode_text = encode_text

    def start_bundle(self) -> None:
        self._counts = [0, 0]

    # Neither timestamp nor window is asked for: to be told one of them takes Beam 2 us an element.
    def process(self, element: Any) -> Iterable[Any]:
        text = element
        if type(element) is not str:
            if isinstance(element, pa.Array | pa.ChunkedArray):
                return self._encode_array(element)
            text = element.text if isinstance(element, Document) else element
        try:
            ids = self._encode_text(text)
        except (TypeError, UnicodeEncodeError):
            _, faults = texts_and_faults([text])
            return (self._rejected(element, faults[0]),)
        if not ids.size:
            return (self._rejected(element, Reason.EMPTY_DOCUMENT),)
        counts = self._counts
        counts[0] += 1
        counts[1] += ids.size
        return (ids if text is element else TokenizedDocument(element.id, ids),)

    def finish_bundle(self) -> None:
        documents, tokens = self._counts
        self._documents.inc(documents)
        self._tokens.inc(tokens)


class EncodeCollected(Encode):
    """For other tokenizers, of which a call costs as much as a hundred short documents.

    Elements are collected within a bundle, each with its timestamp, window and pane, and go out
    with them when enough are there, or when the bundle ends. A bundle that is tried again begins
    with nothing collected.
    """

    def start_bundle(self) -> None:
        self._elements: list[Any] = []
        # Of each: timestamp in microseconds, windows, pane.
        self._places: list[tuple[int, tuple[Any, ...], Any]] = []
        self._characters = 0

    def process(
        self,
        element: Any,
        timestamp: Any = beam.DoFn.TimestampParam,
        window: Any = beam.DoFn.WindowParam,
        pane: Any = beam.DoFn.PaneInfoParam,
    ) -> Iterable[Any]:
        return self._collect(element, (timestamp.micros, (window,), pane))

    def finish_bundle(self) -> Iterable[Any]:
        return self._flush()

    def _collect(self, element: Any, place: tuple[int, tuple[Any, ...], Any]) -> Iterable[Any]:
        text = element
        if type(element) is not str:
            if isinstance(element, pa.Array | pa.ChunkedArray):
                return self._encode_array(element)
            text = element.text if isinstance(element, Document) else element
        if isinstance(text, str):
            self._characters += len(text)
        self._elements.append(element)
        self._places.append(place)
        if self._characters < _MAX_CHARACTERS and len(self._elements) < _MAX_DOCUMENTS:
            return ()
        return self._flush()

    def _flush(self) -> Iterator[Any]:
        elements, places = self._elements, self._places
        self.start_bundle()
        if not elements:
            return
        for outcome, (micros, windows, pane) in zip(self._encode(elements), places, strict=True):
            value = windowed_value.create(outcome, micros, windows, pane)
            is_reject = isinstance(outcome, RejectedDocument)
            yield TaggedOutput(REJECTS, value) if is_reject else value


class EncodeCollectedGlobally(EncodeCollected):
    """The same where there is one window: asking Beam for window and pane takes 2 us an element."""

    _WINDOWS = (GlobalWindow(),)

    def process(  # type: ignore[override]
        self, element: Any, timestamp: Any = beam.DoFn.TimestampParam
    ) -> Iterable[Any]:
        place = (timestamp.micros, self._WINDOWS, windowed_value.PANE_INFO_UNKNOWN)
        return self._collect(element, place)
