"""tokenizer.json against Hugging Face tokenizers, id for id, and what is refused."""

import itertools
import pickle
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published_tokenizers import (
    NPM,
    SHARED,
    assert_same,
    drop_white_space,
    fetched_by_npm,
    oracle,
    write_json,
)
from test_tokenizer import ranks_of, shared_texts

from tokenizer import ConfigurationError, Tokenizer
from tokenizer.reference import ReferenceEncoder

ODD_TEXTS = [
    "",
    " ",
    "▁",
    "\n",
    "a<think>b</think>c <|im_end|>\n\n\n\t\t  x",
    "<s>a</s><unk><bos><eos> [INST] <pad> <0x41> <mask> <unused7>",
    "e\u0301 \u0958 \u0915\u093c \u1100\u1161\u11a8 ﬁ ① \u212b",
    "\uac00\u11a8 a\u0323\u0301 a\u0301\u0323",
    "\u0ba8\u0bbe\u0bae\u0bcd \u09aa\u09be \u0d28\u0d3e \u3042\u3099 \U00011938 \u07fd \U0001e944",
    "▁▁a ▁ b  ▁  c\n▁\n ▁x>▁</b>▁y",
    "I'm WE'LL don't 12345 ٣٤٥ ½ x² 中文字符 ひらがな 한국어 😀👩‍👩‍👧 \x00\x7f\u200b\ufeff",
    "a" * 300 + " " * 300 + "\n" * 300 + "😀" * 100 + "中" * 100,
]


def published(name: str, request: pytest.FixtureRequest) -> Path:
    if name in SHARED:
        folder: Path = request.getfixturevalue("shared_data")
        return folder / "vocab" / f"{name}.tokenizer.json"
    return fetched_by_npm(name, request.getfixturevalue("package_folder"))


@cache
def loaded(path: Path) -> Tokenizer:
    return Tokenizer.load(str(path))


def sample(folder: Path, share: int) -> list[str]:
    """One in `share` of all shared documents, long ones left out: the oracle is slow."""
    texts = itertools.chain.from_iterable(shared_texts(folder))
    return [text for i, text in enumerate(texts) if i % share == 0 and len(text) < 50_000]


def some_slow(names: tuple[str, ...]) -> list[Any]:
    """The names as parameters, marked where it takes long to fetch or to compare."""
    return [
        name if name in SHARED else pytest.param(name, marks=pytest.mark.slow) for name in names
    ]


@pytest.mark.parametrize("name", some_slow((*SHARED, *NPM)))
def test_published_files_give_the_ids_of_tokenizers(
    name: str, request: pytest.FixtureRequest
) -> None:
    path = published(name, request)
    tokenizer = loaded(path)
    assert_same(tokenizer, path, ODD_TEXTS)
    shared_data: Path = request.getfixturevalue("shared_data")
    assert_same(tokenizer, path, sample(shared_data, 600))


@pytest.mark.slow
@pytest.mark.parametrize("name", SHARED)
def test_all_shared_documents_get_the_ids_of_tokenizers(name: str, shared_data: Path) -> None:
    path = shared_data / "vocab" / f"{name}.tokenizer.json"
    for texts in shared_texts(shared_data):
        assert_same(loaded(path), path, texts)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHARED)
def test_every_code_point_between_others_is_encoded_as_tokenizers_does(
    name: str, request: pytest.FixtureRequest
) -> None:
    path = published(name, request)
    points = [chr(point) for point in range(0x110000) if not 0xD800 <= point < 0xE000]
    contexts = ("a{}\u0301", " {}", "{0}{0}", "1{} \n{}", "\u0301{}\u0323s", "{}\n\n ")
    assert_same(
        loaded(path),
        path,
        (
            "".join(contexts[(start >> 8) % len(contexts)].format(c, c) for c in chunk)
            for start in range(0, len(points), 256)
            for chunk in [points[start : start + 256]]
        ),
    )


