"""The engines that are compared, each as `load`, `prepare`, `encode` and `ids`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


@dataclass(frozen=True)
class Encoder:
    """An engine with a vocabulary loaded.

    prepare: an Arrow array of documents as the engine likes it; not timed. encode: of one batch
    as prepared; timed. ids: of what encode gave, all documents one after the other.
    """

    prepare: Callable[[pa.Array], Any]
    encode: Callable[[Any], Any]
    ids: Callable[[Any], npt.NDArray[Any]]


def _tokenmill(vocabulary: Path) -> Encoder:
    from tokenizer import Tokenizer

    tokenizer = Tokenizer.load(vocabulary.stem)
    return Encoder(lambda batch: batch, tokenizer.encode_batch, lambda encoded: encoded[0])


def _gigatoken(vocabulary: Path) -> Encoder:
    import awkward as ak

    from bench.bare_gigatoken import load

    tokenizer = load(str(vocabulary))
    return Encoder(
        pa.Array.to_pylist,
        lambda batch: tokenizer.encode_batch(batch, parallel=False),
        lambda encoded: np.asarray(ak.flatten(encoded)),
    )


def _tiktoken(vocabulary: Path) -> Encoder:
    from bench.bare_tiktoken import load

    encoding = load(str(vocabulary))
    return Encoder(
        pa.Array.to_pylist,
        lambda batch: encoding.encode_ordinary_batch(batch, num_threads=1),
        lambda encoded: np.concatenate([np.array(ids, np.uint32) for ids in encoded]),
    )


# Ours first. Each takes the path of a .tiktoken file that is named after its vocabulary.
ENCODERS: dict[str, Callable[[Path], Encoder]] = {
    "tokenmill": _tokenmill,
    "gigatoken": _gigatoken,
    "tiktoken": _tiktoken,
}
