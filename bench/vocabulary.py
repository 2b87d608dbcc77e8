"""Bundled vocabularies as `.tiktoken` files, for contestants that want a path."""

from importlib import resources
from pathlib import Path

import zstandard


def write_tiktoken(name: str, folder: Path) -> Path:
    """Writes the published table of a bundled vocabulary to `folder/<name>.tiktoken`.

    The name stays: gigatoken goes by it.
    """
    packed = resources.files("tokenizer") / "bundled" / f"{name}.tiktoken.zst"
    path = folder / f"{name}.tiktoken"
    path.write_bytes(zstandard.ZstdDecompressor().decompress(packed.read_bytes()))
    return path
