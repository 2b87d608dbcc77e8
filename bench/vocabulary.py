"""Vocabularies as files, for contestants that want a path."""

import json
from importlib import resources
from pathlib import Path

import zstandard

from bench.report import REPOSITORY

_SHARED = REPOSITORY.parent / "shared" / "data" / "vocab"
_BUNDLED = ("cl100k_base", "o200k_base")
_PUBLISHED = ("qwen3", "deepseek_v3")


def names_at_hand() -> list[str]:
    """The vocabularies that are measured, those left out that this machine does not have."""
    return [*_BUNDLED, *(name for name in _PUBLISHED if _published(name).is_file())]


def write_vocabulary(name: str, folder: Path) -> Path:
    """The path of a vocabulary; what has to be written goes to `folder`.

    A bundled one becomes `<name>.tiktoken`: the name stays, for gigatoken goes by it. A published
    tokenizer.json is used where it is; `plain_path` is written for the peers.
    """
    if not _published(name).is_file():
        return write_tiktoken(name, folder)
    path = folder / f"{name}.tokenizer.json"
    content = _published(name).read_bytes()
    path.write_bytes(content)
    # Special-token text in documents is plain text, or a document could forge its end. gigatoken
    # has no option for that but not to know the special tokens.
    root = json.loads(content)
    root["added_tokens"] = [token for token in root["added_tokens"] if not token["special"]]
    plain_path(path).write_text(json.dumps(root, ensure_ascii=False), encoding="utf-8")
    return path


def plain_path(path: Path) -> Path:
    """Where the same tokenizer.json without its special tokens is."""
    return path.with_name(f"plain-{path.name}")


def write_tiktoken(name: str, folder: Path) -> Path:
    """Writes the published table of a bundled vocabulary to `folder/<name>.tiktoken`."""
    packed = resources.files("tokenizer") / "bundled" / f"{name}.tiktoken.zst"
    path = folder / f"{name}.tiktoken"
    path.write_bytes(zstandard.ZstdDecompressor().decompress(packed.read_bytes()))
    return path


def _published(name: str) -> Path:
    return _SHARED / f"{name}.tokenizer.json"
