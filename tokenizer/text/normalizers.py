"""What a tokenizer does to text before it cuts it: steps over Arrow string arrays.

    ["ﬁne", "e\\u0301", "plain"]  ──► UnicodeForm("NFKC") ──►  ["fine", "é", "plain"]

Steps run without the GIL wherever Arrow or the engine does the work. Of a text only the characters
that may not be in a Unicode form yet are given to Python; tables find them (`_native.QuickCheck`).

Forms are those of Unicode 9.0, the version of Hugging Face tokenizers. Code points that are not
assigned in it are left alone: by the tables text is cut before and after them. What lies between
is the same in any newer version, by Unicode's stability policy, so Python's does.
`bundled/normalization-9.0.0.json` (tools/make_normalization_data.py), for each form:

    lengths, values   classes of code points, as runs
    starters          text may be cut in front of a character of a class below
    follows           bits: which class (column) may follow which (row) in text that is normalized
"""

import functools
import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from unicodedata import normalize

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tokenizer import _native
from tokenizer.text.alignment import AlignedText
from tokenizer.text.arrow_text import offsets_and_data, texts_of

NORMALIZATION_VERSION = "9.0.0"
_DATA = Path(__file__).parents[1] / "bundled" / f"normalization-{NORMALIZATION_VERSION}.json"

_SPANS_AT_ONCE = 4096

Form = Literal["NFC", "NFD", "NFKC", "NFKD"]
FORMS: tuple[Form, ...] = ("NFC", "NFD", "NFKC", "NFKD")


@dataclass(frozen=True, slots=True)
class Replace:
    """Every occurrence of `pattern`, from the left, becomes `content`."""

    pattern: str
    content: str

    def apply(self, texts: pa.Array, is_first: npt.NDArray[np.bool_]) -> pa.Array:
        """`texts` afterwards; is_first[i]: text i stands at the beginning of its document."""
        return pc.replace_substring(texts, self.pattern, self.content)

    def align(self, text: AlignedText, is_first: bool) -> AlignedText:
        """The same for one text that knows what it stands for."""
        return text.replaced(self.pattern, self.content)


@dataclass(frozen=True, slots=True)
class Prepend:
    """`prefix` goes in front of each text that is not empty.

    Attributes:
        unless_there: Not where the text begins with it.
        first_only: Only in front of a document.
    """

    prefix: str
    unless_there: bool = False
    first_only: bool = False

    def apply(self, texts: pa.Array, is_first: npt.NDArray[np.bool_]) -> pa.Array:
        """As in `Replace`."""
        wanted = pc.greater(pc.binary_length(texts), 0)
        if self.unless_there:
            wanted = pc.and_not(wanted, pc.starts_with(texts, self.prefix))
        if self.first_only:
            wanted = pc.and_(wanted, pa.array(is_first))
        prefixes = pc.if_else(
            wanted, pa.scalar(self.prefix, pa.large_string()), pa.scalar("", pa.large_string())
        )
        return pc.binary_join_element_wise(prefixes, texts, pa.scalar("", pa.large_string()))

    def align(self, text: AlignedText, is_first: bool) -> AlignedText:
        """As in `Replace`."""
        is_there = self.unless_there and text.text.startswith(self.prefix)
        if not text.text or is_there or (self.first_only and not is_first):
            return text
        return text.prepended(self.prefix)


