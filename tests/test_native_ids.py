"""Ids on their way between Python and the engine: short texts, decoding, memory of kept results."""

import concurrent.futures
import ctypes
import gc
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tokenizer import Tokenizer

TEXTS = (
    "",
    "a",
    "hello world",
    "<|endoftext|>",
    "one<|endoftext|> two <|fim_prefix|>",
    "naïve café ☕ \U0001f600 中文字符",
    "\0 \n\n\t  x",
    "e\u0301 \u202e",
)


@pytest.fixture(scope="module")
def cl100k() -> Tokenizer:
    return Tokenizer.load("cl100k_base")


@pytest.mark.parametrize("name", ["r50k_base", "cl100k_base", "o200k_base"])
def test_one_text_alone_has_the_ids_that_it_has_in_a_batch(name: str) -> None:
    tokenizer = Tokenizer.load(name)
    texts = [
        text
        for base in TEXTS
        for text in (base, base * 40, (base + " ") * 400)  # beyond what keeps the GIL
    ]
    tokens, offsets = tokenizer.encode_batch(texts)
    for at, text in enumerate(texts):
        alone = tokenizer.encode(text)
        assert alone.dtype == np.uint32
        assert alone.tolist() == tokens[offsets[at] : offsets[at + 1]].tolist()
        assert tokenizer.decode(alone) == text


def test_the_length_at_which_the_gil_is_released_is_no_border(cl100k: Tokenizer) -> None:
    for size in (1, 63, 64, 65, 4095, 4096, 4097):
        text = ("word 12 é\n" * 500).encode()[:size].decode(errors="ignore")
        text += "x" * (size - len(text.encode()))
        assert cl100k.encode(text).tolist() == cl100k.encode_batch([text])[0].tolist()


def test_short_and_long_texts_are_encoded_by_many_threads_at_once(cl100k: Tokenizer) -> None:
    texts = [base * times for base in TEXTS for times in (1, 7, 900)] * 4
    expected = [cl100k.encode(text).tolist() for text in texts]
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        assert [ids.tolist() for ids in threads.map(cl100k.encode, texts)] == expected


