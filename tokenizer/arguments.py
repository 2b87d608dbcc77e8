"""What callers give a `Tokenizer`, checked: texts, ids, names of special tokens."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenizer.errors import ConfigurationError


def expect_text(text: str) -> None:
    """Raises TypeError where a text is no str."""
    if not isinstance(text, str):
        raise TypeError(f"expected a str, found {type(text).__name__}")


def array_of_texts(documents: Sequence[str]) -> pa.Array:
    """A LargeStringArray of a list of str.

    Raises:
        TypeError: It is one str.
        ValueError: It holds something else than str, or a lone surrogate.
    """
    if isinstance(documents, str | bytes):
        raise TypeError(f"expected a list of str, found one {type(documents).__name__}")
    try:
        texts = list(documents)  # a generator can be gone through once
    except TypeError as error:
        raise ValueError(f"expected a sequence of str: {error}") from error
    # Arrow takes bytes for text, and None for a null.
    if others := {kind for kind in set(map(type, texts)) if not issubclass(kind, str)}:
        names = ", ".join(sorted(kind.__name__ for kind in others))
        raise ValueError(f"expected a sequence of str, found {names}")
    try:
        return pa.array(texts, pa.large_string())
    except (pa.ArrowInvalid, UnicodeEncodeError) as error:
        raise ValueError(f"expected a sequence of str: {error}") from error


def array_of_ids(ids: npt.ArrayLike) -> npt.NDArray[Any]:
    """Integers[n], in the byte order of this machine.

    Raises:
        TypeError: They are no integers.
        ValueError: They have more than one dimension, or none.
    """
    array = np.asarray(ids)
    if array.ndim != 1:
        raise ValueError(f"expected a list of ids, found an array of shape {array.shape}")
    if array.dtype.kind not in "iu":
        if array.size:
            raise TypeError(f"ids must be integers, found {array.dtype}: {array[0]!r}, ...")
        return np.zeros(0, np.uint32)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def allowed_names(
    allowed_special: Iterable[str] | Literal["all"], special_tokens: Collection[str], name: str
) -> frozenset[str]:
    """The special tokens that a caller allows.

    Args:
        allowed_special: Their texts, or "all".
        special_tokens: Those there are.
        name: The vocabulary's, for messages.

    Raises:
        ConfigurationError: One is no special token, or a single str stands for several.
    """
    if allowed_special == "all":
        return frozenset(special_tokens)
    if isinstance(allowed_special, str):
        raise ConfigurationError(
            f"allowed_special: expected names of special tokens or 'all', found the str "
            f"{allowed_special!r}: put it into a set"
        )
    allowed = frozenset(allowed_special)
    if unknown := sorted(map(str, allowed.difference(special_tokens))):
        raise ConfigurationError(f"not special tokens of {name}: {unknown}")
    return allowed
