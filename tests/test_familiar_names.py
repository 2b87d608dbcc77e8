"""The names of tiktoken and tokenizers, against those packages."""

from pathlib import Path

import numpy as np
import pytest
import tiktoken
from published_tokenizers import SHARED, oracle
from small_vocabularies import SHAPES, write_shape
from test_tokenizer import NAMES, peers

from tokenizer import Tokenizer

__all__ = ["peers"]  # a fixture

TEXTS = ["", " ", "Hello world, naïve café 中文字 😀!", "a\n\n  b\t12345", "<|endoftext|> x"]


@pytest.mark.parametrize("name", NAMES)
def test_encoding_under_tiktokens_names_gives_its_ids(
    name: str, peers: dict[str, tiktoken.Encoding]
) -> None:
    ours, theirs = Tokenizer.load(name), peers[name]
    found = ours.encode_ordinary_batch(TEXTS)
    assert [ids.tolist() for ids in found] == theirs.encode_ordinary_batch(TEXTS)
    assert [ours.encode_ordinary(text).tolist() for text in TEXTS] == [
        theirs.encode_ordinary(text) for text in TEXTS
    ]
    assert ours.encode_ordinary_batch([]) == []
    assert ours.encode_ordinary_batch(["a"])[0].tolist() == theirs.encode_ordinary("a")


@pytest.mark.parametrize("name", NAMES)
def test_facts_under_tiktokens_names_are_its_facts(
    name: str, peers: dict[str, tiktoken.Encoding]
) -> None:
    ours, theirs = Tokenizer.load(name), peers[name]
    assert ours.n_vocab == theirs.n_vocab
    assert ours.max_token_value == theirs.max_token_value
    assert ours.eot_token == theirs.eot_token
    assert ours.special_tokens_set == theirs.special_tokens_set
    assert ours.token_byte_values() == theirs.token_byte_values()
    for token in (0, 100, theirs.eot_token):
        assert ours.is_special_token(token) == theirs.is_special_token(token)


@pytest.mark.parametrize("name", NAMES)
def test_decoding_under_tiktokens_names_gives_its_bytes(
    name: str, peers: dict[str, tiktoken.Encoding]
) -> None:
    ours, theirs = Tokenizer.load(name), peers[name]
    batch = [theirs.encode(text, allowed_special="all") for text in TEXTS]
    assert ours.decode_bytes_batch(batch) == theirs.decode_bytes_batch(batch)
    for ids in batch:
        assert ours.decode_tokens_bytes(ids) == theirs.decode_tokens_bytes(ids)
        assert ours.decode_with_offsets(np.array(ids, np.uint32)) == theirs.decode_with_offsets(ids)
        for token in ids:
            spelled = theirs.decode_single_token_bytes(token)
            assert ours.decode_single_token_bytes(token) == spelled
            assert ours.encode_single_token(spelled) == theirs.encode_single_token(spelled)


def test_what_is_no_token_is_a_key_error_as_in_tiktoken(
    peers: dict[str, tiktoken.Encoding],
) -> None:
    for encoding in (Tokenizer.load("cl100k_base"), peers["cl100k_base"]):
        for token in (100261, 100277, 1 << 30):
            with pytest.raises(KeyError):
                encoding.decode_single_token_bytes(token)
        with pytest.raises(KeyError):
            encoding.encode_single_token("no token at all")


def test_half_a_character_has_no_offsets_as_in_tiktoken(
    peers: dict[str, tiktoken.Encoding],
) -> None:
    half = peers["cl100k_base"].encode_ordinary("🧵")[:1]
    for encoding in (Tokenizer.load("cl100k_base"), peers["cl100k_base"]):
        with pytest.raises(UnicodeDecodeError):
            encoding.decode_with_offsets(half)


@pytest.mark.parametrize("shape", SHAPES)
def test_sizes_and_ids_under_the_names_of_tokenizers_are_its_own(
    shape: str, tmp_path: Path
) -> None:
    assert_alike(write_shape(shape, tmp_path))


@pytest.mark.parametrize("name", SHARED)
def test_published_files_have_the_sizes_and_ids_of_tokenizers(name: str, shared_data: Path) -> None:
    assert_alike(shared_data / "vocab" / f"{name}.tokenizer.json")


def assert_alike(path: Path) -> None:
    ours, theirs = Tokenizer.load(path), oracle(path)
    assert ours.get_vocab_size() == theirs.get_vocab_size()
    for number, token in theirs.get_added_tokens_decoder().items():
        assert ours.token_to_id(token.content) == number == theirs.token_to_id(token.content)
        assert ours.is_special_token(number) == token.special


def test_a_name_given_to_the_class_itself_is_told_how_to_load_it() -> None:
    with pytest.raises(TypeError, match=r"call Tokenizer\.load\('cl100k_base'\)"):
        Tokenizer("cl100k_base")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "vocabulary"),
    [("gpt4", "cl100k_base"), ("gpt-4o-mini", "o200k_base"), ("gpt-3.5-turbo", "cl100k_base")],
)
def test_the_name_of_a_model_suggests_its_vocabulary(name: str, vocabulary: str) -> None:
    with pytest.raises(ValueError, match=f"that model's is {vocabulary}"):
        Tokenizer.load(name)
