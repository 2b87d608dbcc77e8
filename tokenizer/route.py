"""`Route`: the one way of a text to ids. Encoding, tracing, decoding and checking all go it.

Qwen 3, the text `a<think>Cafe\\u0301`:

    added vocabulary    a | <think> | Cafe\\u0301     texts that are tokens as they stand
    normalizer          a | <think> | Café          NFC, of each text between them
    added vocabulary    (none here)                 tokens that are looked for in normalized text
    pre-tokenizer       a | <think> | Ca|fé         prefixes (`▁`), then the split into pretokens
    model               64 | 151667 | 22571 58858   merges, in each pretoken
    post-processor      ids put before and after the text, where the caller wants them

The names are those of Hugging Face tokenizers. A special token is looked for like the others, but
only counted, unless a caller allows it: its text stays text.

What can be said of the ids of a text `t`, and so be checked without it:

1.  *Every route*: each is an id that the model makes, or that of an added token that is not
    special (`IdTable.in_documents`).
2.  *A lossless route*, one that has no normalizer and no prefix, drops nothing in its split, and
    whose added tokens take no white space with them: decode(ids) == t for every t. Each id then
    stands for its own bytes of t, and encode(decode(ids)) == ids.
3.  *A route that drops nothing* (a stage of behavior Removed drops): between two added tokens the
    ids spell the normalized text, byte for byte, for merges only join. The model and the split are
    functions of that text, so they give the same ids for what the ids spell (`reencode`). Neither
    the normalizer nor the search for added tokens may run again: NFKC makes `<think>` of
    `＜think＞`, and a second pass would find it. Where one id is both an added token and something
    that the model makes, as `▁▁` in Gemma, the ids do not tell where a text between added tokens
    ends; for a document that has such an id a difference shows nothing.
4.  *Any other route*: nothing but 1.
"""

import functools
from collections.abc import Callable, Collection, Iterator
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tokenizer import _native
from tokenizer.arguments import expect_text
from tokenizer.encoded import EncodedDocuments, Reencoded, TracedPretoken
from tokenizer.fingerprint import fingerprint_of
from tokenizer.id_table import IdTable
from tokenizer.split.plan import plan_of, windows_of_plan
from tokenizer.split.stages import Behavior
from tokenizer.text.added_tokens import AddedTokens, added_tokens_of
from tokenizer.text.alignment import AlignedText
from tokenizer.text.arrow_text import offsets_and_data
from tokenizer.text.normalizers import TO_MARKS, Step, UnicodeForm, quick_check
from tokenizer.text.segments import NOTHING, TEXT, Segments
from tokenizer.vocabularies.merge_ranks import native_vocabulary
from tokenizer.vocabulary import Vocabulary

_Offsets = npt.NDArray[np.int64]
# uint32[n], the ids of one text.
TextEncoder: TypeAlias = Callable[[str], npt.NDArray[np.uint32]]


