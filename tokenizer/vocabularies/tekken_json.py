"""Mistral's tekken.json: ranks as in a .tiktoken file, behind a block of special tokens.

    id   0 .. s - 1        special tokens, s = config.default_num_special_tokens
         s + rank          ordinary tokens, the first config.default_vocab_size - s of `vocab`

Source: mistral-common, tokens/tokenizers/tekken.py.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from tokenizer.errors import VocabularyError
from tokenizer.vocabularies.tokenizer_json import end_of_text_of
from tokenizer.vocabulary import AddedToken, Vocabulary, offsets_of

# The names of files that do not list them (version 3 and before); the rest are <SPECIAL_n>.
_SPECIAL_TOKENS = (
    "<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]",
    "[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]",
    "[IMG_END]", "[PREFIX]", "[MIDDLE]", "[SUFFIX]",
)  # fmt: skip


def read_tekken(content: bytes, name: str) -> Vocabulary:
    """The vocabulary in the content of a tekken.json. Raises VocabularyError."""
    try:
        return _read(json.loads(content), name, hashlib.sha256(content).hexdigest())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, VocabularyError):
            raise
        raise VocabularyError(f"{name}: not a tekken.json: {error!r}") from error


def _read(root: Mapping[str, Any], name: str, sha256: str) -> Vocabulary:
    config = root["config"]
    specials = int(config["default_num_special_tokens"])
    ordinary = int(config["default_vocab_size"]) - specials
    if not 0 <= ordinary <= len(root["vocab"]):
        raise VocabularyError(
            f"{name}: default_vocab_size {ordinary + specials}: there are {len(root['vocab'])} "
            f"tokens and {specials} special ones"
        )
    tokens = [b""] * specials
    for rank, one in enumerate(root["vocab"][:ordinary]):
        if one["rank"] != rank:
            raise VocabularyError(f"{name}: token {rank} has rank {one['rank']}")
        try:
            tokens.append(base64.b64decode(one["token_bytes"], validate=True))
        except binascii.Error as error:
            raise VocabularyError(f"{name}: token {rank}: token_bytes: {error}") from error
    added = _special_tokens(name, root.get("special_tokens"), specials)
    ids = {token.text: token.id for token in added}
    return Vocabulary(
        name=name,
        token_bytes=b"".join(tokens),
        token_offsets=offsets_of(tokens),
        sha256=sha256,
        split_pattern=config["pattern"],
        added_tokens=added,
        end_of_text=end_of_text_of(ids),
        begin_of_text=ids.get("<s>"),
    )


def _special_tokens(
    name: str, listed: list[Mapping[str, Any]] | None, count: int
) -> tuple[AddedToken, ...]:
    named = dict(enumerate(_SPECIAL_TOKENS))
    if listed is not None:
        named = {int(one["rank"]): one["token_str"] for one in listed}
    if any(not 0 <= rank < count for rank in named):
        raise VocabularyError(f"{name}: special_tokens: expected ranks below {count}")
    return tuple(AddedToken(named.get(rank, f"<SPECIAL_{rank}>"), rank) for rank in range(count))
