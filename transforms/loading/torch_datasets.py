"""Samples and batches as data sets of PyTorch. Nothing but their `torch()` methods imports this."""

import copy
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch.utils.data

from tokenizer import ConfigurationError
from transforms.loading.samples import Batch, Samples

if TYPE_CHECKING:
    from transforms.loading.batches import Batches

_MAX_WORKERS = 4096
_NOWHERE = -1  # where the loop after one without end would begin


class SampleDataset(torch.utils.data.Dataset):  # type: ignore[misc]
    """Samples by number: shuffle them with a sampler of torch's."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._samples[index]


class BatchDataset(torch.utils.data.IterableDataset):  # type: ignore[misc]
    """Whole batches; with workers, worker w of n has batches w, w + n, ..., which the DataLoader
    puts into order again.

    Workers are processes with a copy of this object each, new ones in every loop. So where the next
    loop begins is in memory that all share: a number for each worker, which it moves when its loop
    begins. None reads another's: a worker that is late still begins where the others did.
    """

    def __init__(self, batches: "Batches", documents: bool) -> None:
        self._batches = copy.copy(batches)
        self._has_documents = documents
        self._begins = torch.full((_MAX_WORKERS,), self._start, dtype=torch.int64).share_memory_()
        self._shared_loads = torch.zeros((), dtype=torch.int64).share_memory_()
        self._loads = 0  # as the copy of a worker was made
        self._is_worker = False

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for shared in (self._begins, self._shared_loads):
            shared.share_memory_()  # of a deep copy it is not

    def __iter__(self) -> Iterator[dict[str, Any]]:
        info = torch.utils.data.get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        if info is not None and not self._is_worker:
            self._check_not_late()
        begin = int(self._begins[worker])
        if begin == _NOWHERE:
            raise ConfigurationError(
                "a loop without end has begun, and the next one can not know how far it came: "
                "load_state_dict(state_dict(after=batch['next_sample'])) before it, or give epochs",
                setting="epochs",
            )
        end = self._batches.end_of_loop(begin)
        following = _NOWHERE if end is None else end
        self._begins[worker] = following
        if worker == 0:
            self._begins[workers:] = following  # the next loop may have more workers
        return map(self._as_dict, self._batches.steps(worker, workers, begin))

    def state_dict(self, after: int | None = None) -> dict[str, Any]:
        """As `Batches.state_dict`.

        Args:
            after: `next_sample` of the last batch that was trained on; None: before the first loop.

        Raises:
            ConfigurationError: a loop has begun, and `after` is not given: workers may have fetched
                more than was used.
        """
        if after is None and int(self._begins[0]) != self._start:
            raise ConfigurationError(
                "a loop has begun: say after which batch, state_dict(after=batch['next_sample'])",
                setting="after",
            )
        return self._batches.state_dict(after)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """As `Batches.load_state_dict`: the next loop begins there."""
        self._batches.load_state_dict(state)
        self._loads += 1
        self._shared_loads.fill_(self._loads)
        self._begins.fill_(self._start)

    def _check_not_late(self) -> None:
        """A worker that starts late must not move what was loaded for the next loop."""
        if self._loads != int(self._shared_loads):
            raise ConfigurationError("a state was loaded while this loop began: begin another")
        self._is_worker = True

    @property
    def _start(self) -> int:
        """Where the first loop begins: as given, or as loaded."""
        return int(self._batches.state_dict()["next_sample"])

    def _as_dict(self, batch: Batch) -> dict[str, Any]:
        found: dict[str, Any] = {"input": batch.input, "target": batch.target}
        if self._has_documents:
            for name in ("cu_seqlens", "segment_ids", "positions", "loss_mask"):
                found[name] = getattr(batch, name)
        return {**found, "next_sample": batch.next_sample}