class Route:
    """The way of text to ids that a vocabulary describes. Immutable, shared by threads."""

    def __init__(self, vocabulary: Vocabulary, cache_bytes: int) -> None:
        plan = plan_of(vocabulary)
        self._engine = _native.Engine(
            native_vocabulary(vocabulary),
            [stage.native() for stage in plan],
            windows_of_plan(plan),
            cache_bytes,
        )
        self._vocabulary = vocabulary
        self._added, self._added_late = added_tokens_of(
            vocabulary.added_tokens, vocabulary.normalizer
        )
        self._prefix = vocabulary.pre_tokenizer.prefix
        self.ids = IdTable(vocabulary, TO_MARKS in (*vocabulary.normalizer, *self._prefix))
        self._drops = any(
            stage.behavior is Behavior.REMOVED for stage in vocabulary.pre_tokenizer.stages
        )
        # Where nothing but a Unicode form lies between the scan and the model, the engine does both
        # in one call: for many texts if there is no form, for one if it is in it.
        is_short = not (self._added_late or self._prefix or self._added.needs_care)
        forms = [step for step in vocabulary.normalizer if isinstance(step, UnicodeForm)]
        self._is_direct = is_short and not vocabulary.normalizer
        self._is_direct_for_one = is_short and len(forms) == len(vocabulary.normalizer) <= 1
        self._form = forms[0] if forms and self._is_direct_for_one else None
        # The ids of one text, special tokens being text; an attribute, for each call of Python
        # costs a short text as much as its merges.
        self.encode_text: TextEncoder = self.text_encoder() or self._encode_text

    # -- text to ids

    def encode(
        self,
        offsets: _Offsets,
        data: Any,
        begin: int | None = None,
        end: int | None = None,
        bytes_per_token: int = 4,
    ) -> EncodedDocuments:
        """The ids of d texts, data[offsets[i]:offsets[i + 1]] each; special tokens are text."""
        if self._is_direct:
            return EncodedDocuments(
                *self._engine.encode_texts(
                    self._added.engine, data, offsets, begin, end, bytes_per_token
                )
            )
        segments, specials, valid = self._added.scan(offsets, data)
        tokens, token_offsets = self._model(
            self._prefixed(self._normalized(segments)), begin, end, bytes_per_token
        )
        return EncodedDocuments(tokens, token_offsets, specials, valid)

    def text_encoder(self, begin: int | None = None, end: int | None = None) -> TextEncoder | None:
        """`encode` of one text without arrays in between; None where there is no such short way."""
        if not self._is_direct_for_one:
            return None
        form, encoder_with = self._form, self._engine.text_encoder
        if form is None:
            return cast(TextEncoder, encoder_with(self._added.engine, None, begin, end))
        quick = encoder_with(self._added.engine, quick_check(form.form), begin, end)
        # Added tokens are looked for before the text is in its form, and not again after it.
        of_normalized = cast(TextEncoder, encoder_with(_NO_TOKENS.engine, None, begin, end))
        matched = self._added.matched

        def encode(text: str) -> npt.NDArray[np.uint32]:
            ids = quick(text)
            if ids is not None:
                return ids
            if any(str.__contains__(text, token) for token in matched):
                return self._encode_text(text, begin, end)
            return of_normalized(form.of_text(text))

        return encode

    def _encode_text(
        self, text: str, begin: int | None = None, end: int | None = None
    ) -> npt.NDArray[np.uint32]:
        expect_text(text)
        utf8 = str.encode(text)
        tokens: npt.NDArray[np.uint32] = self.encode(
            np.array([0, len(utf8)], np.int64), utf8, begin, end
        ).tokens
        return tokens

    def encode_allowing(self, text: str, allowed: Collection[str]) -> npt.NDArray[np.uint32]:
        """The ids of one text in which special tokens are found, those that are allowed."""
        segments = Segments.of([self._added.cut(text, allowed)])
        tokens, _ = self._model(self._prefixed(self._normalized(segments, allowed)))
        return tokens

    def _normalized(self, segments: Segments, allowed: Collection[str] = ()) -> Segments:
        """After the normalizer, and cut at the added tokens that are looked for after it."""
        if self._vocabulary.normalizer:
            segments = segments.with_steps(self._vocabulary.normalizer)
        if not self._added_late:
            return segments
        texts = segments.texts()
        if allowed:
            found = [self._added_late.cut(text, allowed) for text in texts.to_pylist()]
            return segments.with_texts_cut(Segments.of(found))
        return segments.with_texts_cut(self._added_late.scan(*offsets_and_data(texts))[0])

    def _prefixed(self, segments: Segments) -> Segments:
        return segments.with_steps(self._prefix) if self._prefix else segments

    def _model(
        self,
        segments: Segments,
        begin: int | None = None,
        end: int | None = None,
        bytes_per_token: int = 4,
    ) -> tuple[npt.NDArray[Any], _Offsets]:
        """The split and the merges of all texts, and the ids of what is between them."""
        return self._engine.encode_documents(
            segments.data,
            segments.offsets,
            segments.kinds,
            segments.first,
            begin,
            end,
            bytes_per_token,
        )

    # -- one text, step by step

    def trace(self, text: str, allowed: Collection[str] = ()) -> Iterator[TracedPretoken]:
        """The pretokens and added tokens of a text, in order; their ids are those of `encode`."""
        original = text.encode()
        at = 0
        aligned: list[tuple[AlignedText, int]] = []
        for one, kind in self._segments(self._added, text, allowed):
            aligned.append((AlignedText.of(one, at), kind))
            at += len(one.encode())
        aligned = _with_steps(self._vocabulary.normalizer, aligned)
        if self._added_late:
            aligned = [
                cut
                for one, kind in aligned
                for cut in (self._cut_late(one, allowed) if kind == TEXT else [(one, kind)])
            ]
        for traced, kind in _with_steps(self._prefix, aligned):
            spans = traced.byte_spans(original)
            if kind == TEXT:
                yield from self._traced(traced.text, spans)
            else:
                span = (int(spans[0, 0]), int(spans[-1, 1])) if spans.size else (at, at)
                yield TracedPretoken(traced.text.encode(), True, [kind], [span])

    @staticmethod
    def _segments(added: AddedTokens, text: str, allowed: Collection[str]) -> list[tuple[str, int]]:
        """Segments of a text and their kinds, found as `encode` finds them."""
        if allowed:
            return added.cut(text, allowed)
        data = text.encode()
        segments, *_ = added.scan(np.array([0, len(data)], np.int64), data)
        bounds, kinds = segments.offsets.tolist(), segments.kinds.tolist()
        return [(data[bounds[i] : bounds[i + 1]].decode(), kind) for i, kind in enumerate(kinds)]

    def _cut_late(
        self, text: AlignedText, allowed: Collection[str]
    ) -> Iterator[tuple[AlignedText, int]]:
        begin = 0
        for one, kind in self._segments(self._added_late, text.text, allowed):
            end = begin + len(one)
            yield text.part(begin, end), kind
            begin = end

    def _traced(self, text: str, spans: _Offsets) -> Iterator[TracedPretoken]:
        utf8 = text.encode()
        for start, stop, ids in self._engine.pretokens(text):
            ends = start + np.cumsum(self.ids.spelled_lengths[ids])
            firsts = np.concatenate(([start], ends[:-1]))
            found = np.stack((spans[firsts, 0], spans[ends - 1, 1]), axis=1).tolist()
            yield TracedPretoken(utf8[start:stop], False, ids, [(a, b) for a, b in found])

    # -- what must hold of ids

    @functools.cached_property
    def is_lossless(self) -> bool:
        """Whether decode(encode(t)) == t for every text t; 2 of the module docstring."""
        return not (
            self._vocabulary.normalizer
            or self._prefix
            or self._drops
            or self.ids.changed_added_tokens
        )

    def reencode(
        self,
        tokens: npt.NDArray[Any],
        offsets: _Offsets,
        begin: int | None,
        end: int | None,
        bytes_per_token: int,
    ) -> Reencoded:
        """What the model gives for what the ids of d documents spell; 3 of the module docstring.

        tokens: ids that can stand inside documents (`IdTable.in_documents`).
        """
        if not tokens.size:
            return Reencoded(tokens, np.zeros_like(offsets), np.ones(len(offsets) - 1, np.bool_))
        is_added = self.ids.added[tokens]
        uncertain = np.concatenate(([0], np.cumsum(is_added & self.ids.made[tokens])))
        certain = (np.diff(uncertain[offsets]) == 0) & (not self._drops)
        # A segment begins with a document, with an added token, and after one.
        begins = np.concatenate((is_added, [False])) | np.concatenate(([False], is_added))
        begins[offsets[:-1][np.diff(offsets) > 0]] = True
        at = np.flatnonzero(begins[:-1])
        spelled = self.ids.spelled.take(pa.array(tokens))
        if is_added.any():
            spelled = pc.if_else(pa.array(is_added), pa.scalar(b"", pa.large_binary()), spelled)
        _, buffer, data = spelled.buffers()
        bounds = np.frombuffer(buffer, np.int64)[: tokens.size + 1]
        texts = np.concatenate((bounds[at], bounds[-1:])).astype(np.int64)
        valid = _NO_TOKENS.scan(texts, data if data is not None else b"")[2]
        kinds = np.where(is_added[at], tokens[at], np.where(valid, TEXT, NOTHING)).astype(np.int32)
        segments = Segments(data or b"", texts, kinds, np.searchsorted(at, offsets))
        return Reencoded(*self._model(segments, begin, end, bytes_per_token), certain)

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 over all that decides ids: docs/formats.md lists it."""
        return fingerprint_of(self._vocabulary)


_NO_TOKENS = AddedTokens()


def _with_steps(
    steps: tuple[Step, ...], texts: list[tuple[AlignedText, int]]
) -> list[tuple[AlignedText, int]]:
    found = []
    for number, (text, kind) in enumerate(texts):
        for step in steps if kind == TEXT else ():
            text = step.align(text, number == 0)
        found.append((text, kind))
    return found
