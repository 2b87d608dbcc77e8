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

    tokenizer, split_pattern, special_tokens, revision: the arguments of Tokenizer.load.
    begin_of_text, end_of_text: what to put in front of each document and behind it: an id, the text
      of a special token, "none", or "auto": in front what the vocabulary's own tokenizer puts
      there, often nothing; behind the vocabulary's end of text.
    max_shard_tokens: start a new file of the same unit when one would grow beyond this; no
      document is split. None: one file a unit.
    """

    tokenizer: str = "cl100k_base"
    split_pattern: str | None = None
    special_tokens: Mapping[str, int] | None = None
    revision: str | None = None
    begin_of_text: str | int = "auto"
    end_of_text: str | int = "auto"
    max_shard_tokens: int | None = None
    read: ReadSettings = field(default_factory=ReadSettings)

    def __post_init__(self) -> None:
        if self.max_shard_tokens is not None and self.max_shard_tokens < 1:
            raise ConfigurationError("--max-shard-tokens must be at least 1")

    def load_tokenizer(self) -> Tokenizer:
        """The tokenizer, loaded once a process. Raises ConfigurationError where it can not be."""
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
        """The id in front of each document, or None. Raises ConfigurationError for no token."""
        if self.begin_of_text == "auto":
            return tokenizer.begin_of_text
        return _id_of(tokenizer, self.begin_of_text, "--begin-of-text")

    def end_of_text_id(self, tokenizer: Tokenizer) -> int | None:
        """The id behind each document, or None. Raises ConfigurationError when there is none."""
        if self.end_of_text != "auto":
            return _id_of(tokenizer, self.end_of_text, "--end-of-text")
        if tokenizer.end_of_text is None:
            raise ConfigurationError(
                f"{self.tokenizer} names no token that ends a document: say which with "
                "--end-of-text, or --end-of-text none"
            )
        return tokenizer.end_of_text

    def described(self, tokenizer: Tokenizer) -> dict[str, Any]:
        """All that decides output bytes, as plain JSON values: no path, host or clock."""
        read = dataclasses.asdict(self.read)
        read["input_format"] = self.read.input_format and self.read.input_format.value
        del read["batch_bytes"]  # how much is under way at a time, not what becomes of it
        revision = tokenizer.vocabulary.revision
        return {
            "tokenizer": tokenizer.vocabulary.name,
            **({} if revision is None else {"tokenizer_revision": revision}),
            "tokenizer_fingerprint": tokenizer.fingerprint,
            "end_of_text": self.end_of_text_id(tokenizer),
            "begin_of_text": self.begin_of_text_id(tokenizer),
            "max_shard_tokens": self.max_shard_tokens,
            **read,
        }


def _id_of(tokenizer: Tokenizer, wanted: str | int, option: str) -> int | None:
    if wanted == "none":
        return None
    special_tokens = tokenizer.vocabulary.special_tokens
    if isinstance(wanted, str) and wanted in special_tokens:
        return special_tokens[wanted]
    number = int(wanted) if str(wanted).isdecimal() else -1
    if not 0 <= number < tokenizer.vocabulary_size:
        raise ConfigurationError(
            f"{option} {wanted}: expected auto, none, the text of a special token, or an id below "
            f"{tokenizer.vocabulary_size}"
        )
    return number


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
