"""`llmc`: the files of llm.c and modded-nanogpt, tokens/tokens_train_000000.bin.

    ┌──────────── 256 × int32 ────────────┬───────────────────────────┐
    │ magic, version, tokens, 0, 0, ... 0 │ id id id ...  u16 or u32  │
    └─────────────────────────────────────┴───────────────────────────┘

    GPT-2     20240520, 1, u16
    Llama 3   20240801, 7, u32

The token that parts documents stands before each. The count is an int32, so a shard has less
than 2^31 ids.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from transforms.errors import MismatchError
from transforms.exports.formats.interface import (
    ExportFormat,
    ExportWriter,
    Ids,
    Lengths,
    ShardShape,
)
from transforms.exports.formats.plain import PlainWriter
from transforms.exports.formats.raw_ids import expect_size, read_chunks, read_exactly

_HEADER_BYTES = 1024
_MAGIC = {2: (20240520, 1), 4: (20240801, 7)}


class LlmC(ExportFormat):
    """One header before raw ids."""

    name = "llmc"
    has_documents = False
    end_of_text = "before"
    max_shard_tokens = (1 << 31) - 1

    def file_names(self, split: str, number: int) -> tuple[str, ...]:
        return (f"tokens_{split}_{number:06d}.bin",)

    def create(self, paths: Sequence[str], shape: ShardShape) -> ExportWriter:
        return PlainWriter(paths[0], _header(shape))

    def read(self, paths: Sequence[str], shape: ShardShape) -> Iterator[tuple[Ids, Lengths | None]]:
        if read_exactly(paths[0], 0, _HEADER_BYTES) != _header(shape):
            raise MismatchError(f"not the header of {shape.tokens} tokens of {shape.dtype.str}")
        expect_size(paths[0], _HEADER_BYTES + shape.tokens * shape.dtype.itemsize)
        yield from read_chunks(paths[0], shape.dtype, _HEADER_BYTES, shape.tokens)

    def ids_at(self, shape: ShardShape) -> int:
        return _HEADER_BYTES


def _header(shape: ShardShape) -> bytes:
    header = np.zeros(_HEADER_BYTES // 4, "<i4")
    header[:3] = (*_MAGIC[shape.dtype.itemsize], shape.tokens)
    return header.tobytes()
