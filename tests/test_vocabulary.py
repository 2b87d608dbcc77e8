"""Bundled tables and .tiktoken files, good and bad."""

import base64
import dataclasses
from pathlib import Path

import pytest

from tokenizer import ConfigurationError, PatternError, Tokenizer, VocabularyError
from tokenizer.reference import ReferenceEncoder
from tokenizer.vocabularies import sources

BYTES = {bytes([byte]): byte for byte in range(256)}
PATTERN = r"\p{L}+|\s+|[^\p{L}\s]+"


def write_tiktoken(path: Path, ranks: dict[bytes, int]) -> str:
    lines = [f"{base64.b64encode(token).decode()} {rank}" for token, rank in ranks.items()]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_a_tiktoken_file_works_with_pattern_and_special_tokens(tmp_path: Path) -> None:
    ranks = {**BYTES, b"ab": 256, b"abc": 257, b"bc": 258}
    path = write_tiktoken(tmp_path / "tiny.tiktoken", ranks)
    tokenizer = Tokenizer.load(
        path, split_pattern=PATTERN, special_tokens={"<|endoftext|>": 300, "<|pad|>": 301}
    )
    assert tokenizer.vocabulary.name == "tiny"
    assert tokenizer.vocabulary_size == 302
    assert tokenizer.vocabulary.end_of_text == 300
    assert tokenizer.encode("abcbc").tolist() == [257, 258]
    assert tokenizer.decode([257, 301]) == "abc<|pad|>"


def test_a_token_that_its_merges_do_not_make_stands_only_for_a_whole_pretoken(
    tmp_path: Path,
) -> None:
    """`xyz` has no two parts that are tokens; tiktoken finds it when it is all there is."""
    ranks = {**BYTES, b"xyz": 256, b"ab": 257}
    path = write_tiktoken(tmp_path / "odd.tiktoken", ranks)
    tokenizer = Tokenizer.load(path, split_pattern=PATTERN, special_tokens={})
    reference = ReferenceEncoder(PATTERN, ranks, {})
    for text in ("xyz", "xyzab", "abxyz", "xyz xyz", "xyz" * 20):
        assert tokenizer.encode(text).tolist() == reference.encode_ordinary(text)
    assert tokenizer.encode("xyz").tolist() == [256]
    assert 256 not in tokenizer.encode("xyzab")


def test_ranks_that_do_not_follow_length_merge_in_the_order_of_ranks(tmp_path: Path) -> None:
    """A long token may have a lower rank than its parts, as in tables no trainer made."""
    ranks = {**BYTES, b"abcd": 256, b"cd": 257, b"ab": 258, b"bc": 259, b"dab": 260}
    path = write_tiktoken(tmp_path / "shuffled.tiktoken", ranks)
    tokenizer = Tokenizer.load(path, split_pattern=PATTERN, special_tokens={})
    reference = ReferenceEncoder(PATTERN, ranks, {})
    for text in ("abcd", "abcdabcd" * 5, "bcdab", "dabc" * 9, "aabbccdd", "cdab" * 30, "bcda" * 40):
        assert tokenizer.encode(text).tolist() == reference.encode_ordinary(text)


def test_long_runs_merge_one_by_one_where_ranks_are_in_no_order(tmp_path: Path) -> None:
    """The first `aa` becomes `aaa` before there is a second: a run may not be halved as it is."""
    ranks = {**BYTES, b"aaa": 256, b"--": 257, b"aa": 258, b"----": 259}
    path = write_tiktoken(tmp_path / "runs.tiktoken", ranks)
    tokenizer = Tokenizer.load(path, split_pattern=r"[\s\S]+", special_tokens={})
    reference = ReferenceEncoder(r"[\s\S]+", ranks, {})
    for size in (33, 34, 35, 255, 256, 300):
        for text in ("a" * size, "a" * size + "-" * 40, "-" + "a" * size + "-" * 41 + "a"):
            assert tokenizer.encode(text).tolist() == reference.encode_ordinary(text)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("YQ== 0\nYg==\n", "line 2: expected `base64 rank`"),
        ("YQ== 0\n!! 1\n", "line 2: the token is not base64"),
        ("YQ== 0\nYg== x\n", "line 2: the rank is not a number"),
        ("YQ== 0\nYg== 0\n", "line 2: the rank occurs twice"),
        ("YQ== 0\n", "no token stands for the single byte 0"),
    ],
)
def test_a_bad_tiktoken_file_is_refused_with_its_line(
    content: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "bad.tiktoken"
    path.write_text(content)
    with pytest.raises(VocabularyError, match=message):
        Tokenizer.load(str(path), split_pattern=PATTERN, special_tokens={})


def test_the_same_bytes_twice_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "twice.tiktoken"
    rows = [f"{base64.b64encode(token).decode()} {rank}" for token, rank in BYTES.items()]
    path.write_text("\n".join([*rows, "YWI= 256", "YWI= 257"]))
    with pytest.raises(VocabularyError, match="two tokens have the same bytes"):
        Tokenizer.load(str(path), split_pattern=PATTERN, special_tokens={})


def test_wrong_arguments_say_what_to_do(tmp_path: Path) -> None:
    path = write_tiktoken(tmp_path / "t.tiktoken", BYTES)
    cases = [
        ({"source": "gpt9"}, "expected one of r50k_base"),
        ({"source": "cl100k_base", "split_pattern": "x"}, "leave both out"),
        ({"source": path}, "split_pattern and special_tokens"),
        ({"source": path, "split_pattern": PATTERN, "special_tokens": {"<x>": 65}}, "ordinary"),
        ({"source": path, "split_pattern": PATTERN, "special_tokens": {"": 300}}, "special token"),
        (
            {"source": path, "split_pattern": PATTERN, "special_tokens": {"a": 300, "b": 300}},
            "same id",
        ),
        ({"source": path, "split_pattern": r"\p{L}+", "special_tokens": {}}, "unmatched"),
        ({"source": "missing.tiktoken", "split_pattern": ".", "special_tokens": {}}, "No such"),
    ]
    for arguments, message in cases:
        with pytest.raises(ConfigurationError, match=message):
            Tokenizer.load(**arguments)  # type: ignore[arg-type]
    with pytest.raises(PatternError, match="position 2"):
        Tokenizer.load(path, split_pattern="a*?", special_tokens={})


def test_a_bundled_table_that_is_not_the_published_one_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundled = dataclasses.replace(sources._BUNDLED["r50k_base"], sha256="0" * 64)
    monkeypatch.setitem(sources._BUNDLED, "r50k_base", bundled)
    with pytest.raises(VocabularyError, match=f"expected SHA-256 {'0' * 64}, found 306cd27"):
        sources.load_vocabulary("r50k_base")


@pytest.mark.parametrize("names", [["tokenizer.json"], ["tekken.json", "tokenizer.json"]])
def test_the_file_of_a_folder_is_the_first_that_is_there(names: list[str], tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"{}")
    assert sources.vocabulary_file(str(tmp_path)) == tmp_path / "tokenizer.json"


def test_a_broken_bundled_vocabulary_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that can not be decompressed, as one whose content is another."""
    read = Path.read_bytes
    for spoilt in (lambda data: data[:50] + b"\xff" * 50 + data[100:], lambda data: data[:-1]):
        monkeypatch.setattr(Path, "read_bytes", lambda self, spoilt=spoilt: spoilt(read(self)))
        with pytest.raises(VocabularyError, match=r"bundled r50k_base: .*: reinstall tokenmill"):
            sources.load_vocabulary("r50k_base")
