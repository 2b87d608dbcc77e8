"""`python tests/readers/read_back.py DIR`: every token of every export, through the trainers' own
readers, beside what the build holds.

Runs in an environment of its own, without tokenmill. A reader that takes windows of a fixed length
drops what is left of a file; those ids are read through the same reader with windows of one id.
"""

import importlib.metadata
import json
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

WINDOW = 2048
warnings.simplefilter("ignore")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")


class Expected:
    """What the build holds, and which of it has been read."""

    def __init__(self, folder: Path) -> None:
        content = np.load(folder / "expected.npz")
        self.ids, self.lengths = content["ids"], content["lengths"]
        self.facts = json.loads((folder / "expected.json").read_bytes())
        self.ends = np.cumsum(self.lengths)
        self.token = self.document = 0

    def take(self, ids: Any) -> None:
        """The next ids, wherever documents end."""
        ids = np.asarray(ids)
        wanted = self.ids[self.token : self.token + len(ids)]
        if not np.array_equal(ids, wanted):
            raise AssertionError(f"ids from token {self.token} on differ")
        self.token += len(ids)

    def take_document(self, ids: Any) -> None:
        """The next document."""
        if len(ids) != self.lengths[self.document]:
            raise AssertionError(
                f"document {self.document}: expected {self.lengths[self.document]} ids, "
                f"found {len(ids)}"
            )
        self.take(ids)
        self.document += 1

    def finish(self) -> None:
        if self.token != len(self.ids) or self.document not in (0, len(self.lengths)):
            raise AssertionError(f"ended at token {self.token} and document {self.document}")


def shards(folder: Path, name: str) -> Iterator[tuple[list[Path], int]]:
    """The files of each shard, and how many ids are in it, from the export's manifest."""
    root = folder / name
    for shard in json.loads((root / "manifest.json").read_bytes())["shards"]:
        yield [root / file["path"] for file in shard["files"]], shard["tokens"]


def read_megatron(folder: Path, expected: Expected) -> None:
    from megatron.core.datasets.indexed_dataset import IndexedDataset
    from megatron.core.datasets.utils import get_blend_from_list

    root = folder / "megatron"
    lines = (root / "tokens/blend.txt").read_text().split()
    prefixes, weights = get_blend_from_list(lines)
    per_split = json.loads((root / "tokens/blend.json").read_bytes())
    assert get_blend_from_list(per_split["train"]) == (prefixes, weights)
    for prefix, weight in zip(prefixes, weights, strict=True):
        dataset = IndexedDataset(str(root / prefix))
        assert dataset.document_indices.tolist() == list(range(len(dataset) + 1))
        assert int(dataset.sequence_lengths.sum()) == weight
        for index in range(len(dataset)):
            expected.take_document(dataset[index])


