"""Each export format, byte by byte, by readers made from the description alone."""

import csv
import gzip
import itertools
import json
import pickle
import struct
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from small_export import CL100K_END, GPT2_END, exported, make_source, shard_files, store_documents

from tokenizer import ConfigurationError
from transforms.errors import UnitFailedError
from transforms.exports.formats import EXPORT_FORMATS, dtype_for, export_format, offset_table
from transforms.exports.formats.raw_ids import RawFile
from transforms.exports.index import EXPORT_SCHEMA
from transforms.exports.records import read_export_manifest, shape_of
from transforms.shards.build import Build

Documents = list[list[int]]
Reader = Callable[[Path, str], Documents]


@pytest.fixture(scope="module", params=["gpt2", "cl100k_base"])
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_source(tmp_path_factory.mktemp(request.param), request.param)


def dtype_of(source: Path) -> str:
    return "<u2" if "gpt2" in source.parent.name else "<u4"


def cut(ids: np.ndarray, lengths: list[int]) -> Documents:
    ends = np.cumsum(lengths)
    assert len(ids) == ends[-1]
    return [part.tolist() for part in np.split(ids, ends[:-1])]


def read_megatron(output: Path, dtype: str) -> Documents:
    documents: Documents = []
    for _, (bin_path, idx_path) in shard_files(output):
        index = idx_path.read_bytes()
        assert index[:9] == b"MMIDIDX\0\0"
        version, code, count, bounds = struct.unpack("<QBQQ", index[9:34])
        assert (version, code, bounds) == (1, {"<u2": 8, "<u4": 4}[dtype], count + 1)
        assert len(index) == 34 + 12 * count + 8 * (count + 1)
        lengths = np.frombuffer(index, "<i4", count, 34)
        offsets = np.frombuffer(index, "<i8", count, 34 + 4 * count)
        kind = np.dtype({8: "<u2", 4: "<i4"}[code])
        ids = np.fromfile(bin_path, kind)
        ends = np.cumsum(lengths)
        assert (offsets == (ends - lengths) * kind.itemsize).all()
        table = np.frombuffer(index, "<i8", count + 1, 34 + 12 * count)
        assert table.tolist() == list(range(count + 1))
        documents += cut(ids, lengths.tolist())
    return documents


def read_olmo(output: Path, dtype: str) -> Documents:
    documents: Documents = []
    for _, (npy, table) in shard_files(output):
        assert npy.suffix == ".npy"
        assert table.name == npy.name.replace(".npy", ".csv.gz")
        ids = np.memmap(npy, dtype, "r")
        with gzip.open(table, "rt", newline="") as file:
            for start, end, _, _, location in csv.reader(file):
                assert int(location) >= 1
                documents.append(ids[int(start) : int(end)].tolist())
    return documents


def read_datatrove(output: Path, dtype: str) -> Documents:
    documents: Documents = []
    for _, (ds, index, metadata) in shard_files(output):
        ids = np.fromfile(ds, dtype)
        name, count, _ = metadata.read_text().split("\n")
        assert name.endswith(f"|{np.dtype(dtype).itemsize}")
        assert int(count) == len(ids)
        ends = np.fromfile(index, "<u8").astype(np.int64)
        documents += cut(ids, np.diff(ends, prepend=0).tolist())
    return documents


def read_mds(output: Path, dtype: str) -> Documents:
    documents: Documents = []
    index = json.loads((output / "tokens/train/index.json").read_bytes())
    assert index["version"] == 2
    for entry in index["shards"]:
        assert entry["column_encodings"] == [f"ndarray:{np.dtype(dtype).name}"]
        assert entry["column_names"] == ["tokens"]
        content = (output / "tokens/train" / entry["raw_data"]["basename"]).read_bytes()
        assert len(content) == entry["raw_data"]["bytes"]
        (count,) = struct.unpack_from("<I", content)
        assert count == entry["samples"]
        offsets = np.frombuffer(content, "<u4", count + 1, 4)
        config = json.loads(content[4 * (count + 2) : offsets[0]])
        assert config == {key: entry[key] for key in config}
        for start, stop in itertools.pairwise(offsets.tolist()):
            size, kind = struct.unpack_from("<IB", content, start)
            assert size == stop - start - 4
            width = 1 << (kind & 3)
            assert kind >> 2 == 1
            length = int.from_bytes(content[start + 5 : start + 5 + width], "little")
            ids = np.frombuffer(content[start + 5 + width : stop], dtype)
            assert len(ids) == length
            documents.append(ids.tolist())
    return documents


