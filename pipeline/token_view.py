"""Tokens on a terminal: side by side, or those of two tokenizers beside each other.

In a terminal every other token is underlined and in the theme's magenta, which can be read on light
and on dark; elsewhere a bar stands between two tokens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from pipeline.quantities import counted
from pipeline.terminal import escaped
from pipeline.token_text import SEPARATOR, token_texts, visible
from tokenizer import Tokenizer

_STYLES = ("", "underline magenta")
_NAME_CELLS = 20
_GAP = "  "


@dataclass(frozen=True)
class Pretoken:
    """A pretoken of a text, and the ids and texts of its tokens.

    Attributes:
        text: its bytes as the model sees them, normalized.
        stop: where it ends in the original text.
    """

    text: bytes
    stop: int
    ids: tuple[int, ...]
    tokens: tuple[str, ...]


@dataclass(frozen=True)
class TokenizedText:
    """What a tokenizer makes of a text."""

    tokenizer: str
    text: bytes
    pretokens: tuple[Pretoken, ...]

    @property
    def ids(self) -> list[int]:
        """All ids."""
        return [token for pretoken in self.pretokens for token in pretoken.ids]

    @property
    def tokens(self) -> list[str]:
        """The text of each id."""
        return [token for pretoken in self.pretokens for token in pretoken.tokens]

    @property
    def title(self) -> str:
        """One line."""
        return (
            f"{self.tokenizer}: {counted(len(self.text), 'byte')}, "
            f"{counted(len(self.pretokens), 'pretoken')}, {counted(len(self.ids), 'token')}"
        )


def tokenized(tokenizer: Tokenizer, text: str) -> TokenizedText:
    """Tokenizes a text for people to look at.

    Raises:
        UnicodeEncodeError: a lone surrogate.
    """
    pretokens = tuple(
        Pretoken(one.text, one.spans[-1][1], tuple(one.ids), tuple(token_texts(tokenizer, one.ids)))
        for one in tokenizer.trace(text)
    )
    return TokenizedText(escaped(tokenizer.vocabulary.name), text.encode(), pretokens)


def print_tokens(console: Console, texts: Sequence[str], ids: Sequence[int]) -> None:
    """Tokens side by side, and their ids below."""
    console.print(joined(console, texts), soft_wrap=True)
    console.print()
    console.print(Text(" ".join(map(str, ids))), soft_wrap=not console.is_terminal)


def print_pretokens(console: Console, shown: TokenizedText) -> None:
    """A line a pretoken: its text, its tokens, their ids."""
    for pretoken in shown.pretokens:
        line = Text(_padded(visible(pretoken.text), _NAME_CELLS) + _GAP)
        line.append_text(joined(console, pretoken.tokens))
        line.append(f"{_GAP}{' '.join(map(str, pretoken.ids))}")
        console.print(line, soft_wrap=True)


def print_side_by_side(console: Console, left: TokenizedText, right: TokenizedText) -> None:
    """A line for each stretch of text between two places where both begin a new pretoken."""
    rows = list(_common_stretches(left, right))
    names = min(max((cell_len(visible(text)) for text, _, _ in rows), default=0), _NAME_CELLS)
    cells = [_cell(console, first) for _, first, _ in rows]
    width = max((cell.cell_len for cell in cells), default=0)
    console.print(
        Text(_padded("", names) + _GAP + _padded(left.tokenizer, width) + _GAP + right.tokenizer),
        soft_wrap=True,
    )
    for (text, _, second), cell in zip(rows, cells, strict=True):
        line = Text(_padded(visible(text), names) + _GAP)
        line.append_text(cell)
        line.append(" " * (width - cell.cell_len) + _GAP)
        line.append_text(_cell(console, second))
        console.print(line, soft_wrap=True)


def joined(console: Console, texts: Sequence[str]) -> Text:
    """Tokens side by side. One with a line break ends its line: the text keeps its shape."""
    result = Text()
    for number, text in enumerate(texts):
        if console.is_terminal:
            result.append(text, _STYLES[number % 2])
        else:
            result.append(text if number == 0 else SEPARATOR + text)
        if text.endswith("\\n") and number < len(texts) - 1:
            result.append("\n")
    return result


def _cell(console: Console, pretokens: Sequence[Pretoken]) -> Text:
    tokens = [token for pretoken in pretokens for token in pretoken.tokens]
    ids = [token for pretoken in pretokens for token in pretoken.ids]
    cell = Text()
    for number, token in enumerate(tokens):
        if number and not console.is_terminal:
            cell.append(SEPARATOR)
        cell.append(token, _STYLES[number % 2] if console.is_terminal else "")
    cell.append(f"{_GAP}{' '.join(map(str, ids))}")
    return cell


def _common_stretches(
    left: TokenizedText, right: TokenizedText
) -> Iterator[tuple[bytes, list[Pretoken], list[Pretoken]]]:
    """Stretches of the text that begin and end with pretokens of both, and those pretokens.

    A stretch ends where a pretoken of each ends in the original text, whatever their normalizers
    made of it; the last one holds what is left where they never end together again.
    """
    lefts, rights = list(left.pretokens), list(right.pretokens)
    start = 0
    while lefts or rights:
        first, second = [], []
        seen_first = seen_second = start
        while lefts or rights:
            if lefts and (seen_first <= seen_second or not rights):
                first.append(lefts.pop(0))
                seen_first = first[-1].stop
            else:
                second.append(rights.pop(0))
                seen_second = second[-1].stop
            if seen_first == seen_second:
                break
        stop = max(seen_first, seen_second)
        yield left.text[start:stop], first, second
        start = stop


def _padded(text: str, cells: int) -> str:
    """Padded to so many cells of a terminal; longer text stays as it is."""
    return text if cell_len(text) >= cells else set_cell_size(text, cells)
