"""XXH3-64, by which a text is known again."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tokenizer import _native
from tokenizer.text.arrow_text import offsets_and_data


def text_hashes(texts: pa.Array) -> npt.NDArray[np.uint64]:
    """uint64[d]: XXH3-64, seed 0, of the UTF-8 bytes of each of d texts; without the GIL.

    Args:
        texts: A StringArray or LargeStringArray; a null counts as an empty text.

    Raises:
        ValueError: An array of another type.
    """
    offsets, data = offsets_and_data(pc.fill_null(texts, "") if texts.null_count else texts)
    return _native.text_hashes(data, offsets)
