"""Texts that know which bytes of the original each of their characters stands for.

    original      C  a  f  e  U+0301      bytes 0:1  1:2  2:3  3:4  4:6
    after NFC     C  a  f  é                    0:1  1:2  2:3  3:4
    after " " -> "▁" and a "▁" in front of it:
                  ▁  C  a  f  é           0:1  0:1  1:2  2:3  3:4

The rules are those of Hugging Face tokenizers (`NormalizedString`), so that offsets are the same:

- A character that replaces others stands for the first of them: é above for e alone. What was
  taken away after it, U+0301, belongs to no character any more.
- A character that is inserted stands for what the one before it does.
- What a `Replace` puts in the place of a match stands for the last character of the match.
- What is put in front of a text stands for its first character.

Slow (Python, a character at a time) and for tracing alone: encoding uses `normalizers`, whose steps
do the same to whole batches; tests compare the two.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from unicodedata import combining, normalize

import numpy as np
import numpy.typing as npt

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class AlignedText:
    """A text, and for each of its characters the first byte of the original and the one after."""

    text: str
    spans: list[Span]

    @staticmethod
    def of(text: str, start: int = 0) -> "AlignedText":
        """A text of the original, of which nothing is changed yet; its first byte is `start`."""
        spans, at = [], start
        for character in text:
            end = at + len(character.encode())
            spans.append((at, end))
            at = end
        return AlignedText(text, spans)

    def part(self, begin: int, end: int) -> "AlignedText":
        """Its characters from `begin` to `end`."""
        return AlignedText(self.text[begin:end], self.spans[begin:end])

    def replaced(self, pattern: str, content: str) -> "AlignedText":
        """Every occurrence of `pattern`, from the left, becomes `content`."""
        spans: list[Span] = []
        begin = 0
        while (found := self.text.find(pattern, begin)) >= 0:
            end = found + len(pattern)
            spans += self.spans[begin:found] + [self.spans[end - 1]] * len(content)
            begin = end
        spans += self.spans[begin:]
        return AlignedText(self.text.replace(pattern, content), spans)

    def prepended(self, prefix: str) -> "AlignedText":
        """With `prefix` in front; the text is not empty."""
        return AlignedText(prefix + self.text, [self.spans[0]] * len(prefix) + self.spans)

    def changed(self, bounds: Iterable[int], form: str) -> "AlignedText":
        """Each part bounds[0]:bounds[1], bounds[2]:bounds[3], ... in a Unicode form."""
        texts: list[str] = []
        spans: list[Span] = []
        done = 0
        edges = iter(bounds)
        for begin, end in zip(edges, edges, strict=True):
            texts.append(self.text[done:begin])
            spans += self.spans[done:begin]
            at = begin
            for character, change in _changes(form, self.text[begin:end]):
                texts.append(character)
                if change > 0:
                    spans.append(self.spans[at - 1] if at else (self.spans[0][0],) * 2)
                else:
                    spans.append(self.spans[at])
                    at += 1 - change
            done = end
        return AlignedText("".join([*texts, self.text[done:]]), spans + self.spans[done:])

    def byte_spans(self, original: bytes) -> npt.NDArray[np.int64]:
        """int64[n, 2]: the span of each byte of the text.

        A byte of a character that is as it was stands for one byte of the original; one of a
        changed character for all bytes that the character stands for.
        """
        spans: list[Span] = []
        for character, (start, end) in zip(self.text, self.spans, strict=True):
            utf8 = character.encode()
            if original[start:end] == utf8:
                spans += [(at, at + 1) for at in range(start, end)]
            else:
                spans += [(start, end)] * len(utf8)
        return np.array(spans, np.int64).reshape(-1, 2)


def _changes(form: str, text: str) -> Iterator[tuple[str, int]]:
    """The text in a Unicode form, as tokenizers' normalizer reports it.

    With each character comes 1 if it is inserted, 0 if it replaces one, -k if it replaces one and k
    more are taken away after it.

    >>> list(_changes("NFC", "e\\u0301")), list(_changes("NFD", "\\u00e9"))
    ([('é', -1)], [('e', 0), ('\u0301', 1)])
    """
    decomposed = _decomposed("NFKD" if "K" in form else "NFD", text)
    return iter(_composed(decomposed)) if form.endswith("C") else iter(decomposed)


def _decomposed(form: str, text: str) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    ordered = 0  # before here nothing moves any more
    for character in text:
        for number, one in enumerate(normalize(form, character)):  # type: ignore[arg-type]
            if combining(one) == 0:
                found[ordered:] = sorted(found[ordered:], key=lambda pair: combining(pair[0]))
                ordered = len(found) + 1
            found.append((one, min(number, 1)))
    found[ordered:] = sorted(found[ordered:], key=lambda pair: combining(pair[0]))
    return found


def _composed(decomposed: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Unicode's composition: a starter takes in what follows it and is not blocked from it."""
    found: list[tuple[str, int]] = []
    starter = -1  # where in `found` the last one is
    blocked = -1  # the combining class of what stands between, or -1
    for character, change in decomposed:
        own = combining(character)
        if starter >= 0 and (blocked < 0 or blocked < own):
            before, others = found[starter]
            composite = normalize("NFC", before + character)
            if len(composite) == 1:
                found[starter] = (composite, others + change - 1)
                continue
        if own == 0:
            starter, blocked = len(found), -1
        else:
            blocked = own
        found.append((character, change))
    return found
