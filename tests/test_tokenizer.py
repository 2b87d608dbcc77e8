"""Ids against tiktoken and against the slow reference, decoding, and the promises around them."""

import concurrent.futures
import gc
import gzip
import itertools
import json
import pickle
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiktoken
import xxhash
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator

from tokenizer import ConfigurationError, Tokenizer, text_hashes
from tokenizer.reference import ReferenceEncoder
from tokenizer.vocabularies.sources import load_vocabulary
from tokenizer.vocabulary import Vocabulary

NAMES = ("r50k_base", "p50k_base", "cl100k_base", "o200k_base")


def ranks_of(vocabulary: Vocabulary) -> dict[bytes, int]:
    spans = itertools.pairwise(vocabulary.token_offsets.tolist())
    return {
        vocabulary.token_bytes[begin:end]: rank
        for rank, (begin, end) in enumerate(spans)
        if end > begin
    }


@pytest.fixture(scope="session")
def peers() -> dict[str, tiktoken.Encoding]:
    """tiktoken's own engine over the same published tables; it would download them by name."""
    found = {}
    for name in NAMES:
        vocabulary = load_vocabulary(name)
        found[name] = tiktoken.Encoding(
            name,
            pat_str=vocabulary.split_pattern,
            mergeable_ranks=ranks_of(vocabulary),
            special_tokens=dict(vocabulary.special_tokens),
        )
    return found


def assert_same(tokenizer: Tokenizer, peer: tiktoken.Encoding, texts: list[str]) -> None:
    tokens, offsets = tokenizer.encode_batch(texts)
    expected = peer.encode_ordinary_batch(texts, num_threads=2)
    for i, ids in enumerate(expected):
        assert tokens[offsets[i] : offsets[i + 1]].tolist() == ids, texts[i][:200]


def test_the_worked_examples_of_gpt_4_come_out() -> None:
    tokenizer = Tokenizer.load("cl100k_base")
    assert tokenizer.encode("hello world").tolist() == [15339, 1917]
    assert tokenizer.encode("Hello world").tolist() == [9906, 1917]
    assert tokenizer.pretokens("internationalization") == [
        (b"internationalization", tokenizer.encode("internationalization").tolist())
    ]
    parts = [tokenizer.decode([token]) for token in tokenizer.encode("internationalization")]
    assert parts == ["international", "ization"]


@pytest.mark.parametrize(
    ("name", "size", "dtype", "end_of_text"),
    [
        ("gpt2", 50257, "<u2", 50256),
        ("r50k_base", 50257, "<u2", 50256),
        ("p50k_base", 50281, "<u2", 50256),
        ("cl100k_base", 100277, "<u4", 100257),
        ("o200k_base", 200019, "<u4", 199999),
    ],
)
def test_sizes_dtypes_and_end_of_text_are_the_published_ones(
    name: str, size: int, dtype: str, end_of_text: int
) -> None:
    tokenizer = Tokenizer.load(name)
    assert tokenizer.vocabulary_size == size
    assert tokenizer.dtype == np.dtype(dtype)
    assert tokenizer.vocabulary.end_of_text == end_of_text


@pytest.mark.parametrize("name", NAMES)
def test_every_token_encodes_to_itself_or_to_what_tiktoken_gives(
    name: str, peers: dict[str, tiktoken.Encoding]
) -> None:
    tokens = ranks_of(load_vocabulary(name))
    texts = [text for token in tokens if (text := token.decode(errors="ignore"))]
    found, offsets = Tokenizer.load(name).encode_batch(texts)
    expected = [peers[name].encode_ordinary(text) for text in texts]
    assert np.diff(offsets).tolist() == [len(ids) for ids in expected]
    assert found.tolist() == [one for ids in expected for one in ids]


@pytest.mark.parametrize(
    "name", [*(pytest.param(one, marks=pytest.mark.slow) for one in NAMES[:2]), *NAMES[2:]]
)
def test_every_code_point_between_others_is_encoded_as_tiktoken_does(
    name: str, peers: dict[str, tiktoken.Encoding]
) -> None:
    points = [chr(point) for point in range(0x110000) if not 0xD800 <= point < 0xE000]
    contexts = ("a{}b", " {}", "{}{}", "1{} \n{}", "'{}s", "{}\n\n ")
    texts = [
        "".join(contexts[(start >> 8) % len(contexts)].format(*[c, c]) for c in chunk)
        for start in range(0, len(points), 256)
        for chunk in [points[start : start + 256]]
    ]
    assert_same(Tokenizer.load(name), peers[name], texts)


