"""Where vocabularies come from: bundled tables, files, folders, repositories of the hub.

The bundled tables are the ones tiktoken pins, byte for byte, compressed with zstd. Their SHA-256
is that of the published file and is checked at every load. Patterns and special tokens are facts
of the published encodings (openai/tiktoken, tiktoken_ext/openai_public.py).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import zstandard

from tokenizer.errors import ConfigurationError, VocabularyError
from tokenizer.vocabularies.hub import TOKENIZER_FILES, fetch_tokenizer, is_repository
from tokenizer.vocabularies.model_names import vocabulary_of_model
from tokenizer.vocabularies.tekken_json import read_tekken
from tokenizer.vocabularies.tiktoken_file import parse_tiktoken
from tokenizer.vocabularies.tokenizer_json import end_of_text_of, read_tokenizer_json
from tokenizer.vocabulary import AddedToken, Vocabulary

_GPT2_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
_CL100K_PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"
    r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
_O200K_PATTERN = "|".join(
    (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)


@dataclass(frozen=True, slots=True)
class _Bundled:
    sha256: str
    split_pattern: str
    special_tokens: Mapping[str, int]


_BUNDLED = {
    "r50k_base": _Bundled(
        "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930",
        _GPT2_PATTERN,
        {"<|endoftext|>": 50256},
    ),
    "p50k_base": _Bundled(
        "94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069",
        _GPT2_PATTERN,
        {"<|endoftext|>": 50256},
    ),
    "cl100k_base": _Bundled(
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        _CL100K_PATTERN,
        {
            "<|endoftext|>": 100257,
            "<|fim_prefix|>": 100258,
            "<|fim_middle|>": 100259,
            "<|fim_suffix|>": 100260,
            "<|endofprompt|>": 100276,
        },
    ),
    "o200k_base": _Bundled(
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        _O200K_PATTERN,
        {"<|endoftext|>": 199999, "<|endofprompt|>": 200018},
    ),
}
_ALIASES = {"gpt2": "r50k_base"}

BUNDLED_NAMES = (*_BUNDLED, *_ALIASES)


def load_vocabulary(
    source: str,
    split_pattern: str | None = None,
    special_tokens: Mapping[str, int] | None = None,
    revision: str | None = None,
) -> Vocabulary:
    """The vocabulary of a bundled name, a file, a folder or a repository of the hub.

    Args:
        source: A bundled name; the path of a .tiktoken file, a tokenizer.json or a tekken.json; a
            folder that holds one of the last two; or `org/name` on the hub.
        split_pattern: Of a .tiktoken file, which needs it; refused for all else.
        special_tokens: The same; may be empty.
        revision: On the hub: a commit, branch or tag; None: main.

    Raises:
        ConfigurationError: An unknown source.
        VocabularyError: A bad file.
    """
    path = Path(source)
    is_tiktoken = source.endswith(".tiktoken")
    if not is_tiktoken and (split_pattern is not None or special_tokens is not None):
        raise ConfigurationError(
            f"{source} has its own split pattern and special tokens: leave both out, or give the "
            "path of a .tiktoken file"
        )
    if source in BUNDLED_NAMES:
        return _load_bundled(_ALIASES.get(source, source))
    if is_tiktoken:
        if split_pattern is None or special_tokens is None:
            raise ConfigurationError(
                f"{source}: a .tiktoken file holds neither split pattern nor special tokens: "
                "give both split_pattern and special_tokens"
            )
        return _load_tiktoken(path, split_pattern, special_tokens)
    if path.is_dir():
        return _load_folder(path, path.resolve().name)
    if source.endswith(".json"):
        return _load_json(path, path.parent.resolve().name if _is_usual(path) else path.stem)
    if is_repository(source):
        file, commit = fetch_tokenizer(source, revision)
        return replace(_load_json(file, source), revision=commit)
    meant = vocabulary_of_model(source)
    hint = f": that model's is {meant}" if meant else ""
    raise ConfigurationError(
        f"unknown tokenizer {source!r}{hint}: expected one of {', '.join(BUNDLED_NAMES)}; the path "
        "of a .tiktoken file, a tokenizer.json, a tekken.json or a folder that holds one of these; "
        "or org/name on the Hugging Face hub"
    )


def vocabulary_file(source: str, revision: str | None = None) -> Path | None:
    """The local file that `load_vocabulary` reads; None for a bundled vocabulary.

    Raises:
        ConfigurationError: There is none, or the hub does not give it.
    """
    path = Path(source)
    if source in BUNDLED_NAMES:
        return None
    if path.is_dir():
        found = [path / name for name in TOKENIZER_FILES if (path / name).is_file()]
        if not found:
            raise ConfigurationError(f"{path}: expected a tokenizer.json or a tekken.json in it")
        return found[0]
    if not source.endswith((".tiktoken", ".json")) and is_repository(source):
        return fetch_tokenizer(source, revision)[0]
    return path


def _load_bundled(name: str) -> Vocabulary:
    bundled = _BUNDLED[name]
    packed = resources.files("tokenizer") / "bundled" / f"{name}.tiktoken.zst"
    try:
        published = zstandard.ZstdDecompressor().decompress(packed.read_bytes())
    except zstandard.ZstdError:
        published = b""
    found = hashlib.sha256(published).hexdigest()
    if found != bundled.sha256:
        raise VocabularyError(
            f"bundled {name}: expected SHA-256 {bundled.sha256}, found {found}: reinstall tokenmill"
        )
    return _of_tiktoken(name, published, bundled.split_pattern, bundled.special_tokens)


def _load_tiktoken(path: Path, split_pattern: str, special_tokens: Mapping[str, int]) -> Vocabulary:
    content = _read(path)
    _check_special_tokens(special_tokens)
    try:
        vocabulary = _of_tiktoken(path.stem, content, split_pattern, special_tokens)
    except VocabularyError as error:
        raise VocabularyError(f"{path}: {error}") from error
    lengths = vocabulary.lengths()
    for text, token in special_tokens.items():
        if token < len(lengths) and lengths[token]:
            raise ConfigurationError(f"special token {text!r}: id {token} is an ordinary token's")
    return vocabulary


def _of_tiktoken(
    name: str, content: bytes, split_pattern: str, special_tokens: Mapping[str, int]
) -> Vocabulary:
    token_bytes, token_offsets = parse_tiktoken(content)
    return Vocabulary(
        name=name,
        token_bytes=token_bytes,
        token_offsets=token_offsets,
        sha256=hashlib.sha256(content).hexdigest(),
        split_pattern=split_pattern,
        added_tokens=tuple(AddedToken(text, one) for text, one in special_tokens.items()),
        end_of_text=end_of_text_of(special_tokens),
    )


def _load_folder(folder: Path, name: str) -> Vocabulary:
    for file in TOKENIZER_FILES:
        if (folder / file).is_file():
            return _load_json(folder / file, name)
    raise ConfigurationError(f"{folder}: expected a tokenizer.json or a tekken.json in it")


def _load_json(path: Path, name: str) -> Vocabulary:
    content = _read(path)
    # tekken.json has its pattern near its start, in `config`; tokenizer.json has `model`.
    is_tekken = b'"default_vocab_size"' in content[:10_000] or path.name == "tekken.json"
    return read_tekken(content, name) if is_tekken else read_tokenizer_json(content, name)


def _is_usual(path: Path) -> bool:
    """Whether a file's name says nothing, as all of its kind are called so."""
    return path.name in TOKENIZER_FILES


def _read(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise OSError("a pipe or a device, which may never end: expected a file")
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"tokenizer {path}: {reason}") from error


def _check_special_tokens(special_tokens: Mapping[str, int]) -> None:
    for text, token in special_tokens.items():
        if not isinstance(text, str) or isinstance(token, bool) or not isinstance(token, int):
            raise ConfigurationError(
                f"special tokens: expected texts and their ids, found {text!r}: {token!r}"
            )
        if not text or token < 0 or token >= 1 << 21:
            raise ConfigurationError(
                f"special token {text!r}: id {token} is not from 0 to 2^21 - 1"
            )
    if len(set(special_tokens.values())) != len(special_tokens):
        raise ConfigurationError("special tokens: two of them have the same id")
