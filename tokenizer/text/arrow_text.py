"""Arrow string arrays as the engine takes texts: one buffer, and int64 offsets into it."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def offsets_and_data(texts: pa.Array) -> tuple[npt.NDArray[np.int64], Any]:
    """int64[d + 1] offsets of d texts, and the buffer they are in; nothing of it is copied.

    Raises:
        ValueError: An array that is no StringArray or LargeStringArray.
    """
    if pa.types.is_string(texts.type):
        offset_type: npt.DTypeLike = np.int32
    elif pa.types.is_large_string(texts.type):
        offset_type = np.int64
    else:
        raise ValueError(f"expected an Arrow string array, found {texts.type}")
    _, offsets, data = texts.buffers()
    if len(texts) == 0:
        return np.zeros(1, np.int64), b""
    window = np.frombuffer(offsets, offset_type)[texts.offset : texts.offset + len(texts) + 1]
    return window.astype(np.int64), data if data is not None else b""


def texts_of(offsets: npt.NDArray[np.int64], data: Any) -> pa.Array:
    """The other way: a LargeStringArray over the same buffer."""
    buffers = [
        None,
        pa.py_buffer(offsets),
        data if isinstance(data, pa.Buffer) else pa.py_buffer(data),
    ]
    return pa.Array.from_buffers(pa.large_string(), len(offsets) - 1, buffers)
