"""What decides the bytes of an output, and the fingerprint over it."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tokenizer import ConfigurationError, Tokenizer
from transforms.reading import ReadSettings

FORMAT = "tokenmill/1"


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys, no spaces and a newline at the end: equal values, equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"


@dataclass(frozen=True, kw_only=True)
class TokenizeSettings:
    """How documents become token shards. Small, picklable, the same on every worker.

    tokenizer, split_pattern, special_tokens: the arguments of Tokenizer.load.
    end_of_text: put the tokenizer's end-of-text id behind each document.
    begin_of_text: an id to put in front of each document, or None.
    max_shard_tokens: start a new file of the same unit when one would grow beyond this; no
      document is split. None: one file a unit.
    """

    tokenizer: str = "cl100k_base"
    split_pattern: str | None = None
    special_tokens: Mapping[str, int] | None = None
    end_of_text: bool = True
    begin_of_text: int | None = None
    max_shard_tokens: int | None = None
    read: ReadSettings = field(default_factory=ReadSettings)

    def __post_init__(self) -> None:
        if self.max_shard_tokens is not None and self.max_shard_tokens < 1:
            raise ConfigurationError("--max-shard-tokens must be at least 1")

    def load_tokenizer(self) -> Tokenizer:
        """The tokenizer, loaded once a process. Raises ConfigurationError where it can not be."""
        return Tokenizer.load(
            self.tokenizer, split_pattern=self.split_pattern, special_tokens=self.special_tokens
        )

    def end_of_text_id(self, tokenizer: Tokenizer) -> int | None:
        """The id behind each document, or None. Raises ConfigurationError when there is none."""
        if not self.end_of_text:
            return None
        if tokenizer.vocabulary.end_of_text is None:
            raise ConfigurationError(
                f"{self.tokenizer} names no <|endoftext|> token: add it to --special-tokens, "
                "or say --no-end-of-text"
            )
        return tokenizer.vocabulary.end_of_text

    def described(self, tokenizer: Tokenizer) -> dict[str, Any]:
        """All that decides output bytes, as plain JSON values: no path, host or clock."""
        if self.begin_of_text is not None and not (
            0 <= self.begin_of_text < tokenizer.vocabulary_size
        ):
            raise ConfigurationError(
                f"--begin-of-text {self.begin_of_text}: expected an id below "
                f"{tokenizer.vocabulary_size}"
            )
        read = dataclasses.asdict(self.read)
        read["input_format"] = self.read.input_format and self.read.input_format.value
        del read["batch_bytes"]  # how much is under way at a time, not what becomes of it
        return {
            "tokenizer": tokenizer.vocabulary.name,
            "tokenizer_fingerprint": tokenizer.fingerprint,
            "end_of_text": self.end_of_text_id(tokenizer),
            "begin_of_text": self.begin_of_text,
            "max_shard_tokens": self.max_shard_tokens,
            **read,
        }


def fingerprint_of(described: Mapping[str, Any]) -> str:
    """SHA-256, hexadecimal, over the canonical JSON of settings and format version."""
    return hashlib.sha256(
        canonical_json({"format": FORMAT, "settings": dict(described)})
    ).hexdigest()


@dataclass(frozen=True, slots=True)
class WorkUnit:
    """One input to tokenize.

    name: the input's path below the common root of all inputs, "/"-separated; every output file
      of the unit is named after it.
    path: where to open it, for any filesystem Beam knows.
    size_bytes: of the raw file.
    """

    name: str
    path: str
    size_bytes: int
