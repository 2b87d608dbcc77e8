"""Which split a document is in: a function of its key and of its text, never of its place.

    --split validation=0.005,test=0.005, key: the id

    id     hash of it, 0 to 1   by key        text also in       split
    d1     0.731                train         -                  train
    d2     0.002                validation    -                  validation
    d3     0.440                train         d2                 validation   moved: same text
    null   0.118 (of its text)  train         -                  train

Documents of one key are in one split, and so are documents of one text. Where the two disagree the
text wins, and the split that is named first: what is held out is never trained on. A document moves
only when a copy of its text is held out, so that added data leaves all others where they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenizer import text_hashes
from transforms.exports.hashes import Hashes, hosts_of, mixed

TRAIN = "train"
"""The split of all documents that are in no other."""

KEYS = ("id", "host", "url", "text")
_KEY_COLUMNS = {"id": ("id",), "host": ("url",), "url": ("url",), "text": ()}

Codes = npt.NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Splitter:
    """Tells documents' splits by number: 0 is `train`, then those asked for, in their order.

    Attributes:
        shares: of the other splits, each with its name. key: one of KEYS.
        moved_texts: hashes of texts, ascending, that are not where their key says.
        moved_to: the split of each.
    """

    shares: tuple[tuple[str, float], ...] = ()
    key: str = "id"
    moved_texts: Hashes | None = None
    moved_to: Codes | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All splits, by number."""
        return (TRAIN, *(name for name, _ in self.shares))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a documents index that it looks at."""
        return (*_KEY_COLUMNS[self.key], "text_xxh3") if self.shares else ()

    def by_key(self, rows: pa.RecordBatch) -> Codes:
        """The split of each document by its key alone."""
        texts = rows.column("text_xxh3").to_numpy()
        hashes = mixed(texts)
        if columns := _KEY_COLUMNS[self.key]:
            keys: pa.Array = rows.column(columns[0])
            keys = hosts_of(keys) if self.key == "host" else keys
            named = keys.is_valid().to_numpy(zero_copy_only=False)
            hashes = np.where(named, mixed(text_hashes(keys)), hashes)
        # Splits share out the hashes from 0 on, the rest of them is `train`.
        ends = np.cumsum([share for _, share in self.shares])
        place = np.searchsorted(ends, hashes / 2.0**64, side="right")
        return np.where(place == len(ends), 0, place + 1).astype(np.int8)

    def split_of(self, rows: pa.RecordBatch) -> Codes:
        """The split of each document."""
        if not self.shares:
            return np.zeros(len(rows), np.int8)
        codes = self.by_key(rows)
        if self.moved_texts is not None and self.moved_to is not None and len(self.moved_texts):
            found, where = look_up(self.moved_texts, rows.column("text_xxh3").to_numpy())
            codes[found] = self.moved_to[where[found]]
        return codes


def look_up(ascending: Hashes, wanted: Hashes) -> tuple[npt.NDArray[np.bool_], npt.NDArray[Any]]:
    """Which of the wanted hashes are there, and where; `ascending` must not be empty."""
    where = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    return ascending[where] == wanted, where


def held_out_texts(texts: Sequence[Hashes], codes: Sequence[Codes]) -> tuple[Hashes, Codes]:
    """The texts that some document holds out, ascending, and the split that each then is in."""
    all_texts = np.concatenate([np.zeros(0, np.uint64), *texts])
    all_codes = np.concatenate([np.zeros(0, np.int8), *codes])
    order = np.lexsort((all_codes, all_texts))
    distinct, first = np.unique(all_texts[order], return_index=True)
    return distinct, all_codes[order][first]
