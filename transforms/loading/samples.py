"""Samples: windows of a corpus by number, as pairs of what a model sees and what it is to say.

    ids                10 11 12 13 14 15 16 17 18 ...        sequence_length 4
    sample 0   input   10 11 12 13      target   11 12 13 14
    sample 1   input   14 15 16 17      target   15 16 17 18

A window begins where the one before it ends, so in an epoch each id is a target once; of the first
id, and of what is left at the end, none is made. Sequences that an export has packed, of S ids, are
a sample each, of S - 1 pairs: export with 4,097 to train on 4,096.
"""

import operator
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from tokenizer import ConfigurationError
from transforms.loading.stream import TokenSource, TokenStream

DTYPES = ("int64", "int32", "uint32", "uint16")


class Batch:
    """Some samples: pairs of ids, and which documents they are of.

        input, target = batch

    Attributes:
        input, target: [b, L], C order, of the dtype that was asked for; target is input shifted
            by one.
        samples: int64[b], their numbers in the corpus.
        next_sample: where the loader goes on after this batch; see `Batches.state_dict`.

    What follows is computed when it is first asked for; L ids of b rows are b * L ids in a line.
    """

    def __init__(
        self,
        stream: TokenStream,
        begins: npt.NDArray[np.int64],
        pair: tuple[npt.NDArray[Any], npt.NDArray[Any]],
        samples: npt.NDArray[np.int64],
        next_sample: int = 0,
    ) -> None:
        self._stream = stream
        self._begins = begins
        self.input, self.target = pair
        self.samples = samples
        self.next_sample = next_sample

    def __iter__(self) -> Any:
        return iter((self.input, self.target))

    def __repr__(self) -> str:
        return f"Batch of {self.input.shape} {self.input.dtype}, next_sample={self.next_sample}"

    @cached_property
    def _segments(
        self,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        return self._stream.segments.within(self._begins, self.input.shape[1])

    @property
    def cu_seqlens(self) -> npt.NDArray[np.int32]:
        """int32[m + 1]: where each document begins among the b * L ids of input, and the end.

        Every row begins one; padding counts as a document. It is what attention over sequences of
        several lengths takes.
        """
        return self._segments[0].astype(np.int32)

    @property
    def documents(self) -> npt.NDArray[np.int64]:
        """int64[m]: which document each of those is: `corpus[number]` where it is 0 or more.

        -1 is padding: `corpus[-1]` would be the last document.
        """
        return self._segments[1]

    @property
    def segment_ids(self) -> npt.NDArray[np.int32]:
        """int32[b, L]: 0 for the ids of the first of them, 1 for those of the second, ..."""
        sizes = np.diff(self._segments[0])
        return np.repeat(np.arange(len(sizes), dtype=np.int32), sizes).reshape(self.input.shape)

    @property
    def positions(self) -> npt.NDArray[np.int32]:
        """int32[b, L]: 0 at the first id of each of them in a row, then 1, 2, ..."""
        bounds = self._segments[0]
        every = np.arange(self.input.size) - np.repeat(bounds[:-1], np.diff(bounds))
        return every.astype(np.int32).reshape(self.input.shape)

    @property
    def loss_mask(self) -> npt.NDArray[np.bool_]:
        """bool[b, L]: whether a target is of the same document as its input, and no padding."""
        bounds, numbers, _ = self._stream.segments.within(self._begins, self.input.shape[1] + 1)
        line = np.repeat(np.arange(len(numbers)), np.diff(bounds))
        every = line.reshape(len(self.input), -1)
        found: npt.NDArray[np.bool_] = every[:, 1:] == every[:, :-1]
        return found & (numbers[every[:, 1:]] >= 0)


class Samples(Sequence[dict[str, npt.NDArray[Any]]]):
    """The samples of a corpus in order, by number: a random-access source, as grain takes it.

        samples = tokenmill.open("shards").samples(sequence_length=1024)
        samples[7]["input"], samples[7]["target"]       # int64[1024] each
        grain.MapDataset.source(samples).shuffle(seed=1).batch(8)
        DataLoader(samples.torch(), batch_size=8, shuffle=True)

    Picklable. Memory: some 256 maps, and with documents 8 bytes for each of the corpus.
    """

    def __init__(
        self,
        source: TokenSource,
        sequence_length: int | None = None,
        *,
        documents: bool = False,
        dtype: str = "int64",
    ) -> None:
        """Opens nothing yet.

        Args:
            source: of the ids.
            sequence_length: L, ids of input and of target. None: of a packed export, one less than
                its sequences have.
            documents: each sample also has `segment_ids` and `positions`, int32[L], and
                `loss_mask`, bool[L], as those of `Batch`.
            dtype: of input and target: int64, int32, uint32 or uint16.

        Raises:
            ConfigurationError: a length that can not be, or a dtype that can not hold the ids.
        """
        self._stream = TokenStream(source)
        self.sequence_length, self._stride = _lengths(source, sequence_length)
        self._has_documents = documents
        self._dtype = _dtype(source, dtype)
        # A packed sequence has its last target in itself; a window takes it from the next one.
        overlap = self.sequence_length + 1 - self._stride
        self._count = max(len(self._stream) - overlap, 0) // self._stride
        if not self._count:
            raise ConfigurationError(
                f"the corpus has {len(self._stream):,} ids, which is less than one sample",
                setting="sequence_length",
            )

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        # A checkpoint of grain holds it: no address, no path.
        return (
            f"Samples(source={self.identity!r}, sequence_length={self.sequence_length}, "
            f"documents={self._has_documents}, dtype={self._dtype.name!r})"
        )

    @property
    def identity(self) -> str:
        """What the ids are, as a digest."""
        return self._stream.source.identity

    @overload
    def __getitem__(self, index: int) -> dict[str, npt.NDArray[Any]]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, npt.NDArray[Any]]]: ...
    def __getitem__(
        self, index: int | slice
    ) -> dict[str, npt.NDArray[Any]] | list[dict[str, npt.NDArray[Any]]]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        number = operator.index(index)
        number += len(self) if number < 0 else 0
        if not 0 <= number < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        batch = self.read(np.array([number]))
        found = {"input": batch.input[0], "target": batch.target[0]}
        if self._has_documents:
            for name in ("segment_ids", "positions", "loss_mask"):
                found[name] = getattr(batch, name)[0]
        return found

    def read(self, numbers: npt.NDArray[np.int64], next_sample: int = 0) -> Batch:
        """The samples of those numbers, which must be there; next_sample: to be noted."""
        begins = numbers * self._stride
        shape = (len(numbers), self.sequence_length)
        pair = np.empty(shape, self._dtype), np.empty(shape, self._dtype)
        self._stream.read_pairs(begins.tolist(), *pair)
        return Batch(self._stream, begins, pair, numbers, next_sample)

    def torch(self) -> Any:
        """The same as a `torch.utils.data.Dataset` of dictionaries of NumPy arrays.

        Raises:
            ConfigurationError: torch is not installed.
        """
        return torch_class("SampleDataset")(self)