@pytest.mark.parametrize("name", some_slow((*SHARED, "llama2", "gemma3", "llama3", "claude")))
def test_generated_text_is_encoded_as_tokenizers_does(
    name: str, request: pytest.FixtureRequest
) -> None:
    path = published(name, request)
    tokenizer = loaded(path)
    random = np.random.default_rng(20261122)
    vocabulary = sorted(oracle(path).get_vocab(with_added_tokens=True))
    tokens = [vocabulary[i] for i in random.integers(0, len(vocabulary), 3000).tolist()]
    added = [token.text for token in tokenizer.vocabulary.added_tokens][:200]
    piece = st.one_of(
        st.sampled_from(tokens),
        st.sampled_from([*added, " "]),
        st.sampled_from([" ", "  ", "\n", "\n\n", "\t", "▁", "\u0301", "\u0323", "\u093c"]),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
    )

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(st.lists(st.lists(piece, max_size=30).map("".join), min_size=1, max_size=4))
    def check(texts: list[str]) -> None:
        assert_same(tokenizer, path, texts)
        for text in texts:
            expected = oracle(path)
            expected.encode_special_tokens = False
            try:
                ids = expected.encode(text, add_special_tokens=False).ids
            finally:
                expected.encode_special_tokens = True
            special = tokenizer.vocabulary.special_tokens
            assert tokenizer.encode(text, allowed_special=special).tolist() == ids, ascii(text)

    check()


def test_what_bytes_became_is_undone_by_decode(request: pytest.FixtureRequest) -> None:
    for name in SHARED:
        tokenizer = loaded(published(name, request))
        for text in ["naïve <think> 中文 \x00 😀", "x <|im_end|> y"]:
            assert tokenizer.decode(tokenizer.encode(text)) == text
        with pytest.raises(ValueError, match="is no token"):
            tokenizer.decode([tokenizer.vocabulary_size])


def test_merges_count_in_the_order_of_the_list(tmp_path: Path) -> None:
    """`b c` comes before `a b`, and `a bc` makes the token that `ab c` would, never."""
    path = write_json(tmp_path / "tokenizer.json", lambda root: None)
    tokenizer = loaded(path)
    assert_same(tokenizer, path, map("".join, itertools.product("abcd ", repeat=5)))
    assert tokenizer.vocabulary.name == tmp_path.name


@pytest.mark.parametrize("seed", range(20))
def test_any_list_of_merges_gives_what_the_reference_gives(seed: int, tmp_path: Path) -> None:
    """Merges as no trainer lists them: long before short, several for a token, some of no use."""
    random = np.random.default_rng(seed)
    tokens = ["a", "b", "c"]
    while len(tokens) < 30:
        left, right = random.choice(tokens, 2)
        if left + right not in tokens and len(left + right) < 9:
            tokens.append(left + right)
    pairs = [pair for pair in itertools.product(tokens, repeat=2) if "".join(pair) in tokens]
    merges = [pairs[i] for i in random.permutation(len(pairs))[: random.integers(5, len(pairs))]]

    def change(root: dict[str, Any]) -> None:
        root["pre_tokenizer"]["use_regex"] = False
        root["model"]["ignore_merges"] = bool(seed % 2)
        for token in tokens:
            root["model"]["vocab"].setdefault(token, len(root["model"]["vocab"]))
        root["model"]["merges"] = merges

    path = write_json(tmp_path / "shuffled.json", change)
    vocabulary = loaded(path).vocabulary
    reference = ReferenceEncoder(
        r"[\s\S]+",
        ranks_of(vocabulary),
        {},
        whole_piece_first=vocabulary.whole_pretokens,
        merges=[(left.encode(), right.encode()) for left, right in merges],
    )
    texts = ["".join(random.choice(list("abc"), size)) for size in range(1, 120)]
    assert_same(loaded(path), path, texts)
    for text in texts:
        assert loaded(path).encode(text).tolist() == reference.encode_ordinary(text)


