"""`ApplyMergeRules`: documents in, token arrays out, for pipelines of your own.

    PCollection[str], [Document] or [pyarrow.Array]
       │ ApplyMergeRules("cl100k_base")
       ├─► .tokens   uint32[n] for a str, TokenizedDocument for a Document,
       │             LargeListArray of uint32 for an array of strings
       └─► .rejects  RejectedDocument: what could not be encoded, and why

It shares the kernel with `TokenizeShards`, which `tokenmill build` runs: the same tokens.
"""

from collections.abc import Mapping
from typing import Any, Union

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindows

from tokenizer import Tokenizer
from transforms.encoding_do_fns import (
    REJECTS,
    Document,
    Encode,
    EncodeCollected,
    EncodeCollectedGlobally,
    EncodeOneByOne,
    RejectedDocument,
    TokenizedDocument,
)
from transforms.framing import begin_of_text_id, end_of_text_id

__all__ = ["ApplyMergeRules", "Document", "RejectedDocument", "TokenizedDocument"]

_Element = Union[str, Document, pa.Array]  # noqa: UP007 (a run-time value for Beam's hints)


class ApplyMergeRules(beam.PTransform):  # type: ignore[misc]
    """Applies a vocabulary's merge rules to each document: `str`, `Document` or an Arrow array.

        encoded = pipeline | beam.Create(["hello world"]) | ApplyMergeRules("cl100k_base")
        encoded.tokens     uint32[n] for a str, TokenizedDocument for a Document, and for an array
                           of strings a LargeListArray of uint32 with null where a text is a reject
        encoded.rejects    RejectedDocument: null, no str, lone surrogates, nothing to encode

    Works on bounded and unbounded input: every output has the window and the timestamp of its
    element, and its pane where windows are not global. With a tokenizer that takes a short text in
    half a microsecond documents go out as they come; with others (some of SentencePiece) many are
    encoded at a time within a bundle, by itself. Nothing is kept from one bundle to the next, so a
    bundle that is tried again gives the same. Ids travel in a coder of their own (token_coders.py).
    Special-token text is plain text. Metrics of the namespace `tokenmill`: documents, tokens,
    rejects by reason, and the distributions batch_documents and batch_tokens of what was encoded
    many at a time.
    """

    TOKENS, REJECTS = "tokens", REJECTS

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
        """Makes the transform, when the pipeline is built.

        Args:
            tokenizer: as in `Tokenizer.load`; a path must be readable on the workers.
            split_pattern: as in `Tokenizer.load`.
            special_tokens: as in `Tokenizer.load`.
            revision: as in `Tokenizer.load`.
            begin_of_text: before each document: "auto", an id, the text of a special token, or
                None for nothing, as in framing.py.
            end_of_text: after it: the same.

        Raises:
            ConfigurationError: impossible arguments.
        """
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
        self._is_one_by_one = loaded.text_encoder() is not None

    def expand(self, documents: Any) -> Any:
        kind: type[Encode] = EncodeOneByOne
        if not self._is_one_by_one:
            is_global = isinstance(documents.windowing.windowfn, GlobalWindows)
            kind = EncodeCollectedGlobally if is_global else EncodeCollected
        do_fn = kind(self._load, self._begin_of_text, self._end_of_text)
        encoded = documents | "Encode" >> beam.ParDo(do_fn).with_input_types(_Element).with_outputs(
            self.REJECTS, main=self.TOKENS
        )
        encoded[self.TOKENS].element_type = _output_type(documents.element_type)
        encoded[self.REJECTS].element_type = RejectedDocument
        return encoded

    def display_data(self) -> dict[str, Any]:
        return {
            "tokenizer": str(self._load["source"]),
            "revision": self._load["revision"] or "(none)",
            "begin_of_text": "none" if self._begin_of_text is None else self._begin_of_text,
            "end_of_text": "none" if self._end_of_text is None else self._end_of_text,
        }


def _output_type(element_type: Any) -> Any:
    """What comes out of elements of a type, where it is known: it chooses the coder."""
    known = {str: np.ndarray, Document: TokenizedDocument}
    return known.get(element_type, beam.typehints.Any)
