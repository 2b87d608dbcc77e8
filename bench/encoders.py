"""The engines that are compared, each as `load`, `prepare`, `encode` and `ids`."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bench.vocabulary import plain_path


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

    bundled = vocabulary.suffix == ".tiktoken"
    tokenizer = Tokenizer.load(vocabulary.stem if bundled else str(vocabulary))
    return Encoder(lambda batch: batch, tokenizer.encode_batch, lambda encoded: encoded[0])


def _gigatoken(vocabulary: Path) -> Encoder:
    import awkward as ak
    from gigatoken import Tokenizer

    from bench.bare_gigatoken import load

    if vocabulary.suffix == ".tiktoken":
        tokenizer = load(str(vocabulary))
    else:
        tokenizer = Tokenizer.from_json(plain_path(vocabulary).read_bytes())
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


def _tokenizers(vocabulary: Path) -> Encoder:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(plain_path(vocabulary)))
    return Encoder(
        pa.Array.to_pylist,
        lambda batch: tokenizer.encode_batch_fast(batch, add_special_tokens=False),
        lambda encoded: np.concatenate([np.array(one.ids, np.uint32) for one in encoded]),
    )


# Each takes the path of a file that bench/vocabulary.py has written.
ENCODERS: dict[str, Callable[[Path], Encoder]] = {
    "tokenmill": _tokenmill,
    "gigatoken": _gigatoken,
    "tiktoken": _tiktoken,
    "tokenizers": _tokenizers,
}


def contestants_of(vocabulary: Path) -> list[str]:
    """Ours first, the fastest peer, and the vocabulary's own tokenizer."""
    own = "tiktoken" if vocabulary.suffix == ".tiktoken" else "tokenizers"
    return ["tokenmill", "gigatoken", own]
