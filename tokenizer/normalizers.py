"""What a tokenizer does to text before it cuts it: steps over Arrow string arrays.

    ["ﬁne", "e\\u0301", "plain"]  ──► UnicodeForm("NFKC") ──►  ["fine", "é", "plain"]

Steps run without the GIL wherever Arrow or the engine does the work. What is already in a Unicode
form, as nearly all text is, is found out by tables (`_native.QuickCheck`) and passed on as it is.

Forms are those of Unicode 9.0, the version of Hugging Face tokenizers. Code points that are not
assigned in it are left alone. Between them any newer version gives the same, by Unicode's stability
policy, so Python's does. `bundled/normalization-9.0.0.json` (tools/make_normalization_data.py):

    unassigned   those code points, as bounds: [start, stop) pairs, flattened
    forms        for each: classes of code points as runs (lengths, values), and bits: which class
                 (column) may follow which (row) in text that is normalized
"""

import functools
import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tokenizer import _native
from tokenizer.arrow_text import offsets_and_data
from tokenizer.errors import ConfigurationError
from tokenizer.split_stages import PreTokenizer
from tokenizer.unicode_properties import CodePointSet

NORMALIZATION_VERSION = "9.0.0"
_DATA = Path(__file__).parent / "bundled" / f"normalization-{NORMALIZATION_VERSION}.json"
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
        done = _quick_check(self.form).are_normalized(data, offsets)
        if done.all():
            return texts
        changed = [
            _normalize(self.form, texts[at].as_py()) for at in np.flatnonzero(~done).tolist()
        ]
        return pc.replace_with_mask(texts, pa.array(~done), pa.array(changed, pa.large_string()))


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
def _data() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(_DATA.read_text(encoding="ascii"))
    return data


@functools.cache
def _quick_check(form: str) -> _native.QuickCheck:
    table = _data()["forms"][form]
    classes = np.repeat(np.array(table["values"], np.uint8), table["lengths"]).reshape(-1, 256)
    numbers: dict[bytes, int] = {}
    page_of = [numbers.setdefault(row.tobytes(), len(numbers)) for row in classes]
    count = len(table["follows"])
    rows = np.frombuffer(bytes.fromhex("".join(table["follows"])), np.uint8)
    return _native.QuickCheck(
        np.array(page_of, np.uint16),
        np.frombuffer(b"".join(numbers), np.uint8),
        np.unpackbits(rows.reshape(count, -1), axis=1)[:, :count].copy().reshape(-1),
        count,
    )


@functools.cache
def _unassigned() -> npt.NDArray[np.bool_]:
    """bool[0x110000]"""
    return CodePointSet(np.array(_data()["unassigned"], np.int32)).mask()


def _normalize(form: Form, text: str) -> str:
    points = np.frombuffer(text.encode("utf-32-le"), "<u4")
    parts, start = [], 0
    for at in np.flatnonzero(_unassigned()[points]).tolist():
        parts += [unicodedata.normalize(form, text[start:at]), text[at]]
        start = at + 1
    return "".join([*parts, unicodedata.normalize(form, text[start:])])
