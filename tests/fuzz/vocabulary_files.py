"""Vocabulary files that somebody hostile wrote: real ones, changed at random, and loaded.

Each is a tokenizer or a VocabularyError (any ConfigurationError), within seconds and a bound of
memory. Run by hand for longer: python tests/fuzz/vocabulary_files.py [examples]
"""

import base64
import copy
import json
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from small_vocabularies import SHAPES

from tokenizer import ConfigurationError, Tokenizer
from tokenizer.vocabulary import Vocabulary

# What a field may be replaced by: each type, and values at and beyond what is allowed.
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 255, 2**21 - 2, 2**21, 2**31, 2**63, 2**64, 10**30, 0.5, 1e308,
    "", "a", "\u2581", "<s>", "\ud800", "\x00", "a" * 70_000, "(?:" * 500, "[", r"\p{L}+|\s+|.",
    "BPE", "Sequence", "NFC", "Metaspace", "ByteLevel", [], {}, [[]], [None], ["a", "b"], [1],
    {"type": "Sequence"}, {"String": " "}, {"Regex": "\\"},
)  # fmt: skip
GENERIC = ("type", "id", "ids", "special", "merges", "vocab", "pattern", "rank", "\ud800", "")


def tekken() -> dict[str, Any]:
    """A small tekken.json."""
    tokens = [bytes([one]) for one in range(256)] + [b"ab", b"abc"]
    vocab = [
        {"rank": rank, "token_bytes": base64.b64encode(token).decode(), "token_str": None}
        for rank, token in enumerate(tokens)
    ]
    config = {"pattern": r"[\s\S]", "default_vocab_size": 278, "default_num_special_tokens": 20}
    return {"config": config, "vocab": vocab}


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each container inside and each key or index of it."""
    keys: list[Any] = []
    if isinstance(value, dict):
        keys = list(value)
    elif isinstance(value, list):
        keys = list(range(len(value)))
    for key in keys:
        yield value, key
        yield from _places(value[key])


def changed(root: Any, chance: random.Random) -> Any:
    """The same with one to three random changes."""
    root = copy.deepcopy(root)
    for _ in range(chance.randint(1, 3)):
        places = list(_places(root))
        if not places:
            return root
        # A place near the root is as likely as one of the thousands in a vocabulary.
        shallow = [place for place in places if len(place[0]) < 50] or places
        container, key = chance.choice(shallow if chance.random() < 0.8 else places)
        kind = chance.randrange(5)
        if kind == 0:
            del container[key]
        elif kind == 1 and isinstance(container, dict):
            container[chance.choice(GENERIC)] = chance.choice(VALUES)
        elif kind == 2:
            container[key] = copy.deepcopy(chance.choice(places)[0])
        else:
            container[key] = copy.deepcopy(chance.choice(VALUES))
    return root


def content_of(seed: int) -> tuple[str, bytes]:
    """A file name and the content of a hostile file."""
    chance = random.Random(seed)
    kinds = [*SHAPES, "tekken", "tiktoken"]
    kind = kinds[seed % len(kinds)]
    if kind == "tiktoken":
        lines = [base64.b64encode(bytes([one])) + b" %d" % one for one in range(256)]
        content = b"\n".join(lines)
    else:
        root = changed(tekken() if kind == "tekken" else SHAPES[kind](), chance)
        try:
            content = json.dumps(root).encode()
        except (ValueError, RecursionError):  # a cycle, or too deep to write
            content = b"[" * 100_000
    if kind == "tiktoken" or chance.random() < 0.2:
        data = bytearray(content)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(data) + 1)
            data[at : at + chance.randrange(3)] = bytes(
                chance.choice(b'0123456789"{}[],: \n=\xff\x00-') for _ in range(chance.randrange(9))
            )
        content = bytes(data)
    names = {"tekken": "tekken.json", "tiktoken": "x.tiktoken"}
    return names.get(kind, "tokenizer.json"), content


def load(seed: int, folder: Path) -> Vocabulary | None:
    """Loads a hostile file and encodes with it; None where it is refused as it should be."""
    name, content = content_of(seed)
    path = folder / name
    path.write_bytes(content)
    more: dict[str, Any] = {}
    if name.endswith(".tiktoken"):
        more = {"split_pattern": r"[\s\S]", "special_tokens": {"<end>": 300}}
    try:
        tokenizer = Tokenizer.load(path.rename(folder / f"{seed}-{name}"), cache_bytes=0, **more)
    except ConfigurationError:
        return None
    text = "the cab\n\n <think>\u0301 中"
    tokenizer.decode(tokenizer.encode(text))
    tokenizer.encode(text, allowed_special="all")
    tokenizer.encode_with_offsets(text)
    return tokenizer.vocabulary


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
        loaded = sum(load(seed, Path(made)) is not None for seed in range(count))
        print(f"{count} files, {loaded} of them load")
