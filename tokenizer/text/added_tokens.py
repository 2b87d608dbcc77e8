"""Added tokens: whole texts that are cut out of a document before anything else looks at it.

    "a<think>b"   ──►   a | <think> | b

Two ways to the same cut: the engine's, for batches of documents, and a plain one, for callers that
allow special tokens and for the rare vocabularies whose tokens want white space around them. As in
Hugging Face tokenizers the leftmost match counts, of several there the longest; a special token
that is not allowed is passed over and stays text, and so does what it overlaps.
"""

import dataclasses
import functools
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenizer import _native
from tokenizer.split.unicode_properties import white_space, word
from tokenizer.text.normalizers import Step, normalize_one
from tokenizer.text.segments import TEXT, Segments
from tokenizer.vocabulary import AddedToken


class AddedTokens:
    """A set of added tokens that is looked for in one go.

    Args:
        levels: What the first leaves over, the second looks at, and so on.
    """

    def __init__(self, *levels: Collection[AddedToken]) -> None:
        self._levels = [{token.text: token for token in level} for level in levels]
        self.engine = _native.AddedTokens(
            [
                [(token.text, token.id, token.special) for token in level.values()]
                for level in self._levels
                if level
            ]
        )
        #: Whether a match may take white space with it, or depends on its neighbours.
        self.needs_care = any(
            (token.single_word or token.lstrip or token.rstrip) and not token.special
            for level in self._levels
            for token in level.values()
        )

    @functools.cached_property
    def matched(self) -> tuple[str, ...]:
        """The texts that are cut out wherever they stand: those that are not special."""
        return tuple(
            text for level in self._levels for text, token in level.items() if not token.special
        )

    def __bool__(self) -> bool:
        return any(self._levels)

    def scan(self, offsets: npt.NDArray[np.int64], data: Any) -> tuple[Segments, Any, Any]:
        """Documents cut into segments; special-token texts and validity of each."""
        specials, valid, first, segment_offsets, kinds = self.engine.scan(data, offsets)
        segments = Segments(data, segment_offsets, kinds, first)
        if self.needs_care and (kinds >= 0).any():
            segments = self._with_care(segments)
        return segments, specials, valid

    def cut(self, text: str, allowed: Collection[str] = ()) -> list[tuple[str, int]]:
        """Segments of `text` and their kinds. allowed: special tokens that are matched."""
        segments = [(text, TEXT)]
        for level in self._levels:
            segments = [
                part
                for segment, kind in segments
                for part in (_cut(level, segment, allowed) if kind == TEXT else [(segment, kind)])
            ]
        return segments

    def _with_care(self, segments: Segments) -> Segments:
        """The same documents, those with added tokens cut again with an eye on what is around."""
        data = memoryview(segments.data)
        offsets, kinds, first = [int(segments.offsets[0])], [], [0]
        for begin, end in zip(
            segments.first[:-1].tolist(), segments.first[1:].tolist(), strict=True
        ):
            if (segments.kinds[begin:end] >= 0).any():
                text = bytes(data[segments.offsets[begin] : segments.offsets[end]]).decode()
                for segment, kind in self.cut(text):
                    offsets.append(offsets[-1] + len(segment.encode()))
                    kinds.append(kind)
            else:
                offsets += segments.offsets[begin + 1 : end + 1].tolist()
                kinds += segments.kinds[begin:end].tolist()
            first.append(len(kinds))
        return Segments(
            segments.data,
            np.array(offsets, np.int64),
            np.array(kinds, np.int32),
            np.array(first, np.int64),
        )


def added_tokens_of(
    tokens: Collection[AddedToken], normalizer: tuple[Step, ...]
) -> tuple[AddedTokens, AddedTokens]:
    """What is looked for in documents, and what in their segments once they are normalized."""
    raw = [token for token in tokens if not token.normalized]
    late = [token for token in tokens if token.normalized]
    if not normalizer:
        return AddedTokens(raw, late), AddedTokens()
    normalized = [
        dataclasses.replace(token, text=normalize_one(normalizer, token.text)) for token in late
    ]
    return AddedTokens(raw), AddedTokens(normalized)


def _cut(
    tokens: Mapping[str, AddedToken], text: str, allowed: Collection[str]
) -> Iterator[tuple[str, int]]:
    start = 0
    for match in _alternatives(tuple(tokens)).finditer(text) if tokens else ():
        token = tokens[match[0]]
        begin, end = match.span()
        if token.special and token.text not in allowed:
            continue
        if token.single_word and (_is_word(text[:begin][-1:]) or _is_word(text[end : end + 1])):
            continue
        if token.lstrip:
            begin = max(start, len(text[:begin].rstrip(_blanks())))
        if token.rstrip:
            end = len(text) - len(text[end:].lstrip(_blanks()))
        if start < begin:
            yield text[start:begin], TEXT
        yield text[max(start, begin) : end], token.id
        start = end
    if start < len(text):
        yield text[start:], TEXT


@functools.lru_cache(maxsize=16)
def _alternatives(texts: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, sorted(texts, key=len, reverse=True))))


@functools.cache
def _blanks() -> str:
    bounds = white_space().bounds.tolist()
    ranges = zip(bounds[::2], bounds[1::2], strict=True)
    return "".join(chr(one) for start, stop in ranges for one in range(start, stop))


def _is_word(character: str) -> bool:
    return bool(character) and ord(character) in word()
