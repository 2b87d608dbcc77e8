"""Documents cut into segments: texts, and the added tokens between them.

"a<think>b", "\\xff", "c"   ──►   kinds    TEXT  151667   TEXT  NOTHING  TEXT
                                  data     a     <think>  b     \\xff     c
                                  first    0                    3        4     5
"""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenizer.text.arrow_text import offsets_and_data, texts_of
from tokenizer.text.normalizers import Step, apply_steps

TEXT, NOTHING = -1, -2  # kinds of segments; an id is an added token. As in native/added_tokens.h


@dataclasses.dataclass(frozen=True)
class Segments:
    """d documents as s segments, one after the other.

    Attributes:
        offsets: int64[s + 1] into `data`.
        kinds: int32[s]: TEXT, NOTHING (not UTF-8) or an id.
        first: int64[d + 1], where the segments of each document begin.
    """

    data: Any
    offsets: npt.NDArray[np.int64]
    kinds: npt.NDArray[np.int32]
    first: npt.NDArray[np.int64]

    @staticmethod
    def of(documents: list[list[tuple[str, int]]]) -> "Segments":
        """Of the text and the kind of each segment of each document."""
        texts = [text.encode() for document in documents for text, _ in document]
        return Segments(
            b"".join(texts),
            _bounds([len(text) for text in texts]),
            np.array([kind for document in documents for _, kind in document], np.int32),
            _bounds([len(document) for document in documents]),
        )

    def texts(self) -> pa.Array:
        """A LargeStringArray of the segments of kind TEXT."""
        texts = texts_of(self.offsets, self.data)
        is_text = self.kinds == TEXT
        return texts if is_text.all() else texts.filter(pa.array(is_text))

    def with_steps(self, steps: tuple[Step, ...]) -> "Segments":
        """The same, its texts after all steps; the other segments have no bytes any more."""
        is_text = self.kinds == TEXT
        is_first = self._starts_document()[is_text]
        offsets, data = offsets_and_data(apply_steps(steps, self.texts(), is_first))
        sizes = np.zeros(self.kinds.size, np.int64)
        sizes[is_text] = np.diff(offsets)
        return dataclasses.replace(self, data=data, offsets=offsets[0] + _bounds(sizes))

    def with_texts_cut(self, cut: "Segments") -> "Segments":
        """The same, each text cut once more: `cut` has the texts as its documents."""
        is_text = self.kinds == TEXT
        counts = np.ones(self.kinds.size, np.int64)
        counts[is_text] = np.diff(cut.first)
        inside = np.repeat(is_text, counts)
        kinds = np.repeat(self.kinds, counts)
        sizes = np.zeros(kinds.size, np.int64)
        kinds[inside], sizes[inside] = cut.kinds, np.diff(cut.offsets)
        offsets = cut.offsets[0] + _bounds(sizes)
        return Segments(cut.data, offsets, kinds, _bounds(counts)[self.first])

    def _starts_document(self) -> npt.NDArray[np.bool_]:
        """bool[s]: whether a segment is the first of its document."""
        starts = np.zeros(self.kinds.size + 1, np.bool_)
        starts[self.first[:-1]] = True
        return starts[:-1]


def _bounds(lengths: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """int64[n + 1]: where each of n things begins when they stand one after the other."""
    return np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
