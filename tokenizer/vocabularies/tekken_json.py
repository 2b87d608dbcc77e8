"""Mistral's tekken.json: ranks as in a .tiktoken file, after a block of special tokens.

    id   0 .. s - 1        special tokens, s = config.default_num_special_tokens
         s + rank          ordinary tokens, the first config.default_vocab_size - s of `vocab`

Source: mistral-common, tokens/tokenizers/tekken.py.
"""

import base64
import hashlib

from tokenizer.vocabularies.json_section import Section
from tokenizer.vocabularies.tokenizer_json import end_of_text_of
from tokenizer.vocabulary import AddedToken, Vocabulary, offsets_of

# The names of files that do not list them (version 3 and before); the rest are <SPECIAL_n>.
_SPECIAL_TOKENS = (
    "<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]",
    "[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]",
    "[IMG_END]", "[PREFIX]", "[MIDDLE]", "[SUFFIX]",
)  # fmt: skip
_MAX_UNNAMED = 1 << 14  # published files have 1,000


def read_tekken(content: bytes, name: str) -> Vocabulary:
    """The vocabulary in the content of a tekken.json.

    Raises:
        VocabularyError: It is malformed; the message names the field.
    """
    root = Section.parse(content, name)
    config = root.section("config")
    specials = config.get("default_num_special_tokens", int)
    ordinary = config.get("default_vocab_size", int) - specials
    listed = root.get("vocab", list)
    if not 0 <= ordinary <= len(listed) or specials < 0:
        raise root.error(
            f"not a tekken.json: default_vocab_size {ordinary + specials}: there are {len(listed)} "
            f"tokens and {specials} special ones"
        )
    added = _special_tokens(root, specials)
    tokens = [b""] * specials
    for rank in range(ordinary):
        one = Section(listed[rank], f"{name}: vocab[{rank}]")
        if (found := one.get("rank", int)) != rank:
            raise root.error(f"token {rank} has rank {found}")
        try:
            tokens.append(base64.b64decode(one.get("token_bytes", str), validate=True))
        except ValueError as error:  # binascii.Error is one; so is what is not ASCII
            raise one.error(f"token {rank}: token_bytes: {error}") from error
    ids = {token.text: token.id for token in added}
    return Vocabulary(
        name=name,
        token_bytes=b"".join(tokens),
        token_offsets=offsets_of(tokens),
        sha256=hashlib.sha256(content).hexdigest(),
        split_pattern=config.get("pattern", str),
        added_tokens=added,
        end_of_text=end_of_text_of(ids),
        begin_of_text=ids.get("<s>"),
    )


def _special_tokens(root: Section, count: int) -> tuple[AddedToken, ...]:
    named = dict(enumerate(_SPECIAL_TOKENS))
    if root.fields.get("special_tokens") is not None:
        named = {
            one.get("rank", int): one.get("token_str", str)
            for one in root.sections("special_tokens")
        }
    if any(not 0 <= rank < count for rank in named):
        raise root.error(f"special_tokens: expected ranks below {count}")
    if count > max(len(named), _MAX_UNNAMED):
        raise root.error(
            f"default_num_special_tokens {count}: expected at most {_MAX_UNNAMED}, or a name of "
            "each in special_tokens"
        )
    texts = [named.get(rank, f"<SPECIAL_{rank}>") for rank in range(count)]
    if len(set(texts)) < count or not all(texts):
        raise root.error("special_tokens: a name is empty, or that of two tokens")
    return tuple(AddedToken(text, rank) for rank, text in enumerate(texts))