def flagged(**flags: Any) -> Callable[[dict[str, Any]], None]:
    def change(root: dict[str, Any]) -> None:
        token = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
        token = {"content": "<x>", "id": 261, "special": False, **token, **flags}
        other = {**token, "content": "<x><y>", "id": 262, "special": True}
        root["added_tokens"] = [token, other]

    return change


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("flag", ["single_word", "lstrip", "rstrip", "normalized", "special"])
def test_the_flags_of_added_tokens_are_honoured(flag: str, special: bool, tmp_path: Path) -> None:
    path = write_json(tmp_path / "flags.json", flagged(**{"special": special, flag: True}))
    tokenizer, expected = loaded(path), oracle(path)
    parts = ("a", " ", "\u00a0", "\x1f", "<x>", "<x><y>")
    texts = list(map("".join, itertools.product(parts, repeat=4)))
    assert_same(tokenizer, path, texts)
    expected.encode_special_tokens = False
    for text in texts:
        ids = tokenizer.encode(text, allowed_special=tokenizer.vocabulary.special_tokens)
        assert ids.tolist() == expected.encode(text).ids, ascii(text)


NORMALIZERS: list[dict[str, Any]] = [
    *({"type": form} for form in ("NFC", "NFD", "NFKC", "NFKD")),
    {"type": "Replace", "pattern": {"String": "ab"}, "content": "b"},
    {"type": "Prepend", "prepend": "a"},
    {
        "type": "Sequence",
        "normalizers": [
            {"type": "Replace", "pattern": {"String": " "}, "content": "\u0301"},
            {"type": "NFC"},
            {"type": "Prepend", "prepend": "c"},
        ],
    },
]


@pytest.mark.parametrize("normalizer", NORMALIZERS, ids=lambda one: one["type"])
@pytest.mark.parametrize("normalized", [False, True])
def test_normalizers_and_added_tokens_work_together(
    normalizer: dict[str, Any], normalized: bool, tmp_path: Path
) -> None:
    def change(root: dict[str, Any]) -> None:
        flagged(normalized=normalized)(root)
        root["normalizer"] = normalizer

    path = write_json(tmp_path / "normalized.json", change)
    parts = ("ab", " ", "e", "\u0301", "\u0323", "\u00e9", "<x>", "<x><y>", "ﬁ")
    texts = map("".join, itertools.product(parts, repeat=4))
    assert_same(loaded(path), path, [*texts, *ODD_TEXTS])


# test_normalizers.py has each form at every code point without a file around it.
@pytest.mark.parametrize(
    "form", ["NFC", *(pytest.param(one, marks=pytest.mark.slow) for one in ("NFD", "NFKC", "NFKD"))]
)
def test_unicode_forms_are_those_of_tokenizers_for_every_code_point(
    form: str, tmp_path: Path
) -> None:
    path = write_json(
        tmp_path / f"{form}.json", lambda root: root.update(normalizer={"type": form})
    )
    points = [chr(point) for point in range(0x110000) if not 0xD800 <= point < 0xE000]
    texts = ["".join(points[start : start + 512]) for start in range(0, len(points), 512)]
    texts += ["\u0301".join(points[start : start + 512]) for start in range(0, len(points), 1024)]
    assert_same(loaded(path), path, texts)


METASPACES = [
    {"prepend_scheme": scheme, "split": split}
    for scheme in ("always", "first", "never")
    for split in (True, False)
]