@dataclass(frozen=True, slots=True)
class UnicodeForm:
    """A normalization form of Unicode 9.0."""

    form: Form

    def apply(self, texts: pa.Array, is_first: npt.NDArray[np.bool_]) -> pa.Array:
        """As in `Replace`."""
        offsets, data = offsets_and_data(texts)
        bounds = quick_check(self.form).spans(data, offsets)
        if not bounds.size:
            return texts
        spans = _cut_out(bounds, data).dictionary_encode()
        distinct = [normalize(self.form, span) for span in spans.dictionary.to_pylist()]
        changed = pa.array(distinct, pa.large_string())
        if changed.equals(spans.dictionary):
            return texts
        changed = changed.take(spans.indices)
        # Kept, span, kept, ..., span, kept. A span lies in one text; what is kept may hold many.
        edges = np.concatenate((offsets[:1], bounds, offsets[-1:]))
        pieces = texts_of(edges, data)
        every_other = pa.py_buffer(b"\xaa" * (len(pieces) // 8 + 1))
        is_span = pa.BooleanArray.from_buffers(pa.bool_(), len(pieces), [None, every_other])
        moved, data = offsets_and_data(pc.replace_with_mask(pieces, is_span, changed))
        at = np.searchsorted(edges, offsets, side="right") - 1
        return texts_of(moved[at] + offsets - edges[at], data)

    def of_text(self, text: str) -> str:
        """One text in this form, in a few us; `apply`, which is for many, takes some 80."""
        data, bounds = self._spans(text)
        parts, kept_from = [], 0
        for start, stop in zip(bounds[::2], bounds[1::2], strict=True):
            parts.append(data[kept_from:start].decode())
            parts.append(normalize(self.form, data[start:stop].decode()))
            kept_from = stop
        return "".join(parts) + data[kept_from:].decode()

    def align(self, text: AlignedText, is_first: bool) -> AlignedText:
        """As in `Replace`."""
        data, bounds = self._spans(text.text)
        parts = [data[a:b].decode() for a, b in itertools.pairwise([0, *bounds])]
        return text.changed(itertools.accumulate(map(len, parts)), self.form)

    def _spans(self, text: str) -> tuple[bytes, list[int]]:
        """A text's bytes, and where its spans begin and end in them: start, stop, start, ..."""
        data = str.encode(text)  # a subclass may have another
        bounds = quick_check(self.form).spans(data, np.array([0, len(data)], np.int64))
        return data, bounds.tolist()


Step = Replace | Prepend | UnicodeForm


def apply_steps(
    steps: tuple[Step, ...], texts: pa.Array, is_first: npt.NDArray[np.bool_]
) -> pa.Array:
    """A LargeStringArray without nulls, after all steps; is_first as in `Replace.apply`."""
    for step in steps:
        texts = step.apply(texts, is_first)
    return texts


def normalize_one(steps: tuple[Step, ...], text: str) -> str:
    """One text after all steps, as if it began a document."""
    normalized: str = apply_steps(steps, pa.array([text], pa.large_string()), np.ones(1, np.bool_))[
        0
    ].as_py()
    return normalized


MARK = "\u2581"  # what SentencePiece has in the place of a blank
TO_MARKS = Replace(" ", MARK)

# -- Unicode forms


def _cut_out(bounds: npt.NDArray[np.int64], data: Any) -> pa.Array:
    """The spans [start, stop) of a buffer as texts; Arrow's filter asks for room for all of it.

    Bytes are gathered by their places, 24 bytes of memory for each, of so many spans at a time;
    long spans are slices.
    """
    starts, stops = bounds[::2], bounds[1::2]
    offsets = np.concatenate(([0], np.cumsum(stops - starts)))
    source, cut = np.frombuffer(data, np.uint8), np.empty(offsets[-1], np.uint8)
    for first in range(0, len(starts), _SPANS_AT_ONCE):
        some = slice(first, min(first + _SPANS_AT_ONCE, len(starts)))
        begin, end = offsets[some.start], offsets[some.stop]
        if end - begin > _SPANS_AT_ONCE * 64:
            for at, start, stop in zip(offsets[some], starts[some], stops[some], strict=True):
                cut[at : at + stop - start] = source[start:stop]
        else:
            moved = np.repeat(starts[some] - offsets[some], stops[some] - starts[some])
            cut[begin:end] = source[np.arange(begin, end) + moved]
    return texts_of(offsets, cut.data)


@functools.cache
def quick_check(form: Form) -> _native.QuickCheck:
    """What finds the spans of a text that may not be in a form."""
    table = json.loads(_DATA.read_text(encoding="ascii"))["forms"][form]
    count = len(table["follows"])
    rows = np.frombuffer(bytes.fromhex("".join(table["follows"])), np.uint8)
    return _native.QuickCheck(
        np.repeat(np.array(table["values"], np.uint8), table["lengths"]),
        np.unpackbits(rows.reshape(count, -1), axis=1)[:, :count].copy().reshape(-1),
        count,
        table["starters"],
    )
