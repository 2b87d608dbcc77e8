"""How token ids travel between Beam stages: as they lie in memory, not pickled.

    uint32[n]                 0  ids, 4 bytes each, little-endian
    any other array           1  NumPy's own .npy form

Importing this registers the coder for `numpy.ndarray`, unless the program has registered one.
"""

import io
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
from apache_beam.coders import coders, typecoders

_IDS = np.dtype("<u4")


class TokenIdsCoder(coders.Coder):  # type: ignore[misc]
    """Arrays to bytes and back; made for one-dimensional uint32, right for all without objects."""

    def encode(self, value: npt.NDArray[Any]) -> bytes:
        """Bytes.

        Raises:
            ValueError: an array of Python objects.
        """
        if value.ndim == 1 and value.dtype == _IDS:
            return b"\0" + value.tobytes()
        file = io.BytesIO()
        np.save(file, value, allow_pickle=False)
        return b"\1" + file.getvalue()

    def decode(self, encoded: bytes) -> npt.NDArray[Any]:
        """The array; its own memory, writable."""
        if encoded[:1] == b"\0":
            ids: npt.NDArray[Any] = np.frombuffer(encoded, _IDS, offset=1).copy()
            return ids
        array: npt.NDArray[Any] = np.load(io.BytesIO(encoded[1:]), allow_pickle=False)
        return array

    def is_deterministic(self) -> bool:
        return True

    def to_type_hint(self) -> Any:
        return np.ndarray

    def __eq__(self, other: object) -> bool:
        return type(other) is TokenIdsCoder

    def __hash__(self) -> int:
        return hash(TokenIdsCoder)


class TokenizedDocumentCoder(coders.Coder):  # type: ignore[misc]
    """A document's id, whatever Beam can encode, and its ids."""

    def __init__(self) -> None:
        self._pair = coders.TupleCoder([coders.FastPrimitivesCoder(), TokenIdsCoder()])

    def encode(self, value: Any) -> bytes:
        """Bytes."""
        encoded: bytes = self._pair.encode((value.id, value.tokens))
        return encoded

    def decode(self, encoded: bytes) -> Any:
        """The TokenizedDocument."""
        from transforms.encoding_do_fns import TokenizedDocument

        return TokenizedDocument(*self._pair.decode(encoded))

    def is_deterministic(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return type(other) is TokenizedDocumentCoder

    def __hash__(self) -> int:
        return hash(TokenizedDocumentCoder)


def register(document_type: type) -> None:
    """Has Beam use these coders for arrays and for tokenized documents."""
    registry = typecoders.registry
    registry.register_coder(document_type, TokenizedDocumentCoder)
    if isinstance(registry.get_coder(np.ndarray), type(registry.get_coder(beam.typehints.Any))):
        registry.register_coder(np.ndarray, TokenIdsCoder)