def vocabulary_text(name: str) -> st.SearchStrategy[str]:
    """Runs of tokens, so that merges collide, mixed with characters of all planes."""
    tokens = [token.decode(errors="ignore") for token in ranks_of(load_vocabulary(name))]
    characters = st.characters(exclude_categories=["Cs"])
    spaces = st.sampled_from(
        [" ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "'", "'S", "\u017f"]
    )
    piece = st.one_of(st.sampled_from(tokens), spaces, st.text(characters, max_size=4))
    return st.lists(piece, max_size=40).map("".join)


@pytest.mark.parametrize("name", NAMES)
def test_generated_text_is_encoded_as_tiktoken_and_the_reference_do(
    name: str, peers: dict[str, tiktoken.Encoding]
) -> None:
    tokenizer = Tokenizer.load(name)
    vocabulary = tokenizer.vocabulary
    ranks = ranks_of(vocabulary)
    reference = ReferenceEncoder(vocabulary.split_pattern, ranks, vocabulary.special_tokens)

    @settings(max_examples=150, deadline=None, derandomize=True)
    @given(st.lists(vocabulary_text(name), min_size=1, max_size=4))
    def check(texts: list[str]) -> None:
        assert_same(tokenizer, peers[name], texts)
        tokens, offsets = tokenizer.encode_batch(texts)
        for i, text in enumerate(texts):
            ids = tokens[offsets[i] : offsets[i + 1]]
            assert tokenizer.decode_bytes(ids) == text.encode()
            # The reference splits by the `regex` package, whose Unicode is newer.
            if text.isascii():
                assert ids.tolist() == reference.encode_ordinary(text)

    check()


@pytest.mark.parametrize("name", NAMES)
def test_rules_and_runs_of_any_length_are_encoded_as_tiktoken_does(
    name: str, peers: dict[str, tiktoken.Encoding]
) -> None:
    draw = random.Random(name)
    texts = ["-" * size + "\n" for size in range(1, 600)]
    for letters in ("|-", "=-=", " \t", "\n ", "/*", "aA", "|:- ", "é-", "😀!"):
        for _ in range(60):
            runs = [
                draw.choice(letters) * int(2 ** draw.uniform(0, 9))
                for _ in range(draw.randint(1, 12))
            ]
            texts.append("".join(runs))
    assert_same(Tokenizer.load(name), peers[name], texts)


def test_ids_stay_when_the_next_batch_is_encoded_and_the_tokenizer_is_gone() -> None:
    """Large arrays are the memory that ids were written into, which is used again once they go."""
    tokenizer = Tokenizer.load("cl100k_base", cache_bytes=1 << 20)
    texts = [[f" {word} {number}" * 150_000 for number in range(2)] for word in ("one", "two")]
    expected = [np.concatenate([tokenizer.encode(text) for text in batch]) for batch in texts]
    kept = [tokenizer.encode_batch(batch)[0] for batch in texts]
    for _ in range(3):
        assert np.array_equal(tokenizer.encode_batch(texts[0])[0], expected[0])
    del tokenizer
    gc.collect()
    for tokens, ids in zip(kept, expected, strict=True):
        assert not tokens.flags.owndata, "the array is a copy: nothing was tested"
        assert np.array_equal(tokens, ids)
        tokens += 1  # nobody else looks at it


@pytest.mark.parametrize("name", NAMES)
def test_pretokens_of_any_length_merge_as_tiktoken_merges_them(
    name: str, peers: dict[str, tiktoken.Encoding]
) -> None:
    """Around 15, 24, 256 and 8192 bytes the engine changes its way; so does a full batch of 256."""
    random = np.random.default_rng(20261122)
    alphabets = ("a", "ab", "etaoin", " ", "\n", "-=", "é", "中文字符", "😀😃", "0123456789")
    lengths = (1, 2, 3, 14, 15, 16, 17, 23, 24, 25, 31, 33, 255, 257, 700, 2800, 9000)
    texts = [
        "".join(random.choice(list(alphabet), length))
        for alphabet in alphabets
        for length in lengths
    ]
    tokenizer = Tokenizer.load(name)
    for _ in range(2):  # cold, then from the cache
        assert_same(tokenizer, peers[name], texts)


def shared_texts(folder: Path) -> Iterator[list[str]]:
    for path in [*sorted(folder.glob("web/*")), folder / "adversarial" / "documents.jsonl.zst"]:
        if path.suffix == ".parquet":
            yield pq.read_table(path, columns=["text"])["text"].to_pylist()
            continue
        if path.name.endswith(".wet.gz"):
            with path.open("rb") as stream:
                yield [
                    record.content_stream().read().decode()
                    for record in ArchiveIterator(stream)
                    if record.rec_type == "conversion"
                ]
            continue
        raw = path.read_bytes()
        if path.suffix == ".zst":
            lines = zstandard.ZstdDecompressor().stream_reader(raw).read().splitlines()
        else:
            lines = gzip.decompress(raw).split(b"\n")
        yield [json.loads(line)["text"] for line in lines if line.strip()]


@pytest.mark.parametrize("name", NAMES)
def test_shared_documents_are_encoded_as_tiktoken_does(
    name: str, peers: dict[str, tiktoken.Encoding], shared_data: Path
) -> None:
    """Each sixteenth here, all of them in the slow lane."""
    tokenizer = Tokenizer.load(name)
    for texts in shared_texts(shared_data):
        assert_same(tokenizer, peers[name], texts[::16])


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_all_shared_documents_are_encoded_as_tiktoken_does(
    name: str, peers: dict[str, tiktoken.Encoding], shared_data: Path
) -> None:
    tokenizer = Tokenizer.load(name)
    for texts in shared_texts(shared_data):
        assert_same(tokenizer, peers[name], texts)


def test_special_token_text_is_plain_text_unless_it_is_allowed() -> None:
    tokenizer = Tokenizer.load("cl100k_base")
    text = "a<|endoftext|>b<|fim_prefix|>"
    plain = tokenizer.encode(text)
    assert plain.max() < 100257
    assert tokenizer.decode(plain) == text
    ids = tokenizer.encode(text, allowed_special={"<|endoftext|>"}).tolist()
    assert ids.count(100257) == 1
    assert 100258 not in ids
    assert tokenizer.decode(ids) == text
    with pytest.raises(ConfigurationError, match="nonsense"):
        tokenizer.encode(text, allowed_special={"<|nonsense|>"})


def test_special_token_texts_are_counted_document_by_document() -> None:
    texts = pa.array(["<|endoftext|><|endoftext|>", "none <| here", "<<|endofprompt|>"])
    encoded = Tokenizer.load("cl100k_base").encode_documents(texts)
    assert encoded.special_token_texts.tolist() == [2, 0, 1]


def test_begin_and_end_of_text_go_around_documents_that_have_tokens() -> None:
    tokenizer = Tokenizer.load("r50k_base")
    encoded = tokenizer.encode_documents(
        pa.array(["hello", "", "world"]), begin_of_text=1, end_of_text=50256, dtype="<u2"
    )
    assert encoded.tokens.dtype == np.dtype("<u2")
    assert np.diff(encoded.offsets).tolist() == [3, 0, 3]
    assert encoded.tokens[[0, 2, 3, 5]].tolist() == [1, 50256, 1, 50256]


def test_a_text_that_is_not_utf_8_has_no_tokens_and_is_marked() -> None:
    bad = [
        b"ok",
        b"\xff",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"caf\xe9",
        b"\xe4\xb8",
    ]
    text = pa.array(bad, pa.binary()).view(pa.string())
    encoded = Tokenizer.load("cl100k_base").encode_documents(text, end_of_text=100257)
    assert encoded.valid.tolist() == [True, *[False] * 6]
    assert np.diff(encoded.offsets).tolist() == [2, 0, 0, 0, 0, 0, 0]
    with pytest.raises(ValueError, match="document 1 is not UTF-8"):
        Tokenizer.load("cl100k_base").encode_batch(text)
    with pytest.raises(UnicodeEncodeError):
        Tokenizer.load("cl100k_base").encode("lone \ud800")


def test_validity_of_any_bytes_is_what_python_says() -> None:
    tokenizer = Tokenizer.load("r50k_base")

    @settings(max_examples=300, deadline=None, derandomize=True)
    @given(
        st.lists(
            st.one_of(
                st.binary(max_size=80),
                st.text(max_size=40).filter(lambda text: text.isprintable()).map(str.encode),
            ),
            min_size=1,
        )
    )
    def check(parts: list[bytes]) -> None:
        joined = b"".join(parts)
        encoded = tokenizer.encode_documents(pa.array([joined], pa.binary()).view(pa.string()))
        try:
            joined.decode()
            assert encoded.valid[0]
        except UnicodeDecodeError:
            assert not encoded.valid[0]

    check()


def test_text_hashes_are_xxh3() -> None:
    texts = ["", "a", "hello world" * 3, "x" * 300, "中" * 5000]
    assert text_hashes(pa.array(texts)).tolist() == [
        xxhash.xxh3_64_intdigest(text.encode()) for text in texts
    ]


def test_slices_and_large_strings_are_read_where_they_are() -> None:
    tokenizer = Tokenizer.load("cl100k_base")
    texts = ["zero", "one", "two", "three"]
    for kind in (pa.string(), pa.large_string()):
        tokens, offsets = tokenizer.encode_batch(pa.array(texts, kind).slice(1, 2))
        expected = [tokenizer.encode(text) for text in texts[1:3]]
        assert tokens.tolist() == np.concatenate(expected).tolist()
        assert np.diff(offsets).tolist() == [len(ids) for ids in expected]
    assert tokenizer.encode_batch([])[1].tolist() == [0]
    with pytest.raises(ValueError, match="null"):
        tokenizer.encode_batch(pa.array(["a", None]))
    with pytest.raises(ValueError, match="int64"):
        tokenizer.encode_batch(pa.array([1]))


def test_decode_refuses_ids_that_no_token_has() -> None:
    tokenizer = Tokenizer.load("p50k_base")
    assert tokenizer.decode([50256]) == "<|endoftext|>"
    for wrong in (50281, 2**31):
        with pytest.raises(ValueError, match=str(wrong)):
            tokenizer.decode([wrong])


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        ([-1], ValueError, "id -1 at index 0 is no token"),
        (np.array([0, 2**32 + 15339]), ValueError, "id 4294982635 at index 1 is no token"),
        (np.array([2**63], np.uint64), ValueError, "id 9223372036854775808 at index 0"),
        ([2**64], TypeError, "ids must be integers, found object: 18446744073709551616"),
        ([15339.7], TypeError, r"ids must be integers, found float64: 15339\.7"),
        (["a"], TypeError, "ids must be integers, found <U1: 'a'"),
        (np.array([1.5]), TypeError, "float64"),
        (np.array([0, 100256]), ValueError, "id 100256 at index 1 is no token"),  # a gap
    ],
)
def test_what_is_no_id_is_named_and_never_wraps_around(
    ids: Any, error: type[Exception], message: str
) -> None:
    tokenizer = Tokenizer.load("cl100k_base")
    for decode in (tokenizer.decode, tokenizer.decode_bytes):
        with pytest.raises(error, match=message):
            decode(ids)


