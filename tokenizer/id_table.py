"""`IdTable`: what each id of a vocabulary stands for, and which ids can stand inside a document.

             spelled      decoded   made   added   in documents
Llama 2
278          ▁the          the       yes    no      yes
13           \\n           \\n        yes    no      yes       a byte: <0x0A> in the file
2            </s>         </s>      no     no      no        special
Qwen 3
151667       <think>      <think>   no     yes     yes       an added token that is not special
151669       (nothing)              no     no      no        a gap in the numbering
"""

import functools
import itertools
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tokenizer import _native
from tokenizer.text.normalizers import TO_MARKS
from tokenizer.vocabularies.merge_ranks import made_by_merges
from tokenizer.vocabulary import Vocabulary

_Flags = npt.NDArray[np.bool_]


class IdTable:
    """Facts of each id, by id; each is found out when it is asked for first."""

    def __init__(self, vocabulary: Vocabulary, has_marks: bool) -> None:
        """has_marks: blanks became U+2581, so that decoding makes blanks of those."""
        self._vocabulary = vocabulary
        self._has_marks = has_marks

    @functools.cached_property
    def made(self) -> _Flags:
        """bool[vocabulary size]: ids that the model makes of text."""
        made = np.zeros(self._vocabulary.size, np.bool_)
        made[made_by_merges(self._vocabulary)] = True
        return made

    @functools.cached_property
    def added(self) -> _Flags:
        """bool[vocabulary size]: added tokens that are found in documents: not special ones."""
        added = np.zeros(self._vocabulary.size, np.bool_)
        added[[token.id for token in self._vocabulary.added_tokens if not token.special]] = True
        return added

    @functools.cached_property
    def in_documents(self) -> _Flags:
        """bool[vocabulary size]: ids that can stand inside a document."""
        return self.made | self.added

    @functools.cached_property
    def spelled(self) -> pa.Array:
        """What each id spells in the text that the model sees, a LargeBinaryArray; null: nothing.

        An added token spells its text, unless the model makes its id of other bytes.
        """
        vocabulary = self._vocabulary
        data, offsets = vocabulary.token_bytes, vocabulary.token_offsets.tolist()
        texts: list[bytes | None] = [
            data[begin:end] or None for begin, end in itertools.pairwise(offsets)
        ]
        texts += [None] * (vocabulary.size - len(texts))
        for token in vocabulary.added_tokens:
            if not (self.made[token.id] and texts[token.id]):
                texts[token.id] = token.text.encode()
        return pa.array(texts, pa.large_binary())

    @functools.cached_property
    def spelled_lengths(self) -> npt.NDArray[np.int64]:
        """int64[vocabulary size], in bytes."""
        return _lengths(self.spelled)

    @functools.cached_property
    def decoded(self) -> pa.Array:
        """What each id decodes to, as `spelled`."""
        if not self._has_marks:
            return self.spelled
        return pc.replace_substring(self.spelled, TO_MARKS.content.encode(), b" ")

    @functools.cached_property
    def decoder(self) -> _native.TokenBytes:
        """`decoded`, as the engine has it."""
        _, offsets, data = pc.fill_null(self.decoded, b"").buffers()
        bounds = np.frombuffer(offsets, np.uint64)[: self._vocabulary.size + 1]
        return _native.TokenBytes(bytes(data), bounds)

    @functools.cached_property
    def decoded_lengths(self) -> npt.NDArray[np.int64]:
        """int64[vocabulary size], in bytes."""
        return _lengths(self.decoded)

    @functools.cached_property
    def is_token(self) -> _Flags:
        """bool[vocabulary size]: ids that are no gap in the numbering."""
        return self.spelled_lengths > 0

    @functools.cached_property
    def by_text(self) -> Mapping[bytes, int]:
        """The id of each added token's text, and of all other tokens' bytes."""
        texts = self.spelled.to_pylist()
        found = {text: one for one, text in enumerate(texts) if text is not None}
        return found | {token.text.encode(): token.id for token in self._vocabulary.added_tokens}

    @functools.cached_property
    def changed_added_tokens(self) -> tuple[str, ...]:
        """Texts that are found in documents and do not decode to what was found."""
        return tuple(
            token.text
            for token in self._vocabulary.added_tokens
            if not token.special
            if token.lstrip or token.rstrip or self.decoded[token.id].as_py() != token.text.encode()
        )


def _lengths(texts: pa.Array) -> npt.NDArray[np.int64]:
    lengths: npt.NDArray[np.int64] = pc.fill_null(pc.binary_length(texts), 0).to_numpy()
    return lengths
