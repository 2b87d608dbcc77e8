"""How token shards are cut and written."""

from dataclasses import dataclass

from tokenizer.errors import ConfigurationError
from transforms.errors import MismatchError
from transforms.shards.formats import shard_format


@dataclass(frozen=True, kw_only=True)
class ShardSettings:
    """The shape of a unit's token shards.

    Attributes:
        format: a name in transforms/shards/formats.
        max_tokens: start a new file of the same unit when one would grow beyond this; no document
            is split. None: one file a unit.
    """

    format: str = "npy"
    max_tokens: int | None = None

    def __post_init__(self) -> None:
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ConfigurationError("must be at least 1", setting="max_shard_tokens")
        try:
            shard_format(self.format)
        except MismatchError as error:
            raise ConfigurationError(str(error)) from error