def read_litdata(output: Path, dtype: str) -> Documents:
    documents: Documents = []
    index = json.loads((output / "tokens/train/index.json").read_bytes())
    code = {"<u2": 5, "<u4": 6}[dtype]
    assert index["config"]["data_format"] == [f"no_header_numpy:{code}"]
    assert index["config"]["item_loader"] == "TokensLoader"
    for chunk in index["chunks"]:
        content = (output / "tokens/train" / chunk["filename"]).read_bytes()
        (count,) = struct.unpack_from("<I", content)
        offsets = np.frombuffer(content, "<u4", count + 1, 4)
        assert (len(content), count) == (chunk["chunk_bytes"], chunk["chunk_size"])
        assert offsets[0] == 4 * (count + 2)
        for start, stop in itertools.pairwise(offsets.tolist()):
            documents.append(np.frombuffer(content[start:stop], dtype).tolist())
        size = np.dtype(dtype).itemsize
        assert chunk["dim"] == (offsets[-1] - offsets[0]) // size
    return documents


def read_pbin(output: Path, dtype: str) -> Documents:
    documents: Documents = []
    for _, (path,) in shard_files(output):
        content = path.read_bytes()
        size, width = struct.unpack_from("<QI", content)
        assert width == np.dtype(dtype).itemsize
        for offset, length in pickle.loads(content[12 + size :]):
            start = 12 + offset
            documents.append(np.frombuffer(content[start : start + length], dtype).tolist())
    return documents


def read_parquet(output: Path, dtype: str) -> Documents:
    tables = [pq.read_table(path) for _, (path,) in shard_files(output)]
    return [ids for table in tables for ids in table.column("tokens").to_pylist()]


def read_arrayrecord(output: Path, dtype: str) -> Documents:
    module = pytest.importorskip("array_record.python.array_record_module")
    documents: Documents = []
    for _, (path,) in shard_files(output):
        reader = module.ArrayRecordReader(str(path))
        records = reader.read_all()
        reader.close()
        documents += [np.frombuffer(record, dtype).tolist() for record in records]
    return documents


READERS: dict[str, Reader] = {
    "megatron": read_megatron,
    "olmo": read_olmo,
    "datatrove": read_datatrove,
    "mds": read_mds,
    "litdata": read_litdata,
    "pbin": read_pbin,
    "parquet": read_parquet,
    "arrayrecord": read_arrayrecord,
}


@pytest.mark.parametrize("name", READERS)
def test_documents_are_those_of_the_build_in_order(name: str, source: Path, tmp_path: Path) -> None:
    if name == "arrayrecord":
        pytest.importorskip("array_record")
    output = exported(source, tmp_path / "out", name, shard_tokens=900)
    assert len(list(shard_files(output))) > 2
    expected = [ids for _, ids in store_documents(source)]
    assert READERS[name](output, dtype_of(source)) == expected


def ids_of(source: Path) -> Iterator[int]:
    for _, ids in store_documents(source):
        yield from ids


def test_bin_is_ids_and_nothing_else(source: Path, tmp_path: Path) -> None:
    output = exported(source, tmp_path / "out", "bin", shard_tokens=900)
    files = [path for _, (path,) in shard_files(output)]
    content = b"".join(path.read_bytes() for path in files)
    assert np.frombuffer(content, dtype_of(source)).tolist() == list(ids_of(source))


def test_llmc_has_a_header_and_parts_documents_in_front(source: Path, tmp_path: Path) -> None:
    """llm.c's loaders: magic, version and count; size of the file; end of text before each."""
    output = exported(source, tmp_path / "out", "llmc", shard_tokens=900)
    dtype = dtype_of(source)
    ids: list[int] = []
    for number, (shard, (path,)) in enumerate(shard_files(output)):
        assert path == output / f"tokens/tokens_train_{number:06d}.bin"
        header = np.fromfile(path, "<i4", 256)
        magic = {"<u2": [20240520, 1], "<u4": [20240801, 7]}[dtype]
        assert header.tolist() == [*magic, shard["tokens"], *[0] * 253]
        assert path.stat().st_size == 1024 + np.dtype(dtype).itemsize * shard["tokens"]
        ids += np.fromfile(path, dtype, offset=1024).tolist()
    end = {"<u2": GPT2_END, "<u4": CL100K_END}[dtype]
    expected = [token for _, own in store_documents(source) for token in (end, *own[:-1])]
    assert ids == expected


