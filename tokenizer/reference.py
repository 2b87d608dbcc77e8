"""The slow, obvious encoder that the fast one has to equal. For tests and bench only.

`regex` cuts the text, and in each piece the adjacent pair of lowest rank is merged until no pair
has a rank: the definition of byte-level BPE (Sennrich et al. 2016, Radford et al. 2019) as tiktoken
implements it, written to be read.
"""

from itertools import pairwise

import regex  # type: ignore[import-untyped, unused-ignore]


class ReferenceEncoder:
    """Text to token ids, in quadratic time.

    Args:
        pattern: A split pattern that `regex` compiles; text that it does not match gives no
            ids.
        ranks: Token to id; a lower id is merged earlier, as in a .tiktoken file. Has all single
            bytes.
        special_tokens: Text to id, for `decode` alone: in a text to encode they are plain text.
        merges: The pairs that merge, the first one first, as in a tokenizer.json; None: all
            pairs whose bytes together are a token, by rank.
        whole_piece_first: A piece that is a token by itself is that token, even where merging
            would not arrive at it. tiktoken does so; a tokenizer.json says `ignore_merges`.
    """

    def __init__(
        self,
        pattern: str,
        ranks: dict[bytes, int],
        special_tokens: dict[str, int],
        whole_piece_first: bool = True,
        merges: list[tuple[bytes, bytes]] | None = None,
    ) -> None:
        self._pieces = regex.compile(pattern)
        self._ranks = ranks
        self._whole_piece_first = whole_piece_first
        self._merges = None if merges is None else {pair: i for i, pair in enumerate(merges)}
        self._tokens = {rank: token for token, rank in ranks.items()}
        self._tokens.update((number, text.encode()) for text, number in special_tokens.items())

    def encode_ordinary(self, text: str) -> list[int]:
        """The ids of `text`, special tokens in it read as plain text.

        >>> ranks = {b"a": 0, b"b": 1, b"ab": 2, b"abb": 3}
        >>> ReferenceEncoder("[ab]+", ranks, {}).encode_ordinary("abbab-b")
        [3, 2, 1]
        """
        ids: list[int] = []
        for piece in self._pieces.finditer(text):
            ids += self._encode_piece(piece[0].encode())
        return ids

    def decode(self, ids: list[int]) -> bytes:
        """The bytes that `ids` stand for; KeyError for an id that is none."""
        return b"".join(self._tokens[one] for one in ids)

    def _encode_piece(self, piece: bytes) -> list[int]:
        if self._whole_piece_first and piece in self._ranks:
            return [self._ranks[piece]]
        parts = [piece[i : i + 1] for i in range(len(piece))]
        while True:
            ranks = [self._rank(left, right) for left, right in pairwise(parts)]
            known = [(rank, at) for at, rank in enumerate(ranks) if rank is not None]
            if not known:
                return [self._ranks[part] for part in parts]
            # Of pairs of equal rank the leftmost is merged first.
            at = min(known)[1]
            parts[at : at + 2] = [parts[at] + parts[at + 1]]

    def _rank(self, left: bytes, right: bytes) -> int | None:
        if self._merges is not None:
            return self._merges.get((left, right))
        return self._ranks.get(left + right)