def test_lengths_are_of_ids_that_are_tokens() -> None:
    tokenizer = Tokenizer.load("cl100k_base")
    assert tokenizer.decoded_lengths([9906, 1917, 100257]).tolist() == [5, 6, 13]
    for wrong in ([-1], [100256], [100277], np.array([0, 2**32 + 15339]), [[1]]):
        with pytest.raises(ValueError, match=r"is no token|a list of ids"):
            tokenizer.decoded_lengths(wrong)
    with pytest.raises(TypeError, match="integers, found float64"):
        tokenizer.decoded_lengths([1.5])


def test_ids_of_every_integer_type_are_decoded() -> None:
    tokenizer = Tokenizer.load("cl100k_base")
    for dtype in ("i2", "u2", "i4", ">i4", "u4", "i8", "u8"):
        assert tokenizer.decode(np.array([9906, 1917, 0], dtype)[:2]) == "Hello world"
        assert tokenizer.decode(np.array([9906, 0, 1917], dtype)[::2]) == "Hello world"
    assert tokenizer.decode([]) == tokenizer.decode(np.zeros(0)) == ""


def test_the_first_things_that_users_of_tiktoken_try_work_or_say_what_is_wrong(
    peers: dict[str, tiktoken.Encoding],
) -> None:
    tokenizer, peer = Tokenizer.load("cl100k_base"), peers["cl100k_base"]
    text = "naïve <|endoftext|> <|fim_prefix|>"
    allowed = tokenizer.encode(text, allowed_special="all").tolist()
    assert allowed == peer.encode(text, allowed_special="all")
    assert tokenizer.encode_ordinary(text).tolist() == peer.encode_ordinary(text)
    assert tokenizer.count(text) == len(peer.encode_ordinary(text))
    assert (tokenizer.n_vocab, tokenizer.eot_token) == (peer.n_vocab, peer.eot_token)
    assert tokenizer.name == peer.name
    assert repr(tokenizer) == "Tokenizer('cl100k_base', 100,277 ids)"
    batch = ["a b", "", text]
    assert tokenizer.decode_batch([peer.encode_ordinary(one) for one in batch]) == batch
    assert tokenizer.decode_batch(*tokenizer.encode_batch(batch)) == batch
    for word in ("hello", b"\xc3", "<|endoftext|>"):
        one = tokenizer.token_to_id(word)
        assert one == (100257 if word == "<|endoftext|>" else peer.encode_single_token(word))
        assert tokenizer.id_to_token(one) == (word if isinstance(word, bytes) else word.encode())
    assert tokenizer.token_to_id("no such token") is None
    assert [tokenizer.id_to_token(one) for one in (-1, 100256, 100277)] == [None] * 3
    for wrong in (5, None, b"bytes", ["a"]):
        with pytest.raises(TypeError, match="expected a str, found"):
            tokenizer.encode(wrong)  # type: ignore[arg-type]
    for wrong in ("abc", b"abc"):
        with pytest.raises(TypeError, match="expected a list of str, found one"):
            tokenizer.encode_batch(wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="or 'all'"):
        tokenizer.encode(text, allowed_special="<|endoftext|>")
    with pytest.raises(ConfigurationError, match="a name or a path, found int"):
        Tokenizer.load(5)  # type: ignore[arg-type]
    assert Tokenizer.load(Path("cl100k_base")) is tokenizer


