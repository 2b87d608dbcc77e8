"""The reference encoder against tiktoken, on small made vocabularies."""

import random

import pytest
import tiktoken
from split_patterns import CL100K, O200K, R50K

from tokenizer.reference import ReferenceEncoder

BYTES = {bytes([byte]): byte for byte in range(256)}


def random_ranks(seed: int) -> dict[bytes, int]:
    """Bytes and 300 tokens, most of them made of two earlier ones, so that merges collide."""
    draw = random.Random(seed)
    ranks = dict(BYTES)
    alphabet = [letter.encode() for letter in "aabbce 'ſé1\n"]
    while len(ranks) < 556:
        token = draw.choice(alphabet) + draw.choice([*alphabet, *list(ranks)[256:]])
        ranks.setdefault(token[:9], len(ranks))
    return ranks


@pytest.mark.parametrize("pattern", [R50K, CL100K, O200K])
@pytest.mark.parametrize("seed", range(3))
def test_it_encodes_as_tiktoken_does(pattern: str, seed: int) -> None:
    ranks = random_ranks(seed)
    encoder = ReferenceEncoder(pattern, ranks, {"<|end|>": 1000})
    oracle = tiktoken.Encoding(
        "made", pat_str=pattern, mergeable_ranks=ranks, special_tokens={"<|end|>": 1000}
    )
    draw = random.Random(seed)
    for _ in range(300):
        text = "".join(draw.choices("aabbce 'ſé1\n<|end|>", k=draw.randrange(40)))
        ids = encoder.encode_ordinary(text)
        assert ids == oracle.encode_ordinary(text)
        assert encoder.decode(ids) == text.encode()


def test_special_token_text_is_plain_text() -> None:
    encoder = ReferenceEncoder(R50K, BYTES, {"<|end|>": 256})
    assert encoder.encode_ordinary("<|end|>") == list(b"<|end|>")
    assert encoder.decode([256]) == b"<|end|>"


def test_a_token_that_merging_does_not_reach_is_found_only_as_a_whole_piece() -> None:
    ranks = {**BYTES, b"abc": 256}
    assert ReferenceEncoder(R50K, ranks, {}).encode_ordinary("abc") == [256]
    assert ReferenceEncoder(R50K, ranks, {}, False).encode_ordinary("abc") == list(b"abc")


def test_what_the_pattern_does_not_match_gives_no_ids() -> None:
    assert ReferenceEncoder("[a-z]+", BYTES, {}).encode_ordinary("a1b") == list(b"ab")
