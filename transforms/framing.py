"""Which ids go before a document and after it: one meaning, wherever it is asked for.

"auto"              before: what the vocabulary's own tokenizer puts there, often nothing;
                    after: the vocabulary's end of text
"none", None        nothing
100257, "100257"    that id
"<|endoftext|>"     the id of that special token
"""

from tokenizer import ConfigurationError, Tokenizer


def begin_of_text_id(tokenizer: Tokenizer, wanted: str | int | None) -> int | None:
    """The id in front of each document, or None for nothing.

    Raises:
        ConfigurationError: `wanted` is none of the values above, or no id of the vocabulary.
    """
    if wanted == "auto":
        return tokenizer.begin_of_text
    return _id_of(tokenizer, wanted, "begin_of_text")


def end_of_text_id(tokenizer: Tokenizer, wanted: str | int | None) -> int | None:
    """The id after each document, or None for nothing.

    Raises:
        ConfigurationError: `wanted` is none of the values above, or no id of the vocabulary; or
            "auto", where the vocabulary names no token that ends a document.
    """
    if wanted != "auto":
        return _id_of(tokenizer, wanted, "end_of_text")
    if tokenizer.end_of_text is None:
        raise ConfigurationError(
            f"{tokenizer.vocabulary.name} names no token that ends a document: say which, or none",
            setting="end_of_text",
        )
    return tokenizer.end_of_text


def _is_token(tokenizer: Tokenizer, number: int) -> bool:
    """Whether a token has that id: vocabularies have gaps."""
    return tokenizer.id_to_token(number) is not None


def _id_of(tokenizer: Tokenizer, wanted: str | int | None, setting: str) -> int | None:
    if wanted is None or wanted == "none":
        return None
    if isinstance(wanted, str) and wanted in tokenizer.vocabulary.special_tokens:
        return tokenizer.vocabulary.special_tokens[wanted]
    if not isinstance(wanted, bool) and isinstance(wanted, str | int):
        digits = str(wanted)
        if digits.isascii() and digits.isdecimal() and _is_token(tokenizer, int(digits)):
            return int(digits)
    raise ConfigurationError(
        f"expected auto, none, the text of a special token, or the id of a token, below "
        f"{tokenizer.vocabulary_size}, found {wanted!r}",
        setting=setting,
    )