def test_threads_that_load_at_the_same_time_load_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []

    def counted(*arguments: Any) -> Vocabulary:
        loads.append(arguments)
        return load_vocabulary(*arguments)

    monkeypatch.setattr("tokenizer.tokenizer.load_vocabulary", counted)
    ready = threading.Barrier(8)

    def load() -> Tokenizer:
        ready.wait(10)
        return Tokenizer.load("r50k_base", cache_bytes=(1 << 20) + 1)

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        first, *others = [one.result() for one in [threads.submit(load) for _ in range(8)]]
    assert all(one is first for one in others)
    assert len(loads) == 1


def test_pickling_goes_by_reference_and_finds_the_same_object() -> None:
    tokenizer = Tokenizer.load("cl100k_base")
    pickled = pickle.dumps(tokenizer)
    assert len(pickled) < 300
    assert pickle.loads(pickled) is tokenizer


def test_eight_threads_at_once_give_the_same_as_one() -> None:
    tokenizer = Tokenizer.load("o200k_base")
    random = np.random.default_rng(7)
    words = ["alpha", "Βήτα", "гамма", "中文", "1234", "\n\n", "naïve", "x" * 50, "don't"]
    batches = [[" ".join(random.choice(words, 400)) for _ in range(20)] for _ in range(32)]
    expected = [tokenizer.encode_batch(batch)[0].tolist() for batch in batches]
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        found = [tokens.tolist() for tokens, _ in threads.map(tokenizer.encode_batch, batches)]
    assert found == expected


