"""What a tokenizer does to text before it cuts it: steps over Arrow string arrays.

    ["ﬁne", "e\\u0301", "plain"]  ──► UnicodeForm("NFKC") ──►  ["fine", "é", "plain"]

Steps run without the GIL wherever Arrow or the engine does the work. Of a text only the characters
that may not be in a Unicode form yet are given to Python; tables find them (`_native.QuickCheck`).

Forms are those of Unicode 9.0, the version of Hugging Face tokenizers. Code points that are not
assigned in it are left alone: by the tables text is cut before and behind them. What lies between
is the same in any newer version, by Unicode's stability policy, so Python's does.
`bundled/normalization-9.0.0.json` (tools/make_normalization_data.py), for each form:

    lengths, values   classes of code points, as runs
    starters          text may be cut in front of a character of a class below
    follows           bits: which class (column) may follow which (row) in text that is normalized
"""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from unicodedata import normalize

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tokenizer import _native
from tokenizer.errors import ConfigurationError
from tokenizer.split.stages import PreTokenizer
from tokenizer.text.arrow_text import offsets_and_data, texts_of

NORMALIZATION_VERSION = "9.0.0"
_DATA = Path(__file__).parents[1] / "bundled" / f"normalization-{NORMALIZATION_VERSION}.json"
_FORMS = ("NFC", "NFD", "NFKC", "NFKD")

Form = Literal["NFC", "NFD", "NFKC", "NFKD"]


@dataclass(frozen=True, slots=True)
class Replace:
    """Every occurrence of `pattern`, from the left, becomes `content`."""

    pattern: str
    content: str

    def apply(self, texts: pa.Array, is_first: npt.NDArray[np.bool_]) -> pa.Array:
        """`texts` afterwards; is_first[i]: text i stands at the beginning of its document."""
        return pc.replace_substring(texts, self.pattern, self.content)


@dataclass(frozen=True, slots=True)
class Prepend:
    """`prefix` goes in front of each text that is not empty.

    unless_there: not where the text begins with it. first_only: only in front of a document.
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


@dataclass(frozen=True, slots=True)
class UnicodeForm:
    """A normalization form of Unicode 9.0."""

    form: Form

    def apply(self, texts: pa.Array, is_first: npt.NDArray[np.bool_]) -> pa.Array:
        """As in `Replace`."""
        offsets, data = offsets_and_data(texts)
        bounds = _quick_check(self.form).spans(data, offsets)
        if not bounds.size:
            return texts
        # Kept, span, kept, ..., span, kept. A span lies in one text; what is kept may hold many.
        edges = np.concatenate((offsets[:1], bounds, offsets[-1:]))
        pieces = texts_of(edges, data)
        every_other = pa.py_buffer(b"\xaa" * (len(pieces) // 8 + 1))
        is_span = pa.BooleanArray.from_buffers(pa.bool_(), len(pieces), [None, every_other])
        spans = pieces.filter(is_span).dictionary_encode()
        distinct = [normalize(self.form, span) for span in spans.dictionary.to_pylist()]
        changed = pa.array(distinct, pa.large_string())
        if changed.equals(spans.dictionary):
            return texts
        changed = changed.take(spans.indices)
        moved, data = offsets_and_data(pc.replace_with_mask(pieces, is_span, changed))
        at = np.searchsorted(edges, offsets, side="right") - 1
        return texts_of(moved[at] + offsets - edges[at], data)


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


def parse_normalizer(section: Mapping[str, Any] | None) -> tuple[Step, ...]:
    """The steps of a tokenizer.json's `normalizer` section; none for null.

    Raises ConfigurationError that names what is not supported.
    """
    if section is None:
        return ()
    kind = section.get("type")
    if kind == "Sequence":
        return tuple(step for one in section["normalizers"] for step in parse_normalizer(one))
    if kind in _FORMS:
        return (UnicodeForm(kind),)
    if kind == "Prepend":
        return (Prepend(section["prepend"]),)
    if kind == "Replace":
        pattern = section["pattern"]
        if "String" not in pattern or not pattern["String"]:
            raise ConfigurationError(
                f"normalizer Replace: pattern {pattern} is not supported: expected a String"
            )
        return (Replace(pattern["String"], section["content"]),)
    raise ConfigurationError(
        f"normalizer {kind} is not supported: expected null, Sequence, Replace, Prepend, or one of "
        f"{', '.join(_FORMS)}"
    )


def prefix_steps(pre_tokenizer: PreTokenizer) -> tuple[Step, ...]:
    """What the pre-tokenizer does to a text before it cuts it."""
    if pre_tokenizer.add_prefix_space:
        return (Prepend(" ", unless_there=True),)
    if pre_tokenizer.metaspace is None:
        return ()
    section = pre_tokenizer.metaspace
    mark = section.get("replacement", "▁")
    scheme = section.get("prepend_scheme") or (
        "always" if section.get("add_prefix_space", True) else "never"
    )
    replace = Replace(" ", mark)
    if scheme == "never":
        return (replace,)
    if scheme not in ("always", "first"):
        raise ConfigurationError(f"pre_tokenizer Metaspace: prepend_scheme {scheme!r} is unknown")
    return (replace, Prepend(mark, unless_there=True, first_only=scheme == "first"))


# -- Unicode forms


@functools.cache
def _quick_check(form: str) -> _native.QuickCheck:
    table = json.loads(_DATA.read_text(encoding="ascii"))["forms"][form]
    count = len(table["follows"])
    rows = np.frombuffer(bytes.fromhex("".join(table["follows"])), np.uint8)
    return _native.QuickCheck(
        np.repeat(np.array(table["values"], np.uint8), table["lengths"]),
        np.unpackbits(rows.reshape(count, -1), axis=1)[:, :count].copy().reshape(-1),
        count,
        table["starters"],
    )
