"""Spans that are normalized each on their own, against whole texts by `tokenizers`."""

import unicodedata
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import normalizers

from tokenizer.text.arrow_text import offsets_and_data
from tokenizer.text.normalizers import Form, UnicodeForm, quick_check

FORMS: list[Form] = ["NFC", "NFD", "NFKC", "NFKD"]

NASTY = (
    "aegqsAE \n<é𝒳中"
    "\u00c5\u00e2\u0374\u037e\u1e9b\u1ea5\u1ed9\u2126\u212a\uf900\ufb01\uff21\uff76\uff9e"
    # marks of classes 1, 202, 214, 216, 220, 230, 232, 233, 240, and two that change
    "\u0334\u0327\u0321\u031b\u0323\u0300\u0301\u0302\u0303\u0308\u0342\u0315\u035c\u0345\u0340\u0344"
    # Greek, and Cyrillic, Hebrew, Arabic with points
    "\u03b1\u1f80\u1fb3\u0438\u0439\u05e9\u05c1\u05bc\ufb2c\u0627\u0653\u0655\u0622\u064e\u0651"
    # vowel signs that join, composition exclusions, nuktas and viramas
    "\u0928\u0929\u093c\u0915\u0958\u094d\u09c7\u09be\u09d7\u09cb\u09af\u09df\u09bc\u0b47\u0b3e\u0b56"
    "\u0bc6\u0bc7\u0bbe\u0bd7\u0cbf\u0cc6\u0cc2\u0cd5\u0cca\u0ccb\u0d46\u0d3e\u0dd9\u0dcf\u0dca\u0ddc"
    "\u0f71\u0f72\u0f73\u0f74\u0f80\u0f81\u0f40\u0f69\u1025\u102e\u1037\u0e33\u0e38\u0e48\u1b05\u1b35"
    # Hangul: L, V, T, LV, LVT, a jamo that does not join; kana that do
    "\u1100\u1112\u1161\u1175\u11a7\u11a8\u11c2\uac00\uac01\ud7a3\u115f\u304b\u3099\u309a\u30cf"
    "\U00011099\U000110ba\U00011131\U00011127\U0001d157\U0001d165\U0001d15e"
    # assigned after Unicode 9.0: marks, one that decomposes, an ordinary letter
    "\u08d3\u1ac1\U0001e944\U00011938\U00011935\U00011930\u32ff\u0560"
)
TEXTS = st.lists(st.text(st.sampled_from(NASTY), max_size=12), max_size=6)


@pytest.mark.parametrize("form", FORMS)
@settings(derandomize=True, deadline=None, max_examples=200)
@given(texts=TEXTS, skipped=st.integers(0, 2))
def test_a_batch_is_normalized_as_each_text_is_alone(
    form: Form, texts: list[str], skipped: int
) -> None:
    whole: Any = getattr(normalizers, form)()
    array = pa.array(texts, pa.large_string())[skipped:]
    got = UnicodeForm(form).apply(array, np.ones(len(array), np.bool_))
    got.validate(full=True)
    assert got.to_pylist() == [whole.normalize_str(text) for text in texts[skipped:]]


@pytest.mark.parametrize("form", FORMS)
def test_what_is_passed_over_by_its_bytes(form: Form) -> None:
    """Characters of one to four bytes before and after what changes, 32 bytes and many more."""
    whole: Any = getattr(normalizers, form)()
    texts = [
        filler * before + nasty + filler * after + "e\u0301"
        for filler in ("a", "é", "я", "α", "中", "각", "𝒳", "aя中")
        for nasty in ("\u0323", "o\u0323\u0301", "\u0387", "\u1161\u11a8", "\u2126", "\u0928\u093c")
        for before in (0, 1, 7, 31, 32, 33, 70)
        for after in (0, 1, 31, 40)
    ]
    got = UnicodeForm(form).apply(pa.array(texts, pa.large_string()), np.ones(len(texts), np.bool_))
    assert got.to_pylist() == [whole.normalize_str(text) for text in texts]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "context",
    [
        "{}",
        "e{}\u0301\u0323",
        "\u0301{}\u0323",
        *(
            pytest.param(one, marks=pytest.mark.slow)
            for one in ("\u0340{}\u0345", "\u1100{}\u11a8", "\u09c7{}\u0334")
        ),
    ],
    ids=ascii,
)
def test_every_code_point_in_context(form: Form, context: str) -> None:
    whole: Any = getattr(normalizers, form)()
    points = [context.format(chr(c)) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    texts = ["".join(points[start : start + 512]) for start in range(0, len(points), 512)]
    got = UnicodeForm(form).apply(pa.array(texts, pa.large_string()), np.ones(len(texts), np.bool_))
    assert got.to_pylist() == [whole.normalize_str(text) for text in texts]


def test_spans_that_are_many_or_long_are_cut_out() -> None:
    """More than are gathered at once; a span that is a slice, of 300 KB; and one text alone."""
    form = UnicodeForm("NFC")
    long = "a" + "\u0323" * 140_000
    for text in ("e\u0301 " * 10_000, f"a{long} b", "e\u0301 " * 5000 + long + "o\u0323x" * 5000):
        expected = normalizers.NFC().normalize_str(text)
        got = form.apply(pa.array([text, "x"], pa.large_string()), np.ones(2, np.bool_))
        assert got.to_pylist() == [expected, "x"]
        assert form.of_text(text) == expected


def _spans(form: Form, text: str) -> list[str]:
    offsets, data = offsets_and_data(pa.array([text], pa.large_string()))
    bounds = quick_check(form).spans(data, offsets).reshape(-1, 2).tolist()
    return [bytes(data)[start:stop].decode() for start, stop in bounds]


def test_spans_are_the_few_characters_that_may_change() -> None:
    spans = ["o\u0323", "\u0928\u093c\u0301", "\u1112\u1161\u11ab", "\u0301\u0323", "\u2126\u0334"]
    assert _spans("NFC", " ordinary g\u0303 é x{}y {} {} 中{} {}".format(*spans)) == spans
    assert _spans("NFD", "a é\u0323b 각") == ["é\u0323", "각"]
    assert _spans("NFKC", "中ﬁ aﬁ b") == ["ﬁ", "aﬁ"]


def test_code_points_not_in_unicode_9_are_in_no_span() -> None:
    """Python's newer Unicode would join the first two, and order the marks."""
    assert unicodedata.normalize("NFC", "\U00011935\U00011930") == "\U00011938"
    for form in FORMS:
        assert _spans(form, "\U00011935\U00011930 \U00011938 a\u0315\u1ac1\u0315") == []


def test_no_text_behind_the_last_one_is_looked_at() -> None:
    """The offsets of a slice lie in those of a longer array."""
    data = "e\u0301".encode() * 3
    offsets = np.array([0, 3, 6, 9])
    found = quick_check("NFC").spans(data, offsets[:2])
    assert found.tolist() == quick_check("NFC").spans(data[:3], np.array([0, 3])).tolist()
    assert len(quick_check("NFC").spans(data, offsets)) > len(found) > 0