def test_words_that_begin_alike_are_told_apart_in_the_cache(
    peers: dict[str, tiktoken.Encoding],
) -> None:
    # Eight bytes in common, and more words than the smallest cache has sets.
    words = [f" samehead{number:x}" for number in range(2000)]
    tokenizer = Tokenizer.load("cl100k_base", cache_bytes=1)
    expected = peers["cl100k_base"].encode_ordinary("".join(words))
    for _ in range(3):
        assert tokenizer.encode("".join(words)).tolist() == expected


def test_a_small_cache_changes_nothing_but_the_speed() -> None:
    random = np.random.default_rng(11)
    texts = [
        "".join(chr(random.integers(0x4E00, 0x9FFF)) + " " for _ in range(3000)) for _ in range(9)
    ]
    texts += [" ".join("".join(random.choice(list("etaoinshr"), 12)) for _ in range(4000))] * 2
    small = Tokenizer.load("cl100k_base", cache_bytes=1)
    large = Tokenizer.load("cl100k_base")
    for _ in range(3):
        assert small.encode_batch(texts)[0].tolist() == large.encode_batch(texts)[0].tolist()


def test_fingerprints_differ_where_ids_do() -> None:
    prints = {Tokenizer.load(name).fingerprint for name in NAMES}
    assert len(prints) == len(NAMES)
    assert Tokenizer.load("gpt2").fingerprint == Tokenizer.load("r50k_base").fingerprint


@pytest.mark.parametrize("other", [b"x", bytearray(b"x"), None, 5])
def test_a_batch_takes_nothing_but_str(other: Any) -> None:
    with pytest.raises(
        ValueError, match=f"expected a sequence of str, found {type(other).__name__}"
    ):
        Tokenizer.load("gpt2").encode_batch(["a", other])


def test_a_batch_may_be_anything_that_gives_its_texts_once() -> None:
    tokenizer = Tokenizer.load("gpt2")
    tokens, offsets = tokenizer.encode_batch(text for text in ("a", "b c"))  # type: ignore[arg-type]
    assert (tokens.tolist(), offsets.tolist()) == ([64, 65, 269], [0, 1, 3])
    with pytest.raises(ValueError, match="expected a sequence of str: 'int'"):
        tokenizer.encode_batch(5)  # type: ignore[arg-type]
