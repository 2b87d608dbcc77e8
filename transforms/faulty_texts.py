"""Texts of any origin as one Arrow array, and why those are rejects that are no text.

["a", None, 5, "\\ud800"]  ->  ["a", "", "", ""]
                               {1: null-text, 2: text-not-a-string, 3: invalid-utf8}
"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from transforms.documents import Reason


def is_text(array: Any) -> bool:
    """Whether an Arrow array is one of strings."""
    return bool(pa.types.is_string(array.type) or pa.types.is_large_string(array.type))


def texts_and_faults(values: Sequence[Any]) -> tuple[pa.Array, dict[int, Reason]]:
    """The texts, a LargeStringArray, empty where one is at fault; and why, by its number."""
    texts: list[bytes] = []
    faults: dict[int, Reason] = {}
    for number, value in enumerate(values):
        text = b""
        if value is None:
            faults[number] = Reason.NULL_TEXT
        elif not isinstance(value, str):
            faults[number] = Reason.TEXT_NOT_A_STRING
        else:
            try:
                text = value.encode()
            except UnicodeEncodeError:  # a lone surrogate
                faults[number] = Reason.INVALID_UTF8
        texts.append(text)
    return pa.array(texts, pa.large_binary()).view(pa.large_string()), faults
