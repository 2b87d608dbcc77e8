"""Samples and batches as data sets of PyTorch. Nothing but their `torch()` methods imports this."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch.utils.data

from transforms.loading.samples import Batch, Samples

if TYPE_CHECKING:
    from transforms.loading.batches import Batches


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
    puts into order again."""

    def __init__(self, batches: "Batches", documents: bool) -> None:
        self._batches = batches
        self._has_documents = documents

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker = torch.utils.data.get_worker_info()
        chosen = iter(self._batches)
        if worker is not None:
            chosen = self._batches.steps(worker.id, worker.num_workers)
        return map(self._as_dict, chosen)

    def state_dict(self, after: int | None = None) -> dict[str, Any]:
        """As `Batches.state_dict`. With workers, say after which batch: its `next_sample`."""
        return self._batches.state_dict(after)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """As `Batches.load_state_dict`."""
        self._batches.load_state_dict(state)

    def _as_dict(self, batch: Batch) -> dict[str, Any]:
        found: dict[str, Any] = {"input": batch.input, "target": batch.target}
        if self._has_documents:
            for name in ("cu_seqlens", "segment_ids", "positions", "loss_mask"):
                found[name] = getattr(batch, name)
        return {**found, "next_sample": batch.next_sample}
