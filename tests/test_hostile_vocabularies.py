"""Vocabulary files from anywhere: a tokenizer or a named error, in bounded time and memory."""

import base64
import contextlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from fuzz import vocabulary_files
from hypothesis import given, settings
from hypothesis import strategies as st
from small_vocabularies import SHAPES, TEXTS, gemma_like, llama2_like, qwen3_like

from tokenizer import ConfigurationError, Tokenizer, VocabularyError
from tokenizer.errors import PatternError
from tokenizer.split.pattern import parse_split_pattern


@settings(max_examples=300, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32))
def test_a_hostile_file_is_a_tokenizer_or_a_named_error(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    """tests/fuzz/vocabulary_files.py runs as many as one likes."""
    vocabulary_files.load(seed, tmp_path_factory.mktemp("hostile"))


def test_hostile_files_reach_beyond_the_first_check(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Or the test above would show little: some load, and refusals are of many kinds."""
    folder = tmp_path_factory.mktemp("hostile")
    messages = set()
    loaded = 0
    for seed in range(250):
        name, content = vocabulary_files.content_of(seed)
        path = folder / f"{seed}-{name}"
        path.write_bytes(content)
        if name.endswith(".json"):
            try:
                loaded += bool(Tokenizer.load(path, cache_bytes=0))
            except ConfigurationError as error:
                messages.add(str(error).split(": ", 1)[1][:25])
    assert loaded > 10
    assert len(messages) > 25


def deep(kind: str, items: str) -> dict[str, Any]:
    section: dict[str, Any] = {"type": "ByteLevel"}
    for _ in range(60):
        section = {"type": "Sequence", items: [section]}
    return {kind: section}


def of_splits(count: int) -> dict[str, Any]:
    """A pre-tokenizer of so many parts that cut text."""
    behavior = {"behavior": "Isolated", "invert": False}
    parts = [
        {"type": "Split", "pattern": {"Regex": f"x{number}+"}, **behavior}
        for number in range(count)
    ]
    parts.append({"type": "ByteLevel", "add_prefix_space": False, "use_regex": False})
    return {"pre_tokenizer": {"type": "Sequence", "pretokenizers": parts}}


def without_bytes(section: dict[str, Any]) -> dict[str, Any]:
    del section["pre_tokenizer"]["pretokenizers"][-1]
    return section


def of_pattern(kind: str, pattern: str) -> dict[str, Any]:
    section = of_splits(1)
    section["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {kind: pattern}
    return section


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (deep("pre_tokenizer", "pretokenizers"), "16 deep"),
        (deep("normalizer", "normalizers"), "16 deep"),
        (deep("post_processor", "processors"), "16 deep"),
        (of_splits(16), r"pretokenizers\[15\]: more than 15 parts that cut text"),
        (of_splits(5000), "more than 15 parts that cut text"),
        ({"post_processor": {"type": "BertProcessing", "cls": [], "sep": ["x", 1]}}, "pairs"),
        ({"post_processor": {"type": "RobertaProcessing", "cls": ["x", 2], "sep": 1}}, "'sep'"),
        ({"post_processor": {"type": "TemplateProcessing", "single": [{}]}}, "special_tokens"),
        ({"added_tokens": [7]}, r"added_tokens\[0\]: expected an object, found 7"),
        ({"added_tokens": {"a": 1}}, "'added_tokens' to be list"),
        ({"normalizer": {"type": "Replace", "pattern": "a", "content": "b"}}, "pattern"),
        ({"normalizer": {"type": "Prepend", "prepend": 5}}, "'prepend' to be str, found 5"),
        ({"normalizer": {"type": "Prepend", "prepend": "a" * 2000}}, "1024 times as long"),
        ({"model": 5}, "model: expected an object, found 5"),
        ({"model": {"type": "BPE", "vocab": [], "merges": []}}, "'vocab' to be dict"),
        ({"model": {"type": "BPE", "vocab": {"a": True}, "merges": []}}, "expected ids from 0"),
    ],
)
def test_what_has_the_wrong_shape_is_named(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(qwen3_like() | change))
    with pytest.raises(VocabularyError, match=message):
        Tokenizer.load(path)


def test_as_many_parts_as_the_engine_takes_cut_text(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(qwen3_like() | of_splits(15)))
    assert len(Tokenizer.load(path).encode("x1 x14x13")) == 9
    # Byte fallback cuts once more.
    path.write_text(json.dumps(llama2_like() | without_bytes(of_splits(15))))
    assert Tokenizer.load(path).decode(Tokenizer.load(path).encode("a1")) == "a1"


@pytest.mark.parametrize(
    "change",
    [of_pattern("Regex", "|".join(map(str, range(100_000)))), of_pattern("String", "ab" * 500_000)],
    ids=["alternatives", "a text"],
)
def test_a_pattern_of_a_megabyte_is_refused_at_once(change: dict[str, Any], tmp_path: Path) -> None:
    """It took a minute to be told that its program is too long."""
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(qwen3_like() | change))
    with pytest.raises(PatternError, match="a pattern of over 65536 characters") as refused:
        Tokenizer.load(path)
    assert len(str(refused.value)) < 2000


def test_a_pattern_of_just_the_limit_is_parsed() -> None:
    for count, is_refused in ((1 << 16, False), ((1 << 16) + 1, True)):
        pattern = "[" + "a" * (count - 2) + "]"
        with pytest.raises(PatternError) if is_refused else contextlib.nullcontext():
            parse_split_pattern(pattern)


@pytest.mark.parametrize("content", [b"[" * 200_000, b'{"a": "\\ud800"}', b"\xff", b"{} x", b"[]"])
def test_what_is_no_json_object_is_named(content: bytes, tmp_path: Path) -> None:
    for name in ("tokenizer.json", "tekken.json"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(VocabularyError, match=r"not JSON|expected an object"):
            Tokenizer.load(tmp_path / name)


@pytest.mark.parametrize("name", ["tokenizer.json", "tekken.json", "x.tiktoken"])
def test_a_pipe_and_a_device_are_refused_before_they_are_read(name: str, tmp_path: Path) -> None:
    """They took all memory, or hung without a word."""
    more: dict[str, Any] = {}
    if name.endswith(".tiktoken"):
        more = {"split_pattern": r"[\s\S]", "special_tokens": {}}
    os.mkfifo(tmp_path / name)
    with pytest.raises(ConfigurationError, match=f"{name}: a pipe or a device"):
        Tokenizer.load(tmp_path / name, **more)
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(ConfigurationError, match=f"{name}: a pipe or a device"):
        Tokenizer.load(tmp_path / name, **more)
    (tmp_path / name).unlink()
    with pytest.raises(ConfigurationError, match="No such file"):
        Tokenizer.load(tmp_path / name, **more)


def template(number: int) -> dict[str, Any]:
    return {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [number], "tokens": ["<s>"]}},
    }


@pytest.mark.parametrize(
    "section",
    [template(9999), {"type": "RobertaProcessing", "cls": ["<s>", 0], "sep": ["</s>", 9999]}],
    ids=lambda one: one["type"],
)
def test_a_post_processor_names_ids_of_the_vocabulary_alone(
    section: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(gemma_like() | {"post_processor": section}))
    with pytest.raises(VocabularyError, match="post_processor: id 9999 is no token"):
        Tokenizer.load(path)
    path.write_text(json.dumps(gemma_like() | {"post_processor": template(1)}))
    assert Tokenizer.load(path).begin_of_text == 1


def many_special_tokens(folder: Path) -> Path:
    root = vocabulary_files.tekken()
    root["config"] |= {"default_num_special_tokens": 30_000_000, "default_vocab_size": 30_000_258}
    (folder / "tekken.json").write_text(json.dumps(root))
    return folder / "tekken.json"


def one_long_token(folder: Path) -> Path:
    tokens = [bytes([one]) for one in range(256)] + [b"x" * 20_000_000]
    lines = [base64.b64encode(token) + b" %d" % rank for rank, token in enumerate(tokens)]
    (folder / "long.tiktoken").write_bytes(b"\n".join(lines))
    return folder / "long.tiktoken"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (many_special_tokens, "default_num_special_tokens 30000000: expected at most 16384"),
        (one_long_token, "token 256 has 20,000,000 bytes: expected at most 65,536"),
    ],
)
def test_memory_is_bounded_by_the_size_of_the_file(
    make: Callable[[Path], Path], message: str, tmp_path: Path
) -> None:
    path = make(tmp_path)
    code = (
        "import resource, sys\n"
        "from tokenizer import Tokenizer, VocabularyError\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "file = sys.argv[1]\n"
        "more = dict(split_pattern=r'\\S+|\\s+', special_tokens={}) if 'tik' in file else {}\n"
        "try: Tokenizer.load(file, **more)\n"
        "except VocabularyError as error: print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    printed, kibibytes = ended.stdout.splitlines()
    assert message in printed
    assert int(kibibytes) * 1024 < 50_000_000 + 6 * path.stat().st_size


def test_a_cache_of_more_than_four_gibibytes_is_refused() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for wrong in (2**33, -1):
        with pytest.raises(ConfigurationError, match=f"found {wrong}"):
            Tokenizer.load("r50k_base", cache_bytes=wrong)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000


@pytest.mark.parametrize("wrong", [{5: 300}, {"<a>": "300"}, {"<a>": None}, {"<a>": True}])
def test_special_tokens_are_texts_and_ids(wrong: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.tiktoken"
    path.write_text("IQ== 0\n")
    with pytest.raises(ConfigurationError, match="expected texts and their ids"):
        Tokenizer.load(path, split_pattern=".", special_tokens=wrong)


def test_metaspace_without_its_keys_has_the_defaults_of_tokenizers(tmp_path: Path) -> None:
    every = ({}, {"split": False}, {"prepend_scheme": "never"}, {"prepend_scheme": "first"})
    for number, options in enumerate(every):
        root = SHAPES["metaspace"]()
        root["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", **options}
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(root))
        expected = tokenizers.Tokenizer.from_file(str(path))
        expected.encode_special_tokens = True
        found = Tokenizer.load(path)
        for text in TEXTS:
            assert found.encode(text).tolist() == expected.encode(text).ids, (options, text)
