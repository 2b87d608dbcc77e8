"""Export formats: a module each, writer beside reader, its layout drawn on top.

To add one: a module with a subclass of `ExportFormat`, and a line in `_FORMATS`.
"""

from typing import Any

import numpy as np

from tokenizer import ConfigurationError
from transforms.exports.formats.arrayrecord import ArrayRecord
from transforms.exports.formats.datatrove import Datatrove
from transforms.exports.formats.interface import ExportFormat
from transforms.exports.formats.litdata import Litdata
from transforms.exports.formats.llmc import LlmC
from transforms.exports.formats.mds import Mds
from transforms.exports.formats.megatron import Megatron
from transforms.exports.formats.npy2d import Npy2d
from transforms.exports.formats.olmo import Olmo
from transforms.exports.formats.parquet import Parquet
from transforms.exports.formats.pbin import Pbin
from transforms.exports.formats.plain import Bin, NanoGpt

__all__ = ["EXPORT_FORMATS", "ExportFormat", "dtype_for", "export_format"]

_FORMATS: tuple[ExportFormat, ...] = (
    Bin(),
    NanoGpt(),
    Megatron(),
    Olmo(),
    Datatrove(),
    LlmC(),
    Mds(),
    Litdata(),
    Pbin(),
    Parquet(),
    Npy2d(),
    ArrayRecord(),
)
EXPORT_FORMATS = {one.name: one for one in _FORMATS}


def export_format(name: str) -> ExportFormat:
    """The format of that name.

    Raises:
        ConfigurationError: an unknown one.
    """
    if name not in EXPORT_FORMATS:
        raise ConfigurationError(
            f"expected one of {', '.join(EXPORT_FORMATS)}, found {name!r:.40}", setting="format"
        )
    return EXPORT_FORMATS[name]


def dtype_for(one: ExportFormat, vocabulary_size: int) -> np.dtype[Any]:
    """The smallest dtype of a format that holds all ids of a vocabulary.

    Raises:
        ConfigurationError: none does; names the formats that can.
    """
    if (dtype := _smallest(one, vocabulary_size)) is not None:
        return dtype
    others = [name for name, other in EXPORT_FORMATS.items() if _smallest(other, vocabulary_size)]
    raise ConfigurationError(
        f"{one.name} holds ids of {' or '.join(one.dtypes)}, and the vocabulary has "
        f"{vocabulary_size:,} of them. These hold it: {', '.join(others)}",
        setting="format",
    )


def _smallest(one: ExportFormat, vocabulary_size: int) -> np.dtype[Any] | None:
    for name in one.dtypes:
        if vocabulary_size - 1 <= np.iinfo(name).max:
            return np.dtype(name)
    return None
