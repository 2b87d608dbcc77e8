"""Small tokenizer.json files of the shape of published ones, made here: no network."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tokenizers


def _added(text: str, special: bool, number: int = -1, **flags: bool) -> dict[str, Any]:
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {"content": text, "id": number, "special": special, **plain, **flags}


def _of_bytes(*added: dict[str, Any], **sections: Any) -> dict[str, Any]:
    """Merges of bytes, written in GPT-2's alphabet."""
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    pairs = ["t h", "th e", "Ġ th", "Ġth e", "Ġ a", "a b", "Ġ Ġ", "Ã ©", "n e", "Ċ Ċ", "c a"]
    vocab = {token: i for i, token in enumerate(alphabet)}
    for pair in pairs:
        vocab.setdefault(pair.replace(" ", ""), len(vocab))
    root = _root({"type": "BPE", "vocab": vocab, "merges": pairs})
    root["pre_tokenizer"] = _byte_level(use_regex=True)
    root |= sections
    # After the model's own, as tokenizers numbers them.
    root["added_tokens"] = [one | {"id": len(vocab) + i} for i, one in enumerate(added)]
    return root


def _of_characters(tokens: list[str], merges: list[str], **sections: Any) -> dict[str, Any]:
    """Merges of characters, with byte fallback."""
    names = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *tokens]
    model = {
        "type": "BPE",
        "unk_token": "<unk>",
        "fuse_unk": True,
        "byte_fallback": True,
        "vocab": {token: i for i, token in enumerate(names)},
        "merges": merges,
    }
    root = _root(model)
    root["added_tokens"] = [_added(text, True, i) for i, text in enumerate(names[:3])]
    return root | sections


def _root(model: dict[str, Any]) -> dict[str, Any]:
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": None,
        "model": model,
    }


def _byte_level(**options: bool) -> dict[str, Any]:
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, **options}


def gpt2_like() -> dict[str, Any]:
    """Nothing is normalized, and one added token is not special."""
    return _of_bytes(
        _added("<|endoftext|>", True),
        _added("<tool>", False),
    )


def qwen3_like() -> dict[str, Any]:
    """NFC, and added tokens outside of the model's vocabulary."""
    split = {
        "type": "Split",
        "pattern": {"Regex": r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+"},
        "behavior": "Isolated",
        "invert": False,
    }
    return _of_bytes(
        _added("<|endoftext|>", True),
        _added("<think>", False),
        _added("</think>", False),
        normalizer={"type": "NFC"},
        pre_tokenizer={"type": "Sequence", "pretokenizers": [split, _byte_level(use_regex=False)]},
    )


def nfkc_like() -> dict[str, Any]:
    """NFKC, which can make an added token's text of another one, and a token it looks for after."""
    return _of_bytes(
        _added("<think>", False),
        _added("\ufb01x", False, normalized=True),
        _added("<|endoftext|>", True),
        normalizer={"type": "NFKC"},
    )


def llama2_like() -> dict[str, Any]:
    """Every text gets a ▁ before it, blanks become ▁; bytes stand for unknown characters."""
    normalizers = [
        {"type": "Prepend", "prepend": "▁"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
    ]
    tokens = ["▁", *"theabcn", "▁t", "he", "▁the", "▁▁", "中", "é", "▁a"]
    merges = ["▁ t", "h e", "▁t he", "▁ ▁", "▁ a"]
    return _of_characters(
        tokens, merges, normalizer={"type": "Sequence", "normalizers": normalizers}
    )


def gemma_like() -> dict[str, Any]:
    """Blanks become ▁, and runs of blanks and line feeds are added tokens that merges make, too."""
    tokens = ["▁", *"theabcn", "\n", "▁t", "he", "▁the", "▁▁", "\n\n", "▁▁▁", "<b>", "中"]
    root = _of_characters(
        tokens,
        ["▁ t", "h e", "▁t he", "▁ ▁", "\n \n", "▁▁ ▁"],
        normalizer={"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        pre_tokenizer={
            "type": "Split",
            "pattern": {"String": " "},
            "behavior": "MergedWithPrevious",
            "invert": False,
        },
    )
    vocab = root["model"]["vocab"]
    root["added_tokens"] += [_added(text, False, vocab[text]) for text in ("▁▁", "\n\n", "<b>")]
    return root


def falcon_like() -> dict[str, Any]:
    """Several splits one after the other, special tokens with flags, and one that takes blanks."""
    parts = [
        {"type": "Punctuation", "behavior": "Contiguous"},
        _byte_level(use_regex=True),
        {"type": "Digits", "individual_digits": False},
    ]
    return _of_bytes(
        _added(">>TITLE<<", True),
        _added("<|endoftext|>", True),
        _added("<mask>", False, lstrip=True),
        pre_tokenizer={"type": "Sequence", "pretokenizers": parts},
    )


def metaspace_like() -> dict[str, Any]:
    """A Metaspace pre-tokenizer that puts ▁ before the first text of a document alone."""
    tokens = ["▁", *"theabcn", "▁t", "he", "▁the", "▁▁", "中", "<x>"]
    root = _of_characters(
        tokens,
        ["▁ t", "h e", "▁t he", "▁ ▁"],
        pre_tokenizer={
            "type": "Metaspace",
            "replacement": "▁",
            "prepend_scheme": "first",
            "split": True,
        },
    )
    root["added_tokens"].append(_added("<x>", False, root["model"]["vocab"]["<x>"]))
    return root


def dropping() -> dict[str, Any]:
    """White space is dropped."""
    parts = [{"type": "WhitespaceSplit"}, _byte_level(use_regex=True)]
    return _of_bytes(pre_tokenizer={"type": "Sequence", "pretokenizers": parts})


def prefixed() -> dict[str, Any]:
    """A blank before each text that has none."""
    return _of_bytes(pre_tokenizer=_byte_level(use_regex=True, add_prefix_space=True))


SHAPES: dict[str, Callable[[], dict[str, Any]]] = {
    "gpt2": gpt2_like,
    "qwen3": qwen3_like,
    "nfkc": nfkc_like,
    "llama2": llama2_like,
    "gemma": gemma_like,
    "falcon": falcon_like,
    "metaspace": metaspace_like,
    "dropping": dropping,
    "prefixed": prefixed,
}

# Texts that take every way there is through these vocabularies.
TEXTS = (
    "the cab thethe  the   a\n\nb",
    "Cafe\u0301 caf\u00e9 \u212b a\u0323\u0301 \u00e1\u0323 \u00e0\u0316",
    "a<think>b</think> \uff1cthink\uff1e <|endoftext|>",
    "x <mask>y  <tool> <x>the <b>\ufb01x\uff58 \ufb01 \u2460",
    "\u1112\u1161\u11ab \u0344\u0315 \u0958 中文 😀 ▁▁the▁ ▁",
    ">>TITLE<< 123, don't!",
    " leading",
    "\n",
    " ",
)


def write_shape(name: str, folder: Path) -> Path:
    """The tokenizer.json of a shape."""
    path = folder / f"{name}.json"
    path.write_text(json.dumps(SHAPES[name]()), encoding="utf-8")
    return path
