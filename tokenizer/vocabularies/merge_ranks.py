"""Vocabularies as the engine wants them: tokens numbered by the rank of their merge.

The engine merges any two tokens whose bytes together are a token, the lowest number first
(`native/vocabulary.h`). For a tiktoken table ids are such numbers. A tokenizer.json lists merges,
and there may be several that give the same token:

    merges            rank 0: a b    rank 1: ab c    rank 2: a bc    rank 3: b c
    numbers           256: ab        257: abc        258: bc

What counts is a token's *canonical* merge, the last one when the token's own bytes are merged; it
is the only one that ever happens. Which it is the engine finds out while it builds its tables. So:
number tokens by a guess, the lowest rank of the merges that give each; build; look which merges are
canonical. Where their ranks are in the order of the guess, that was it. (By induction on length:
the table of all shorter tokens being right, so is the run over a token's bytes, and with it its
last merge.) Otherwise number by what was found, leave out what no listed merge gives, and build
again. One build or two are enough for every published file that we know.

With byte fallback merges are of characters. A character that is a token is made of its bytes first:

    E2 96 81 (▁)      256: E2 96     257: E2 96 81      before all listed merges

Those artificial merges put a continuation byte after what begins with a leading byte, so they
never cross a character. Half a character that stays alone becomes the ids of its bytes.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tokenizer import _native
from tokenizer.errors import VocabularyError
from tokenizer.vocabulary import Vocabulary

MAX_TOKEN_BYTES = 1 << 16  # published ones have 1,024 at most; tables cost 100 bytes a byte
_MAX_BUILDS = 64
_NO_TOKEN = (1 << 21) - 1
# UTF-8 has no such bytes, so a vocabulary does not need tokens for them.
_NEVER_IN_TEXT = (0xC0, 0xC1, *range(0xF5, 0x100))

_Ids = npt.NDArray[np.int64]


def native_vocabulary(vocabulary: Vocabulary) -> _native.Vocabulary:
    """The engine's tables.

    Raises:
        VocabularyError: The vocabulary contradicts itself.
    """
    lengths = vocabulary.lengths()
    if (longest := int(lengths.max(initial=0))) > MAX_TOKEN_BYTES:
        raise VocabularyError(
            f"{vocabulary.name}: token {int(lengths.argmax())} has {longest:,} bytes: expected at "
            f"most {MAX_TOKEN_BYTES:,}"
        )
    try:
        if vocabulary.merges is None:
            return _native.Vocabulary(vocabulary.token_bytes, vocabulary.token_offsets)
        return _with_merges(vocabulary, vocabulary.merges)
    except ValueError as error:
        raise VocabularyError(f"{vocabulary.name}: {error}") from error


def made_by_merges(vocabulary: Vocabulary) -> npt.NDArray[np.int64]:
    """The ids that text can become in the model; some of them more than once."""
    whole = np.flatnonzero(vocabulary.lengths())
    if vocabulary.merges is None:
        return whole
    symbols = [one for ids in _symbols(vocabulary).external_ids for one in ids]
    made = [np.array(symbols, np.int64), vocabulary.merges[:, 2].astype(np.int64)]
    if vocabulary.whole_pretokens:
        never = [*vocabulary.special_tokens.values(), *vocabulary.unreachable]
        made.append(np.setdiff1d(whole, never))
    return np.concatenate(made)


@dataclass(slots=True)
class _Symbols:
    """What there is before the first merge: the 256 bytes, then characters and beginnings of some.

    tokens: the bytes of each. external_ids: those the vocabulary has for it. ids: its id where
    there is one that merges can name, else -1.
    """

    tokens: list[bytes] = field(default_factory=list)
    external_ids: list[list[int]] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)

    def add(self, token: bytes, external_ids: list[int]) -> None:
        self.tokens.append(token)
        self.external_ids.append(external_ids)
        self.ids.append(external_ids[0] if len(external_ids) == 1 else -1)


def _with_merges(vocabulary: Vocabulary, merges: npt.NDArray[np.uint32]) -> _native.Vocabulary:
    lengths = vocabulary.lengths()
    symbols = _symbols(vocabulary)
    rows = merges.astype(np.int64)
    forged = {one for ids in symbols.external_ids for one in ids} | set(rows[:, 2].tolist())
    for text, one in vocabulary.special_tokens.items():
        if one in forged:
            raise VocabularyError(
                f"special token {text!r} is also what merges make of text, which any document may "
                "hold"
            )
    keys = rows[:, 0] << 21 | rows[:, 1]
    # Of a merge that is listed twice the last counts, as in tokenizers.
    sorted_keys, last = np.unique(keys[::-1], return_index=True)
    rank_of_key = len(keys) - 1 - last
    never = np.int64(len(keys))
    ranks = np.full(lengths.size, never)
    np.minimum.at(ranks, rows[sorted(rank_of_key.tolist()), 2], np.sort(rank_of_key))
    ranks[[one for one in symbols.ids if one >= 0]] = never
    for _ in range(_MAX_BUILDS):
        order = np.argsort(ranks, kind="stable")[: int((ranks < never).sum())]
        built = _build(vocabulary, symbols, order, lengths)
        ids = np.concatenate((np.array(symbols.ids), order, np.full(lengths.size + 1, -1)))
        first = len(symbols.tokens)
        parts = built.parts()[first : first + order.size].astype(np.int64)
        known = parts[:, 0] != _NO_TOKEN
        left, right = ids[np.where(known[:, None], parts, -1)].T
        at = np.searchsorted(
            sorted_keys, key := np.where((left < 0) | (right < 0), -1, left << 21 | right)
        )
        at = np.minimum(at, max(sorted_keys.size - 1, 0))
        found = np.where(sorted_keys[at] == key, rank_of_key[at], never) if at.size else at
        if (found < never).all() and (np.diff(found) > 0).all():
            return built
        ranks[order] = found
    raise VocabularyError("its merges do not settle: they are in no order that a trainer gives")


def _symbols(vocabulary: Vocabulary) -> _Symbols:
    lengths, offsets = vocabulary.lengths(), vocabulary.token_offsets.astype(np.int64)
    symbols = _Symbols()
    no_single = set(vocabulary.unreachable)
    if vocabulary.byte_tokens is not None:
        no_single |= set(vocabulary.byte_tokens.tolist())
    single = {
        vocabulary.token_bytes[offsets[one]]: one
        for one in np.flatnonzero(lengths == 1).tolist()
        if one not in no_single
    }
    fallback = vocabulary.byte_tokens
    found: list[tuple[list[int], int]] = []
    for byte in range(256):
        if byte in single and (fallback is None or byte < 0x80):
            external = [single[byte]]
        elif fallback is not None and fallback[byte] >= 0:
            external = [int(fallback[byte])]
        elif byte in _NEVER_IN_TEXT:
            external = []
        else:
            raise VocabularyError(f"no token stands for the single byte {byte}")
        found.append((external, byte))
    # In the order of their ids: then most vocabularies are numbered as their files number them.
    for external, byte in sorted(found):
        symbols.add(bytes([byte]), external)
    if fallback is None:
        return symbols
    characters: dict[bytes, list[int]] = {}
    for one in np.flatnonzero((lengths > 1) & (lengths <= 4)).tolist():
        token = vocabulary.token_bytes[offsets[one] : offsets[one + 1]]
        if _bytes_of_character(token[0]) == len(token):
            characters[token] = [one]
            for stop in range(2, len(token)):
                characters.setdefault(token[:stop], [int(fallback[byte]) for byte in token[:stop]])
    for token in sorted(characters, key=lambda one: (len(one), one)):
        symbols.add(token, characters[token])
    return symbols


def _bytes_of_character(lead: int) -> int:
    return 1 if lead < 0xC0 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4


def _build(
    vocabulary: Vocabulary, symbols: _Symbols, order: _Ids, lengths: _Ids
) -> _native.Vocabulary:
    """`order`: ids of the tokens that merges make, the earliest first."""
    whole = np.zeros(0, np.int64)
    if vocabulary.whole_pretokens:
        left_over = lengths > 0
        left_over[[one for one in symbols.ids if one >= 0]] = False
        left_over[order] = False
        # Text must not become a special token, whatever it spells.
        left_over[[one for one in vocabulary.special_tokens.values() if one < lengths.size]] = False
        left_over[list(vocabulary.unreachable)] = False
        whole = np.flatnonzero(left_over)
    ids = np.concatenate((order, whole))
    starts = vocabulary.token_offsets.astype(np.int64)[ids]
    data = _gather(np.frombuffer(vocabulary.token_bytes, np.uint8), starts, lengths[ids])
    sizes = np.concatenate((np.array([len(one) for one in symbols.tokens]), lengths[ids]))
    of_symbols = symbols.external_ids
    counts = np.concatenate(([len(one) for one in of_symbols], np.ones(ids.size, np.int64)))
    external = np.concatenate(([one for some in of_symbols for one in some], ids))
    is_one_each = (counts == 1).all()
    is_same = is_one_each and np.array_equal(external, np.arange(external.size))
    return _native.Vocabulary(
        b"".join(symbols.tokens) + data.tobytes(),
        np.concatenate(([0], np.cumsum(sizes))).astype(np.uint64),
        len(symbols.tokens) + order.size,
        (external[:0] if is_same else external).astype(np.uint32),
        (counts[:0] if is_one_each else np.concatenate(([0], np.cumsum(counts)))).astype(np.uint32),
    )


def _gather(data: npt.NDArray[np.uint8], starts: _Ids, lengths: _Ids) -> npt.NDArray[np.uint8]:
    """data[starts[i] : starts[i] + lengths[i]] for each i, one after the other."""
    ends = np.cumsum(lengths)
    before = np.repeat(starts - (ends - lengths), lengths)
    return data[before + np.arange(int(ends[-1]) if ends.size else 0)]
