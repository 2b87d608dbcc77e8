"""A cut for vocabularies that cut nothing: where no token can stretch over, one changes nothing.

SentencePiece conversions have no pre-tokenizer, so that a document would be one pretoken: no cache
would know it, and merging it costs time and memory by its length. But a merge over a border makes a
token that holds the characters on both sides of it next to each other. Where no token does, no
merge ever crosses, and what is on one side merges as if the other were not there.

    ▁the▁▁quick      no token has ▁ after another character:     ▁the | ▁▁quick
    <b>▁</b>▁x       but for one (Gemma 3 has `>▁</`):            <b>▁</b>▁x
    day\\n\\nThe       no token has \\n beside another character:    day | \\n\\n | The
"""

import re

from tokenizer.text.normalizers import MARK
from tokenizer.vocabulary import Vocabulary

_BETWEEN = "\udcff"
_MOST_BEFORE = 32


def implied_split(vocabulary: Vocabulary) -> str:
    """A pattern that cuts text without changing its tokens, and leaves no character out."""
    if vocabulary.byte_tokens is None:  # tokens may end inside a character, so this shows nothing
        return r"[\s\S]+"
    tokens = _mergeable(vocabulary)
    lines = "" if re.search(f"[^\n{_BETWEEN}]\n|\n[^\n{_BETWEEN}]", tokens) else "\n"
    # After these characters no ▁ is cut off, nor is a run of it.
    before = sorted(set(re.findall(f"([^{MARK}{_BETWEEN}]){MARK}", tokens)))
    if "\n" in before or len(before) > _MOST_BEFORE:
        return rf"{lines}+|[^{lines}]+" if lines else r"[\s\S]+"
    other = "".join(f"\\x{{{ord(one):X}}}" for one in before)
    word = f"[^{MARK}{lines}{other}]" + (f"|[{other}]{MARK}*" if other else "")
    return (f"{lines}+|" if lines else "") + f"{MARK}*(?:{word})+|{MARK}+"


def _mergeable(vocabulary: Vocabulary) -> str:
    """All tokens that can occur, with what no text holds between them."""
    ids = range(len(vocabulary.token_offsets) - 1)
    if not vocabulary.whole_pretokens and vocabulary.merges is not None:
        ids = sorted(set(vocabulary.merges[:, 2].tolist()))  # type: ignore[assignment]
    offsets = vocabulary.token_offsets.tolist()
    tokens = [vocabulary.token_bytes[offsets[one] : offsets[one + 1]] for one in ids]
    return b"\xff".join(tokens).decode(errors="surrogateescape")