def test_what_is_no_text_is_named(cl100k: Tokenizer) -> None:
    with pytest.raises(UnicodeEncodeError):
        cl100k.encode("a\ud800")
    for wrong in (5, b"abc", None):
        with pytest.raises(TypeError, match=type(wrong).__name__):
            cl100k.encode(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "make",
    [
        list,
        tuple,
        lambda ids: np.array(ids, np.uint16),
        lambda ids: np.array(ids, np.uint32),
        lambda ids: np.array(ids, np.int64),
        lambda ids: np.array(ids, np.uint64),
        lambda ids: np.array(ids, ">u4"),
        lambda ids: memoryview(np.array(ids, np.uint32)),
        lambda ids: np.repeat(np.array(ids, np.int32), 2)[::2],
        lambda ids: [np.uint32(one) for one in ids],
        pa.array,
    ],
)
def test_ids_of_any_whole_number_type_are_decoded(cl100k: Tokenizer, make: Any) -> None:
    text = " ".join(f"word{number}" for number in range(3000))
    ids = cl100k.encode(text).tolist()
    assert cl100k.decode(make(ids)) == text
    assert cl100k.decode_bytes(make(ids)) == text.encode()
    assert cl100k.decode(make(ids[:0])) == ""


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        ([15339, 100_261], ValueError, "id 100261 at index 1 is no token"),
        ([-1], ValueError, "id -1 at index 0 is no token"),
        ([1, 2**32 + 15339], ValueError, "id 4294982635 at index 1"),
        ([2**70], TypeError, "integers, found object"),
        ([15339.7], TypeError, "integers, found float64: 15339.7"),
        (["a"], TypeError, "integers, found <U1: 'a'"),
        ([True], TypeError, "integers, found bool"),
        (b"abc", TypeError, "integers, found bytes"),
        (bytearray(b"abc"), TypeError, "integers, found bytes"),
        (memoryview(b"abc"), TypeError, "integers, found bytes"),
        (np.array([2**32 + 15339]), ValueError, "id 4294982635 at index 0"),
        (np.array([-1], np.int32), ValueError, "id -1 at index 0"),
        (np.array([2**64 - 1], np.uint64), ValueError, "id 18446744073709551615 at index 0"),
        (np.array([15339.0]), TypeError, "float64"),
        (np.array([[1, 2]]), ValueError, "a list of ids, found an array of shape"),
        (np.array([1] * 5000 + [2**31]), ValueError, "at index 5000"),
        (5, ValueError, "a list of ids"),
    ],
)
def test_what_is_no_id_is_refused_by_name(
    cl100k: Tokenizer, ids: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        cl100k.decode(ids)
    with pytest.raises(error, match=message):
        cl100k.decode_bytes(ids)


def test_items_of_a_list_can_not_change_it_while_it_is_read(cl100k: Tokenizer) -> None:
    class Shrinks:
        def __index__(self) -> int:
            ids.clear()
            return 15339

    ids: list[Any] = [Shrinks(), 1917, 1917]
    with pytest.raises(TypeError, match="integers, found object"):
        cl100k.decode(ids)


def private_bytes() -> int:
    """Memory of this process that is in use, its own pages only."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Private_Dirty:"))


def kept_memory(dtype: str) -> tuple[int, int]:
    """Bytes of ids that are kept, and of memory that they take; for a process of its own."""
    tokenizer = Tokenizer.load("gpt2", cache_bytes=1 << 20)
    batch = pa.array([" word, 12 other words\n" * 40_000] * 2)

    def encode() -> Any:
        return tokenizer.encode_documents(batch, dtype=np.dtype(dtype)).tokens

    thrown_away = [encode().size for _ in range(5)]
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # or what others freed would be taken again, and not counted
    before = private_bytes()
    kept = [encode() for _ in range(60)]
    taken = private_bytes() - before
    assert {tokens.size for tokens in kept} == set(thrown_away)
    return sum(tokens.nbytes for tokens in kept), taken


@pytest.mark.skipif(
    sys.platform != "linux" or "asan" in os.environ.get("LD_PRELOAD", ""),
    reason="reads /proc/self/smaps_rollup; a sanitizer keeps what is freed",
)
@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
def test_kept_results_take_the_memory_of_their_ids(dtype: str) -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_native_ids; "
        f"print(*test_native_ids.kept_memory({dtype!r}))"
    )
    printed = subprocess.check_output([sys.executable, "-c", program])
    ids, taken = map(int, printed.split())
    assert ids > 30 << 20
    # Those that were thrown away have left up to four buffers, which the first that are kept take.
    assert 0.8 * ids < taken < 1.1 * ids


@pytest.mark.skipif(
    sys.platform != "linux" or "asan" in os.environ.get("LD_PRELOAD", ""),
    reason="counts page faults; a sanitizer has its own",
)
def test_results_that_are_thrown_away_take_no_new_pages(cl100k: Tokenizer) -> None:
    import resource

    batch = pa.array([" word, 12 other words\n" * 40] * 2000)
    for _ in range(4):
        cl100k.encode_batch(batch)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        tokens, _ = cl100k.encode_batch(batch)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    assert faults < 8 * tokens.nbytes / 4096 / 5


def test_an_array_may_grow_old_and_be_written_to_while_others_are_made(cl100k: Tokenizer) -> None:
    """Sizes up and down: buffers come back, are taken again, and give up pages."""
    random = np.random.default_rng(20261126)
    kept: list[tuple[int, Any]] = []
    for number in range(60):
        times = int(2 ** random.uniform(0, 18))
        tokens, _ = cl100k.encode_batch([" one two" * times])
        assert tokens.size == 2 * times
        tokens[:] = number
        kept.append((number, tokens))
        if number % 3 == 0:
            del kept[int(random.integers(len(kept)))]
    for number, tokens in kept:
        assert (tokens == number).all()
