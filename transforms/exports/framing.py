"""Where the end of text stands in an export: the build has its own way, and trainers have theirs.

    the build    [begin] id id id [end]         with or without either
    before       [begin or end] id id id        llm.c: what parts documents comes first
    after        [begin] id id id [end]
    none         [begin] id id id
    as-built     whatever the build has

`before` puts no end of text before a begin of text: that parts documents already, as the ids of
Llama 3 in llm.c do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenizer import ConfigurationError

PLACES = ("before", "after", "none", "as-built")


@dataclass(frozen=True, slots=True)
class Framing:
    """How the ids of a document change.

    Attributes:
        drops_last: the build's end of text goes.
        before, after: what is added there; None: nothing.
    """

    drops_last: bool = False
    before: int | None = None
    after: int | None = None

    @property
    def more(self) -> int:
        """How many ids a document grows by; may be negative."""
        return (self.before is not None) + (self.after is not None) - self.drops_last

    def apply(
        self, ids: npt.NDArray[Any], lengths: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
        """The ids of documents as they are exported, and how many each has then.

        >>> ids, lengths = np.array([7, 8, 0, 9, 0]), np.array([3, 2])
        >>> Framing(drops_last=True, before=0).apply(ids, lengths)[0].tolist()
        [0, 7, 8, 0, 9]
        """
        if self.drops_last:
            kept = np.ones(len(ids), np.bool_)
            kept[np.cumsum(lengths) - 1] = False
            ids, lengths = ids[kept], lengths - 1
        if self.before is not None:
            ids = np.insert(ids, np.cumsum(lengths) - lengths, self.before)
            lengths = lengths + 1
        if self.after is not None:
            ids = np.insert(ids, np.cumsum(lengths), self.after)
            lengths = lengths + 1
        return ids, lengths


def make_framing(
    place: str, begin_of_text: int | None, end_of_text: int | None, vocabulary_end: int | None
) -> Framing:
    """The change that puts the end of text where it is wanted.

    Args:
        place: one of PLACES.
        begin_of_text, end_of_text: the ids around each document of the build; None: none.
        vocabulary_end: the vocabulary's own end of text; None where it has none.

    Raises:
        ConfigurationError: there is no token that parts documents.
    """
    if place == "as-built":
        return Framing()
    drops_last = end_of_text is not None
    if place == "none":
        return Framing(drops_last)
    if place == "before" and begin_of_text is not None:
        return Framing(drops_last)
    token = vocabulary_end if end_of_text is None else end_of_text
    if token is None:
        raise ConfigurationError(
            f"{place} asks for an end of text, and neither build nor vocabulary has one: say "
            "none or as-built",
            setting="end_of_text",
        )
    if place == "before":
        return Framing(drops_last, before=token)
    return Framing() if drops_last else Framing(after=token)


def framing_of_settings(described: Mapping[str, Any]) -> Framing:
    """The Framing that an export's settings describe."""
    return Framing(**described["framing"])
