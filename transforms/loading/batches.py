"""`Batches`: the loader of a training loop, one for each rank.

    10 samples, seed 1    of the run    0 1 2 3 4 5 6 7 8 9 │ 10 11 12 13 ...
                          the sample    3 9 2 7 4 6 5 1 0 8 │  7  1  2  3 ...      epoch after epoch

    batch_size 2, of the run     world_size 1    rank 0    [0 1] [2 3] [4 5] ...
                                 world_size 2    rank 0    [0 2] [4 6] ...
                                                 rank 1    [1 3] [5 7] ...

The samples of a run are one endless line: epoch after epoch, each in its own order. Ranks take
turns, so that what all of them have seen after a step is a beginning of that line, however many
they are, and the place in it is the whole state of a run.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenizer import ConfigurationError
from transforms.loading.order import places
from transforms.loading.samples import Batch, Samples, torch_class

# Places are computed for about so many samples at a time: 0.2 µs each instead of 100 µs a batch.
_BLOCK_SAMPLES = 4096


class Batches:
    """Batches of a corpus in one global order, for one rank.

        batches = tokenmill.open("shards").batches(sequence_length=1024, batch_size=8, seed=1)
        for input, target in batches:           # int64[8, 1024] each
            ...
        torch.save(batches.state_dict(), "loader.pt")       # and load_state_dict later

    A loop goes on where the state is and ends with an epoch; the next loop is the next epoch,
    in another order. Batches are always whole: samples at the end of an epoch that fill none open
    the first batch of the next loop, so that none is lost. A new object begins at epoch 0: take one
    for each evaluation.

    Attributes:
        samples: what batches are made of. seed, batch_size, rank, world_size, epochs: as given.
    """

    def __init__(
        self,
        samples: Samples,
        batch_size: int,
        *,
        seed: int | None = None,
        rank: int = 0,
        world_size: int = 1,
        epochs: int | None = 1,
    ) -> None:
        """Makes the loader; reads nothing yet.

        Args:
            samples: of a corpus.
            batch_size: samples of a batch of this rank; all ranks have the same.
            seed: of the order, another one in each epoch; None: always that of the corpus.
            rank: of this process, from 0. world_size: how many there are.
            epochs: of one loop; None: it never ends.

        Raises:
            ConfigurationError: numbers that can not be.
        """
        for setting, value in (("batch_size", batch_size), ("world_size", world_size)):
            if value < 1:
                raise ConfigurationError(f"expected 1 or more, found {value}", setting=setting)
        if epochs is not None and epochs < 1:
            raise ConfigurationError(f"expected 1 or more, found {epochs}", setting="epochs")
        if not 0 <= rank < world_size:
            raise ConfigurationError(
                f"expected 0 to {world_size - 1}, found {rank}", setting="rank"
            )
        self.samples = samples
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.epochs = epochs
        self._next = 0  # of the line; the same in all ranks between two steps

    def __repr__(self) -> str:
        return (
            f"Batches({self.samples!r}, {self.batch_size}, seed={self.seed}, rank={self.rank}, "
            f"world_size={self.world_size}, epochs={self.epochs})"
        )

    def __len__(self) -> int:
        """Batches that the next loop has. Raises TypeError where it never ends."""
        end = self.end_of_loop(self._next)
        if end is None:
            raise TypeError("a loop without end has no length: epochs is None")
        return (end - self._next) // self._step

    def __iter__(self) -> Iterator[Batch]:
        for batch in self.steps(0, 1, self._next):
            self._next = batch.next_sample
            yield batch

    @property
    def epoch(self) -> int:
        """The epoch that the next batch ends in, from 0."""
        return self._epoch_at(self._next)

    def state_dict(self, after: Batch | int | None = None) -> dict[str, Any]:
        """Where the run is, as plain values: the same in all ranks.

        Args:
            after: the last batch that was trained on, or its `next_sample`, where batches are
                fetched before they are used; None: the last one that was given out.
        """
        position = after.next_sample if isinstance(after, Batch) else after
        return {
            "next_sample": self._next if position is None else int(position),
            "seed": self.seed,
            "sequence_length": self.samples.sequence_length,
            "source": self.samples.identity,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on where a run was: exactly the samples that would have come, in their order.

        The number of ranks and the batch size may be others.

        Raises:
            ConfigurationError: it is the state of another corpus, seed or length.
        """
        for name, own in self.state_dict().items():
            if name not in state:
                raise ConfigurationError(f"{name} is missing: not a state", setting="state")
            if name != "next_sample" and state[name] != own:
                raise ConfigurationError(
                    f"the state is of {name} {state[name]!r}, and this is {own!r}", setting="state"
                )
        if not isinstance(state["next_sample"], int) or state["next_sample"] < 0:
            raise ConfigurationError(
                f"next_sample: expected 0 or more, found {state['next_sample']!r}", setting="state"
            )
        self._next = state["next_sample"]

    def end_of_loop(self, begin: int) -> int | None:
        """The `next_sample` of the last batch of a loop that begins there; None: it never ends."""
        if self.epochs is None:
            return None
        stop = len(self.samples) * (self._epoch_at(begin) + self.epochs)
        return begin + (stop - begin) // self._step * self._step

    def steps(self, worker: int, workers: int, begin: int) -> Iterator[Batch]:
        """Every so many-th batch of a loop, without moving on: of one worker of several.

        Args:
            worker: which, from 0: it has batches number worker, worker + workers, ...
            begin: the sample of the line that the loop begins with.
        """
        first, stop = begin + worker * self._step, self.end_of_loop(begin)
        stride = workers * self._step
        # Not of many epochs: each costs some 100 µs, however few samples it has.
        per_block = max(1, min(_BLOCK_SAMPLES // self.batch_size, len(self.samples) // stride))
        while stop is None or first + self._step <= stop:
            count = per_block
            if stop is not None:
                count = min(count, (stop - first - self._step) // stride + 1)
            begins = first + stride * np.arange(count)
            numbers = self._numbers(begins)
            for begin, chosen in zip(begins.tolist(), numbers, strict=True):
                yield self.samples.read(chosen, begin + self._step)
            first += count * stride

    def torch(self, *, documents: bool = False) -> Any:
        """The same as a `torch.utils.data.IterableDataset` of dictionaries.

            DataLoader(batches.torch(), batch_size=None, num_workers=2)

        Batches come in the same order with any number of workers, none twice. The first loop
        begins where this object stands, which itself does not move. Each later one begins where the
        one before it ends, also when that was left early: workers fetch more than is used, so only
        the loop knows how far it came. To go on in the middle, load `state_dict(after)` before the
        next loop; after a loop without end (`epochs=None`) there is no other way.

        Args:
            documents: `cu_seqlens`, `segment_ids`, `positions` and `loss_mask` of `Batch` too.

        Returns:
            A data set of `input`, `target` and `next_sample`; it has `state_dict(after)` and
            `load_state_dict`, as here.

        Raises:
            ConfigurationError: torch is not installed.
        """
        return torch_class("BatchDataset")(self, documents)

    @property
    def _step(self) -> int:
        """Samples that all ranks take together."""
        return self.batch_size * self.world_size

    def _epoch_at(self, begin: int) -> int:
        """The epoch that a batch which begins there ends in."""
        return (begin + self._step - 1) // len(self.samples)

    def _numbers(self, begins: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """int64[n, batch_size]: this rank's samples of steps that begin there."""
        own = np.arange(self.batch_size) * self.world_size + self.rank
        line = begins[:, None] + own
        epochs, positions = np.divmod(line, len(self.samples))
        if self.seed is None:
            return positions
        result = np.empty_like(positions)
        for epoch in range(int(epochs[0, 0]), int(epochs[-1, -1]) + 1):
            chosen = epochs == epoch
            result[chosen] = places(self.seed, epoch, len(self.samples), positions[chosen])
        return result