@pytest.mark.parametrize("options", METASPACES, ids=str)
def test_metaspace_and_byte_fallback_give_the_ids_of_tokenizers(
    options: dict[str, Any], tmp_path: Path
) -> None:
    def change(root: dict[str, Any]) -> None:
        flagged()(root)
        fallback = [f"<0x{byte:02X}>" for byte in range(256)]
        tokens = [*fallback, "▁", "a", "b", "中", "▁a", "<x>", "<x><y>", "a▁", "ab", "▁ab"]
        root["model"] |= {
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": [["▁", "a"], ["a", "▁"], ["a", "b"], ["▁a", "b"], ["▁", "ab"]],
            "byte_fallback": True,
        }
        root["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", **options}

    path = write_json(tmp_path / "metaspace.json", change)
    tokenizer = loaded(path)
    parts = ("a", "b", " ", "▁", "中", "丮", "\n", "<x>")
    assert_same(tokenizer, path, map("".join, itertools.product(parts, repeat=4)))
    assert tokenizer.decode(tokenizer.encode("ab 丮😀\x00")).lstrip() == "ab 丮😀\x00"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: root["model"].update(type="WordPiece"), "model WordPiece is not supported"),
        (lambda root: root["model"].update(type="Unigram"), "model Unigram is not supported"),
        (lambda root: root["model"].update(type="WordLevel"), "model WordLevel is not supported"),
        (lambda root: root["model"].update(dropout=0.1), "model.dropout 0.1"),
        (lambda root: root["model"].update(end_of_word_suffix="</w>"), "end_of_word_suffix"),
        (lambda root: root["model"].update(continuing_subword_prefix="##"), "subword_prefix"),
        (lambda root: root["model"].update(novelty=1), "model: novelty: an unknown field"),
        (lambda root: root.update(novelty=1), "novelty: an unknown field"),
        (lambda root: root.update(truncation={}), "truncation is not supported"),
        (lambda root: root.update(version="2.0"), "version '2.0'"),
        (lambda root: root.update(normalizer={"type": "Lowercase"}), "normalizer Lowercase"),
        (lambda root: root.update(post_processor={"type": "New"}), "post_processor New"),
        (lambda root: root.update(pre_tokenizer=None), "byte_fallback"),
        (lambda root: root["model"]["merges"].append("a z y"), "merge 6: expected two tokens"),
        (lambda root: root["model"]["merges"].append("a d"), "is no token"),
        (lambda root: root["model"]["vocab"].pop("a"), "is no token"),
        (lambda root: root["model"]["vocab"].pop("!"), "no token stands for the single byte 33"),
        (lambda root: root.pop("model"), "not a tokenizer.json"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(
    change: Callable[[dict[str, Any]], None], message: str, tmp_path: Path
) -> None:
    path = write_json(tmp_path / "odd.json", change)
    with pytest.raises(ConfigurationError, match=message):
        Tokenizer.load(str(path))


def test_begin_and_end_are_what_the_post_processor_adds(tmp_path: Path) -> None:
    def change(root: dict[str, Any]) -> None:
        flagged(special=True)(root)
        root["post_processor"] = {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "<x>", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
            ],
            "pair": [],
            "special_tokens": {"<x>": {"id": "<x>", "ids": [261], "tokens": ["<x>"]}},
        }

    tokenizer = loaded(write_json(tmp_path / "template.json", change))
    assert (tokenizer.begin_of_text, tokenizer.end_of_text) == (261, None)


