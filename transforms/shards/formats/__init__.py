"""Formats of token shards: a module each, writer beside reader. Nothing else knows a format.

To add one: a module with a class of `ShardFormat`'s shape, and a line in `_FORMATS`.
"""

from transforms.errors import MismatchError
from transforms.shards.formats.interface import (
    ShardFormat,
    ShardRanges,
    ShardReader,
    ShardWriter,
)
from transforms.shards.formats.npy import Npy

__all__ = ["ShardFormat", "ShardRanges", "ShardReader", "ShardWriter", "shard_format", "suffix_of"]

_FORMATS: dict[str, ShardFormat] = {"npy": Npy()}


def shard_format(name: str) -> ShardFormat:
    """The format of that name.

    Raises:
        MismatchError: an unknown one.
    """
    if name not in _FORMATS:
        raise MismatchError(f"shard format: expected one of {sorted(_FORMATS)}, found {name!r:.40}")
    return _FORMATS[name]


def suffix_of(name: str) -> str:
    """What the files of a format end in.

    Raises:
        MismatchError: an unknown one.
    """
    return shard_format(name).suffix
