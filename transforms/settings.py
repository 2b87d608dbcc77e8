"""What decides the bytes of an output."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tokenizer import ConfigurationError, Tokenizer
from transforms.framing import begin_of_text_id, end_of_text_id
from transforms.reading import ReadSettings
from transforms.shards.settings import ShardSettings


@dataclass(frozen=True, kw_only=True)
class TokenizeSettings:
    """How documents become token shards. Small, picklable, the same on every worker.

    Attributes:
        tokenizer, split_pattern, special_tokens, revision: the arguments of Tokenizer.load.
        begin_of_text, end_of_text: what to put before each document and after it; framing.py
            has the values.
        read: how inputs are read.
        shards: how ids are written.
    """

    tokenizer: str = "cl100k_base"
    split_pattern: str | None = None
    special_tokens: Mapping[str, int] | None = None
    revision: str | None = None
    begin_of_text: str | int | None = "auto"
    end_of_text: str | int | None = "auto"
    read: ReadSettings = field(default_factory=ReadSettings)
    shards: ShardSettings = field(default_factory=ShardSettings)

    def load_tokenizer(self) -> Tokenizer:
        """The tokenizer, loaded once a process.

        Raises:
            ConfigurationError: it can not be.
        """
        return Tokenizer.load(
            self.tokenizer,
            split_pattern=self.split_pattern,
            special_tokens=self.special_tokens,
            revision=self.revision,
        )

    def pinned(self) -> "TokenizeSettings":
        """The same, of one commit: what every worker and every later run has to load."""
        return dataclasses.replace(self, revision=self.load_tokenizer().vocabulary.revision)

    def begin_of_text_id(self, tokenizer: Tokenizer) -> int | None:
        """The id in front of each document, or None.

        Raises:
            ConfigurationError: no token.
        """
        return begin_of_text_id(tokenizer, self.begin_of_text)

    def end_of_text_id(self, tokenizer: Tokenizer) -> int | None:
        """The id after each document, or None.

        Raises:
            ConfigurationError: there is none.
        """
        return end_of_text_id(tokenizer, self.end_of_text)

    def described(self, tokenizer: Tokenizer) -> dict[str, Any]:
        """All that decides output bytes, as plain JSON values: no path, host or clock."""
        read = dataclasses.asdict(self.read)
        read["input_format"] = self.read.input_format and self.read.input_format.value
        del read["batch_bytes"]  # how much is under way at a time, not what becomes of it
        return {
            "pass": "tokenize",
            "tokenizer": {
                "name": tokenizer.vocabulary.name,
                "revision": tokenizer.vocabulary.revision,
                "fingerprint": tokenizer.fingerprint,
                "begin_of_text": self.begin_of_text_id(tokenizer),
                "end_of_text": self.end_of_text_id(tokenizer),
            },
            "read": read,
            "shards": dataclasses.asdict(self.shards),
        }


def shard_settings_of(described: Mapping[str, Any]) -> ShardSettings:
    """The ShardSettings that a build's settings describe.

    Raises:
        ConfigurationError: they are of no version that this one knows.
    """
    try:
        return ShardSettings(**described["shards"])
    except (KeyError, TypeError) as error:
        raise ConfigurationError(
            f"the build's settings do not say how to write: {error}"
        ) from error


def read_settings_of(described: Mapping[str, Any]) -> ReadSettings:
    """The ReadSettings that a build's settings describe.

    Raises:
        ConfigurationError: they are of no version that this one knows.
    """
    from transforms.reading import InputFormat

    try:
        values = dict(described["read"])
        if values["input_format"] is not None:
            values["input_format"] = InputFormat(values["input_format"])
        return ReadSettings(**values)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(f"the settings do not say how to read: {error}") from error