def test_text_of_which_nothing_is_left_has_no_tokens_at_all(tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(str(write_json(tmp_path / "tokenizer.json", drop_white_space)))
    texts = pa.array([" \n", "ab", "", "a b"])
    encoded = tokenizer.encode_documents(texts, begin_of_text=1, end_of_text=2)
    assert np.diff(encoded.offsets).tolist() == [0, 3, 0, 4]


def test_fingerprints_cover_whatever_changes_ids(tmp_path: Path) -> None:
    changes: list[Callable[[dict[str, Any]], Any]] = [
        lambda root: None,
        lambda root: root["model"]["merges"].reverse(),
        lambda root: root["model"].update(ignore_merges=True),
        lambda root: root.update(normalizer={"type": "NFC"}),
        lambda root: root["pre_tokenizer"].update(add_prefix_space=True),
        lambda root: root["pre_tokenizer"].update(use_regex=False),
        flagged(),
        flagged(lstrip=True),
        flagged(special=True),
    ]
    prints = {
        loaded(write_json(tmp_path / f"{i}.json", change)).fingerprint
        for i, change in enumerate(changes)
    }
    assert len(prints) == len(changes)


def test_a_folder_is_loaded_and_pickled_by_reference(tmp_path: Path) -> None:
    write_json(tmp_path / "tokenizer.json", lambda root: None)
    tokenizer = Tokenizer.load(str(tmp_path))
    assert pickle.loads(pickle.dumps(tokenizer)) is tokenizer
    with pytest.raises(ConfigurationError, match=r"expected a tokenizer\.json"):
        Tokenizer.load(str(tmp_path.parent))


def test_of_a_merge_that_is_listed_twice_the_last_counts(tmp_path: Path) -> None:
    def change(root: dict[str, Any]) -> None:
        root["model"]["merges"] = ["a b", "b c", "a b", "ab c", "a bc"]

    path = write_json(tmp_path / "twice.json", change)
    assert_same(loaded(path), path, map("".join, itertools.product("abc", repeat=6)))
    assert loaded(path).encode("abc").tolist() == [258]


@pytest.mark.parametrize("ignore_merges", [False, True])
def test_text_becomes_no_special_token_even_as_a_whole_pretoken(
    ignore_merges: bool, tmp_path: Path
) -> None:
    def change(root: dict[str, Any]) -> None:
        flagged(special=True)(root)
        root["added_tokens"] = [{**root["added_tokens"][1], "content": "xyz", "id": 261}]
        root["model"]["vocab"]["xyz"] = 261
        root["model"]["ignore_merges"] = ignore_merges

    path = write_json(tmp_path / "special.json", change)
    tokenizer = loaded(path)
    letters = np.concatenate([tokenizer.encode(one) for one in "xyz"])
    assert tokenizer.encode("xyz").tolist() == letters.tolist()
    assert not tokenizer.document_ids[261]


@pytest.mark.parametrize("ignore_merges", [False, True])
def test_tokens_that_are_not_written_in_the_alphabet_are_no_texts(
    ignore_merges: bool, tmp_path: Path
) -> None:
    """`▁` in a vocabulary of bytes is not what the text `▁` becomes; nor does it merge."""

    def change(root: dict[str, Any]) -> None:
        vocab = root["model"]["vocab"]
        vocab |= {"▁": 261, "▁a": 262, "âĸ": 263, " ": 264, "\n": 265}
        root["model"] |= {"ignore_merges": ignore_merges}
        root["model"]["merges"] += ["▁ a", "â ĸ"]

    path = write_json(tmp_path / "odd.json", change)
    assert_same(loaded(path), path, map("".join, itertools.product("▁ab \n", repeat=4)))
    assert loaded(path).decode([261, 264]) == "▁ "
    assert not loaded(path).document_ids[[261, 262, 264, 265]].any()
    assert loaded(path).document_ids[263]


def test_a_special_token_that_merges_make_is_refused(tmp_path: Path) -> None:
    def change(root: dict[str, Any]) -> None:
        flagged(special=True)(root)
        root["added_tokens"] = [{**root["added_tokens"][1], "content": "abc", "id": 258}]

    with pytest.raises(ConfigurationError, match="'abc' is also what merges make of text"):
        Tokenizer.load(write_json(tmp_path / "forged.json", change))


def test_a_prefix_is_put_before_no_text_that_a_normalizer_emptied(tmp_path: Path) -> None:
    def change(root: dict[str, Any]) -> None:
        flagged()(root)
        steps = [
            {"type": "Replace", "pattern": {"String": "a"}, "content": ""},
            {"type": "Prepend", "prepend": "b"},
        ]
        root["normalizer"] = {"type": "Sequence", "normalizers": steps}

    path = write_json(tmp_path / "emptied.json", change)
    assert_same(loaded(path), path, map("".join, itertools.product(("a", "c", "<x>"), repeat=4)))


def test_white_space_between_two_added_tokens_belongs_to_one_of_them(tmp_path: Path) -> None:
    def change(root: dict[str, Any]) -> None:
        plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
        flags = [("<r>", {"rstrip": True}), (" <b>", {}), ("<l>", {"lstrip": True})]
        root["added_tokens"] = [
            {"content": text, "id": 261 + i, "special": False, **plain, **more}
            for i, (text, more) in enumerate(flags)
        ]

    path = write_json(tmp_path / "blanks.json", change)
    parts = ("<r>", " <b>", "<l>", " ", "a")
    texts = list(map("".join, itertools.product(parts, repeat=5)))
    assert_same(loaded(path), path, texts)
    for text in texts[::7]:
        ids, spans = loaded(path).encode_with_offsets(text)
        assert ids.tolist() == loaded(path).encode(text).tolist()
        assert (spans[1:, 0] >= spans[:-1, 1]).all()


def test_two_tokens_before_a_text_are_refused(tmp_path: Path) -> None:
    def change(root: dict[str, Any]) -> None:
        flagged(special=True)(root)
        one = {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<x>"}}, {"Sequence": {"id": "A"}}],
            "special_tokens": {"<x>": {"ids": [261]}},
        }
        root["post_processor"] = {"type": "Sequence", "processors": [one, one]}

    with pytest.raises(ConfigurationError, match="at most one token before a text"):
        Tokenizer.load(write_json(tmp_path / "two.json", change))


@pytest.mark.parametrize(
    ("ids", "given"), [((266, 267), 261), ((262, 261), 261), ((261, 264), 262)]
)
def test_an_added_token_that_tokenizers_would_number_otherwise_is_refused(
    ids: tuple[int, int], given: int, tmp_path: Path
) -> None:
    def change(root: dict[str, Any]) -> None:
        flagged()(root)
        for token, number in zip(root["added_tokens"], ids, strict=True):
            token["id"] = number

    path = write_json(tmp_path / "numbers.json", change)
    assert [oracle(path).token_to_id(text) for text in ("<x>", "<x><y>")] == [261, 262]
    with pytest.raises(ConfigurationError, match=f"gives it {given}$"):
        Tokenizer.load(path)


@pytest.mark.parametrize("place", ["before", "after"])
def test_two_post_processors_that_put_tokens_at_one_place_are_refused(
    place: str, tmp_path: Path
) -> None:
    def template(name: str, number: int) -> dict[str, object]:
        special = {"SpecialToken": {"id": name}}
        text = {"Sequence": {"id": "A"}}
        return {
            "type": "TemplateProcessing",
            "single": [special, text] if place == "before" else [text, special],
            "special_tokens": {name: {"id": name, "ids": [number], "tokens": [name]}},
        }

    def with_both(root: dict[str, object]) -> None:
        processors = [template("a", 1), template("b", 2)]
        root["post_processor"] = {"type": "Sequence", "processors": processors}

    with pytest.raises(ConfigurationError, match="at most one token before a text and one after"):
        Tokenizer.load(write_json(tmp_path / "tokenizer.json", with_both))


@pytest.mark.parametrize(("times", "is_read"), [(1022, True), (1023, True), (1024, False)])
def test_a_normalizer_may_make_a_text_1024_times_as_long(
    times: int, is_read: bool, tmp_path: Path
) -> None:
    def prepend(root: dict[str, object]) -> None:
        root["normalizer"] = {"type": "Prepend", "prepend": "a" * times}

    path = write_json(tmp_path / "tokenizer.json", prepend)
    if is_read:
        assert Tokenizer.load(path).decode(Tokenizer.load(path).encode("b")) == "a" * times + "b"
    else:
        with pytest.raises(ConfigurationError, match="1024 times as long"):
            Tokenizer.load(path)