def torch_class(name: str) -> Any:
    """A class of torch_datasets.py. Raises ConfigurationError where torch is not installed."""
    if find_spec("torch") is None:
        raise ConfigurationError("this needs PyTorch: pip install 'tokenmill[torch]'")
    from transforms.loading import torch_datasets

    return getattr(torch_datasets, name)


def _lengths(source: TokenSource, sequence_length: int | None) -> tuple[int, int]:
    """Ids of a sample's input, and how far samples are apart."""
    packed = source.packed_length
    if packed is None:
        if sequence_length is None or sequence_length < 1:
            raise ConfigurationError(
                f"expected 1 or more, found {sequence_length}", setting="sequence_length"
            )
        return sequence_length, sequence_length
    if sequence_length not in (None, packed - 1):
        raise ConfigurationError(
            f"the export has sequences of {packed}, which are {packed - 1} pairs of input and "
            f"target: leave it away, or export with {(sequence_length or 0) + 1}",
            setting="sequence_length",
        )
    return packed - 1, packed


def _dtype(source: TokenSource, name: str) -> np.dtype[Any]:
    if name not in DTYPES:
        raise ConfigurationError(
            f"expected one of {', '.join(DTYPES)}, found {name!r}", setting="dtype"
        )
    dtype: np.dtype[Any] = np.dtype(name)
    if source.vocabulary_size - 1 > np.iinfo(dtype).max:
        raise ConfigurationError(
            f"{name} can not hold the {source.vocabulary_size:,} ids of the vocabulary",
            setting="dtype",
        )
    return dtype
