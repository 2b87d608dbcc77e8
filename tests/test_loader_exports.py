"""The loader on exports: the same batches as of a build, packed sequences, a model that learns."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from small_build import make_build
from small_export import GPT2_END, exported, make_source, store_documents

import tokenmill
from pipeline.sample import write_sample
from tokenizer import ConfigurationError
from transforms.settings import TokenizeSettings

LENGTH = 16
MAPPED = ("bin", "nanogpt", "megatron", "olmo", "datatrove", "llmc", "litdata", "pbin")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_source(tmp_path_factory.mktemp("source"))


@pytest.mark.parametrize("format", MAPPED)
def test_an_export_gives_the_batches_and_documents_of_its_build(
    source: Path, tmp_path: Path, format: str
) -> None:
    size = {} if format == "nanogpt" else {"shard_tokens": 900}
    output = exported(
        source, tmp_path / "out", format, end_of_text="after", splits=(("test", 0.3),), **size
    )
    texts = {(row["unit"], row["record"]): ids for row, ids in store_documents(source)}
    seen = 0
    for split in ("train", "test"):
        corpus = tokenmill.open(output, split=split)
        line = [token for document in corpus for token in document.tokens.tolist()]
        assert len(line) == corpus.tokens > LENGTH
        for document in corpus:
            assert document.tokens.tolist() == texts[document.unit, document.record]
            assert document.text_bytes is None
        assert corpus[corpus[-1].id or ""].record == corpus[-1].record
        seen += len(corpus)
        targets = [batch.target[0].tolist() for batch in corpus.batches(LENGTH, 1)]
        assert list(itertools.chain(*targets)) == line[1 : 1 + len(targets) * LENGTH]
        assert len(targets) == (len(line) - 1) // LENGTH
    assert seen == len(texts)


def test_packed_sequences_are_a_sample_each_with_their_padding(
    source: Path, tmp_path: Path
) -> None:
    output = exported(
        source, tmp_path / "out", "npy", sequence_length=65, packing="best-fit", shard_tokens=2000
    )
    corpus = tokenmill.open(output)
    rows = np.concatenate([np.load(path) for path in sorted(output.rglob("tokens/*/??????.npy"))])
    padding = 0
    batches = corpus.batches(batch_size=1)
    for number, batch in enumerate(batches):
        assert batch.input[0].tolist() == rows[number, :-1].tolist()
        assert batch.target[0].tolist() == rows[number, 1:].tolist()
        if -1 in batch.documents:
            assert batch.documents.tolist()[-1] == -1
            first = int(batch.cu_seqlens[-2])
            assert (batch.input[0, first:] == GPT2_END).all()
            assert not batch.loss_mask[0, first - 1 :].any()
            padding += 64 - first
        whole = [number for number in batch.documents.tolist() if number >= 0]
        pieces = np.concatenate([corpus[number].tokens for number in whole])
        assert rows[number, : len(pieces)].tolist() == pieces.tolist()
    assert number + 1 == len(rows) == len(batches.samples)
    assert padding
    with pytest.raises(ConfigurationError, match=r"64 pairs .* export with 129"):
        corpus.batches(128, 1)
    assert corpus.batches(64, 1).samples.sequence_length == 64


def test_splits_and_formats_that_are_not_there_are_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="split: is for exports"):
        tokenmill.open(source, split="train")
    output = exported(source, tmp_path / "bin", "bin", splits=(("test", 0.3),))
    with pytest.raises(ConfigurationError, match=r"split: .* has train, test, and no 'valid'"):
        tokenmill.open(output, split="valid")
    output = exported(source, tmp_path / "mds", "mds")
    with pytest.raises(
        ConfigurationError, match=r"mds do not hold ids one after .* export bin, na"
    ):
        tokenmill.open(output)


def test_a_bigram_table_learns_to_predict_text_that_it_has_not_seen(tmp_path: Path) -> None:
    """Text to ids to shards to a model, on what `make demo` builds: its loss falls."""
    write_sample(tmp_path / "input")
    make_build(tmp_path / "input", tmp_path / "build", TokenizeSettings(tokenizer="gpt2"))
    exported(tmp_path / "build", tmp_path / "out", "bin", splits=(("validation", 0.1),))
    train = tokenmill.open(tmp_path / "out").batches(64, 8, seed=1)
    validation = tokenmill.open(tmp_path / "out", split="validation")
    classes = 512  # of ids, so that the table is small
    counts = np.ones((50257, classes), np.float32)

    def loss() -> float:
        shares = counts / counts.sum(1, keepdims=True)
        found = [
            -np.log(shares[inputs, targets % classes]).mean()
            for inputs, targets in validation.batches(64, 8)
        ]
        return float(np.mean(found))

    assert loss() == pytest.approx(np.log(classes), abs=1e-4)
    losses = []
    for inputs, targets in train:
        np.add.at(counts, (inputs, targets % classes), 16)
        if train.state_dict()["next_sample"] % 400 == 0:
            losses.append(loss())
    assert len(losses) > 2
    assert losses[-1] < losses[0] < 0.9 * np.log(classes)