def test_nanogpt_has_one_file_a_split(tmp_path: Path) -> None:
    source = make_source(tmp_path, "gpt2")
    output = exported(source, tmp_path / "out", "nanogpt", splits=(("val", 0.2),))
    files = sorted(path.name for path in (output / "tokens").iterdir())
    assert files == ["train.bin", "val.bin"]
    train, val = (np.memmap(output / "tokens" / name, np.uint16, "r") for name in files)
    assert len(train) + len(val) == len(list(ids_of(source)))
    assert train[-1] == val[-1] == GPT2_END


def test_a_vocabulary_that_does_not_fit_is_refused_with_the_formats_that_hold_it() -> None:
    with pytest.raises(ConfigurationError, match=r"65,537 of them.*bin, megatron, olmo") as error:
        dtype_for(export_format("nanogpt"), 65_537)
    assert "nanogpt," not in str(error.value).split("These hold it")[1]
    assert dtype_for(export_format("nanogpt"), 65_536) == np.dtype("<u2")


@pytest.mark.parametrize("name", EXPORT_FORMATS)
def test_a_format_takes_its_smallest_dtype(name: str) -> None:
    one = export_format(name)
    assert dtype_for(one, 65_536) == np.dtype("<u2")
    if name != "nanogpt":
        assert dtype_for(one, 65_537).itemsize == 4


def test_megatron_blends_name_every_shard_with_its_tokens(source: Path, tmp_path: Path) -> None:
    output = exported(
        source, tmp_path / "out", "megatron", shard_tokens=900, splits=(("validation", 0.2),)
    )
    shards = [shard for shard, _ in shard_files(output)]
    lines = (output / "tokens/blend.txt").read_text().split("\n")[:-1]
    train = [shard for shard in shards if shard["split"] == "train"]
    assert lines == [f"{shard['tokens']} tokens/train/{shard['number']:06d}" for shard in train]
    blend = json.loads((output / "tokens/blend.json").read_bytes())
    assert blend["train"] == " ".join(lines).split()
    assert blend["valid"][1] == "tokens/validation/000000"
    for line in lines:
        assert (output / f"{line.split()[1]}.idx").is_file()


def test_the_columns_of_an_export_index_are_those_of_the_format() -> None:
    expected = "start length offset unit record id url text_xxh3"
    assert " ".join(EXPORT_SCHEMA.names) == expected
    assert [field.name for field in EXPORT_SCHEMA if field.nullable] == ["id", "url"]
    assert {str(field.type) for field in EXPORT_SCHEMA} == {"int64", "string", "uint64"}


def test_what_is_written_after_a_table_at_the_start_goes_to_the_end(tmp_path: Path) -> None:
    file = RawFile(str(tmp_path / "x"), b"....")
    file.write(np.array([1, 2], np.uint8))
    file.write_at(0, b"head")
    file.write(b"tail")
    file.close()
    assert (tmp_path / "x").read_bytes() == b"head\1\2tail"


def test_a_shard_that_its_own_offsets_can_not_address_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are of 32 bits: 4 GB. Here of fewer."""
    monkeypatch.setattr(offset_table, "_LIMIT", 500)
    for sizes, is_refused in (([400, 88], False), ([400, 89], True)):
        file = offset_table.OffsetTableFile(str(tmp_path / "x.mds"), items=1)
        file.note(np.array(sizes))
        with pytest.raises(UnitFailedError, match="end at 500") if is_refused else nullcontext():
            file.finish()
        file.file.close()


# Where each trainer's own tools put the end of text; docs/formats.md says why.
BEFORE, AS_BUILT = {"llmc"}, {"bin", "parquet", "arrayrecord"}


@pytest.mark.parametrize("name", sorted(EXPORT_FORMATS.keys() - {"npy"}))
@pytest.mark.parametrize("built", ["auto", None])
def test_the_end_of_text_stands_where_each_trainer_wants_it(
    name: str, built: str | None, tmp_path: Path
) -> None:
    if EXPORT_FORMATS[name].package is not None:
        pytest.importorskip(EXPORT_FORMATS[name].package)
    source = make_source(tmp_path, "gpt2", end_of_text=built)
    output = exported(source, tmp_path / "out", name, splits=())
    manifest = read_export_manifest(Build.at(str(output)))
    found: list[int] = []
    for shard in manifest.shards:
        shape = shape_of(manifest.settings, shard.items, shard.tokens)
        paths = [str(output / file.path) for file in shard.files]
        for ids, _ in EXPORT_FORMATS[name].read(paths, shape):
            found += ids.tolist()
    expected: list[int] = []
    for _, ids in store_documents(source):
        text = ids if built is None else ids[:-1]
        if name in BEFORE:
            expected += [GPT2_END, *text]
        elif name in AS_BUILT:
            expected += ids
        else:
            expected += [*text, GPT2_END]
    assert found == expected
