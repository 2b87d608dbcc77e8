"""Mistral's tekken.json against tiktoken's engine, set up as mistral-common sets it up."""

import base64
import json
from pathlib import Path

import pytest
import tiktoken
from test_tokenizer import assert_same, shared_texts

from tokenizer import ConfigurationError, Tokenizer


def published(shared_data: Path) -> Path:
    return shared_data / "vocab" / "mistral_tekken_240911.json"


class Shifted:
    """tiktoken's ids after the block of special tokens, as mistral-common gives them."""

    def __init__(self, path: Path) -> None:
        root = json.loads(path.read_bytes())
        self._shift = root["config"]["default_num_special_tokens"]
        size = root["config"]["default_vocab_size"] - self._shift
        self._encoding = tiktoken.Encoding(
            "tekken",
            pat_str=root["config"]["pattern"],
            mergeable_ranks={
                base64.b64decode(one["token_bytes"]): one["rank"] for one in root["vocab"][:size]
            },
            special_tokens={},
        )

    def encode_ordinary_batch(self, texts: list[str], num_threads: int) -> list[list[int]]:
        batch = self._encoding.encode_ordinary_batch(texts, num_threads=num_threads)
        return [[one + self._shift for one in ids] for ids in batch]


@pytest.mark.parametrize("every", [32, pytest.param(1, marks=pytest.mark.slow)])
def test_shared_documents_get_the_ids_of_mistral(every: int, shared_data: Path) -> None:
    tokenizer = Tokenizer.load(str(published(shared_data)))
    peer = Shifted(published(shared_data))
    for texts in shared_texts(shared_data):
        assert_same(tokenizer, peer, texts[::every])  # type: ignore[arg-type]


def test_special_tokens_stand_in_front_of_the_others(shared_data: Path) -> None:
    tokenizer = Tokenizer.load(str(published(shared_data)))
    assert tokenizer.vocabulary_size == 131072
    assert (tokenizer.begin_of_text, tokenizer.end_of_text) == (1, 2)
    assert tokenizer.encode("<s>[INST]").min() >= 1000
    assert tokenizer.encode("<s>[INST]", allowed_special=["<s>", "[INST]"]).tolist() == [1, 3]
    assert tokenizer.decode([1, *tokenizer.encode("naïve 😀"), 2]) == "<s>naïve 😀</s>"


def tiny(path: Path, **config: int) -> str:
    vocab = [
        {"rank": rank, "token_bytes": base64.b64encode(token).decode(), "token_str": None}
        for rank, token in enumerate([*(bytes([byte]) for byte in range(256)), b"ab"])
    ]
    known = {"pattern": r"[\s\S]+", "default_vocab_size": 260, "default_num_special_tokens": 3}
    special = [{"rank": 2, "token_str": "<end>", "is_control": True}]
    path.write_text(
        json.dumps({"config": known | config, "vocab": vocab, "special_tokens": special})
    )
    return str(path)


def test_the_special_tokens_that_a_file_lists_are_taken(tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(tiny(tmp_path / "tekken.json"))
    assert tokenizer.encode("ab").tolist() == [259]
    assert dict(tokenizer.vocabulary.special_tokens) == {
        "<SPECIAL_0>": 0,
        "<SPECIAL_1>": 1,
        "<end>": 2,
    }


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"default_vocab_size": 300}, "there are 257 tokens and 3 special ones"),
        ({"default_num_special_tokens": 2, "default_vocab_size": 259}, "expected ranks below 2"),
    ],
)
def test_a_tekken_json_that_contradicts_itself_is_refused(
    config: dict[str, int], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Tokenizer.load(tiny(tmp_path / "tekken.json", **config))