def read_olmo(folder: Path, expected: Expected) -> None:
    from olmo_core.data import NumpyFSLDataset
    from olmo_core.data.utils import iter_document_indices

    facts = expected.facts
    dtype = np.dtype(facts["dtype"]).type
    for (tokens_path, _), count in shards(folder, "olmo"):

        def dataset(length: int, path: Path = tokens_path) -> Any:
            return NumpyFSLDataset(
                str(path),
                sequence_length=length,
                pad_token_id=facts["end_of_text"],
                eos_token_id=facts["end_of_text"],
                vocab_size=facts["vocabulary_size"],
                dtype=dtype,
            )

        start, ids = expected.token, []
        windows = dataset(WINDOW)
        ids += [windows[index]["input_ids"].numpy() for index in range(count // WINDOW)]
        rest = count % WINDOW
        if rest:
            ones = dataset(1)
            ids += [ones[index]["input_ids"].numpy() for index in range(count - rest, count)]
        joined = np.concatenate(ids)
        # Documents: OLMo-core's own readers of the table, and of the ends of text.
        for from_ids in (False, True):
            bounds = list(
                iter_document_indices(
                    str(tokens_path),
                    use_array_if_local=from_ids,
                    eos_token_id=facts["end_of_text"],
                    dtype=dtype,
                )
            )
            first = expected.document
            lengths = [stop - begin for begin, stop in bounds]
            assert lengths == expected.lengths[first : first + len(bounds)].tolist()
        expected.document += len(bounds)
        expected.take(joined)
        assert expected.token - start == count


def read_datatrove(folder: Path, expected: Expected) -> None:
    from datatrove.utils.dataset import DatatroveFolderDataset

    itemsize = np.dtype(expected.facts["dtype"]).itemsize
    starts = np.concatenate([[0], expected.ends[:-1]])
    for paths, count in shards(folder, "datatrove"):

        def dataset(length: int, path: Path = paths[0], **more: Any) -> Any:
            pattern = path.name
            return DatatroveFolderDataset(
                str(path.parent), length - 1, pattern, token_size=itemsize, **more
            )

        windows = dataset(WINDOW, return_positions=True)
        for index in range(count // WINDOW):
            item = windows[index]
            first = expected.token
            expected.take(item["input_ids"].numpy())
            inside = starts[(starts > first) & (starts < expected.token)] - first
            zeros = np.flatnonzero(item["positions"].numpy() == 0)
            assert zeros.tolist() == [0, *inside.tolist()], f"documents in window {index}"
        ones = dataset(1)
        for index in range(count - count % WINDOW, count):
            expected.take(ones[index]["input_ids"].numpy())


def read_mds(folder: Path, expected: Expected) -> None:
    from streaming import StreamingDataset

    dataset = StreamingDataset(
        local=str(folder / "mds/tokens"), split="train", shuffle=False, batch_size=1
    )
    for index in range(len(dataset)):
        expected.take_document(dataset[index]["tokens"])


def read_litdata(folder: Path, expected: Expected) -> None:
    from litdata import StreamingDataset, TokensLoader

    path = str(folder / "litdata/tokens/train")

    def dataset(length: int) -> Any:
        return StreamingDataset(path, item_loader=TokensLoader(length), shuffle=False)

    windows, ones = dataset(WINDOW), dataset(1)
    window = one = 0
    for _, count in shards(folder, "litdata"):
        for _ in range(count // WINDOW):
            expected.take(windows[window])
            window += 1
        for index in range(one + count - count % WINDOW, one + count):
            expected.take(ones[index])
        one += count
    assert (window, one) == (len(windows), len(ones))


def read_pbin(folder: Path, expected: Expected) -> None:
    from modalities.dataloader.dataset import PackedMemMapDatasetBase

    for (path,), _ in shards(folder, "pbin"):
        dataset = PackedMemMapDatasetBase(path, sample_key="input_ids")
        for index in range(len(dataset)):
            expected.take_document(dataset[index]["input_ids"])


def read_arrayrecord(folder: Path, expected: Expected) -> None:
    from array_record.python.array_record_data_source import ArrayRecordDataSource

    files = [str(paths[0]) for paths, _ in shards(folder, "arrayrecord")]
    source = ArrayRecordDataSource(files)
    for index in range(len(source)):
        expected.take_document(np.frombuffer(source[index], expected.facts["dtype"]))


def read_parquet(folder: Path, expected: Expected) -> None:
    from datasets import Dataset

    with tempfile.TemporaryDirectory() as cache:
        files = [str(paths[0]) for paths, _ in shards(folder, "parquet")]
        dataset = Dataset.from_parquet(files, cache_dir=cache).with_format("numpy")
        for row in dataset:
            expected.take_document(row["tokens"])


def read_bin(folder: Path, expected: Expected) -> None:
    """tokengrams gives positions of ids, not ids: of each id that occurs, all positions."""
    from tokengrams import MemmapIndex

    vocabulary = expected.facts["vocabulary_size"]
    with tempfile.TemporaryDirectory() as place:
        for number, ((path,), count) in enumerate(shards(folder, "bin")):
            index = MemmapIndex.build(str(path), f"{place}/{number}.idx", vocab=vocabulary)
            found = np.full(count, -1, np.int64)
            for token in np.unique(expected.ids[expected.token : expected.token + count]).tolist():
                found[index.positions([token])] = token
            expected.take(found)


def read_npy(folder: Path, expected: Expected) -> None:
    """Best-fit sequences: every document out of its pieces, and no more sequences than OLMo-core
    makes of the same documents."""
    from datasets import Dataset
    from olmo_core.data.types import LongDocStrategy
    from olmo_core.data.utils import pack_documents_into_instances

    dtype = np.dtype(expected.facts["dtype"])
    documents = json.loads((folder / "npy/manifest.json").read_bytes())["shards"]
    pairs = zip(shards(folder, "olmo"), shards(folder, "npy"), documents, strict=True)
    for ((ids_path, _), _), ((path, bounds_path), _), shard in pairs:
        sequences, bounds = np.load(path, mmap_mode="r"), np.load(bounds_path)
        instances, _, _ = pack_documents_into_instances(
            str(ids_path),
            max_sequence_length=sequences.shape[1],
            eos_token_id=expected.facts["end_of_text"],
            dtype=dtype.type,
            long_doc_strategy=LongDocStrategy.fragment,
        )
        assert len(sequences) <= len(instances), f"{len(sequences)}, OLMo-core {len(instances)}"
        print(f"  {len(sequences)} sequences, OLMo-core's packing {len(instances)}")
        flat, known = sequences.reshape(-1), set(bounds.tolist())
        index = Dataset.from_parquet(str(folder / "npy" / shard["index"]["path"]))
        pieces: dict[tuple[str, int], list[tuple[int, int, int]]] = {}
        for row in index:
            begin, end = row["start"], row["start"] + row["length"]
            assert {begin, end} <= known
            pieces.setdefault((row["unit"], row["record"]), []).append((row["offset"], begin, end))
        for key in sorted(pieces):  # units by name, records ascending: the order of the build
            own = [flat[begin:end] for _, begin, end in sorted(pieces[key])]
            expected.take_document(np.concatenate(own))


READERS: dict[str, tuple[str, Callable[[Path, Expected], None]]] = {
    "megatron": ("megatron-core", read_megatron),
    "olmo": ("ai2-olmo-core", read_olmo),
    "datatrove": ("datatrove", read_datatrove),
    "mds": ("mosaicml-streaming", read_mds),
    "litdata": ("litdata", read_litdata),
    "pbin": ("modalities", read_pbin),
    "arrayrecord": ("array_record", read_arrayrecord),
    "parquet": ("datasets", read_parquet),
    "bin": ("tokengrams", read_bin),
    "npy": ("ai2-olmo-core", read_npy),
}


def main(directory: str, only: list[str]) -> int:
    failures = 0
    for folder in sorted(path for path in Path(directory).iterdir() if path.is_dir()):
        if not (folder / "expected.npz").exists():
            continue
        for name, (package, read) in READERS.items():
            if only and name not in only:
                continue
            expected = Expected(folder)
            started = time.monotonic()
            label = f"{folder.name:<12} {name:<12} {package} {importlib.metadata.version(package)}"
            try:
                read(folder, expected)
                expected.finish()
            except Exception as error:  # noqa: BLE001 (named, counted, and the next one is read)
                failures += 1
                print(f"FAILED {label}: {type(error).__name__}: {error}", flush=True)
                continue
            documents = f"{expected.document:,} documents, " if expected.document else ""
            seconds = time.monotonic() - started
            print(f"equal  {label}: {documents}{expected.token:,} ids, {seconds:.0f} s", flush=True)
    return failures


if __name__ == "__main__":
    code = main(sys.argv[1], sys.argv[2:])
    sys.stdout.flush()
    os._exit(bool(code))  # some of them leave threads that never end
