"""Where vocabularies come from."""

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
) -> Vocabulary:
    """A bundled vocabulary by name, or a `.tiktoken` file by path.

    split_pattern and special_tokens are required for a file (special_tokens may be empty) and
    refused for a bundled name. The special token `<|endoftext|>`, if there, ends documents.
    Raises ConfigurationError for an unknown source, VocabularyError for a bad file.
    """
    name = _ALIASES.get(source, source)
    if name in _BUNDLED:
        if split_pattern is not None or special_tokens is not None:
            raise ConfigurationError(
                f"{source} is bundled and has its own split pattern and special tokens: "
                "leave both out, or give the path of a .tiktoken file"
            )
        return _load_bundled(name)
    if not source.endswith(".tiktoken"):
        raise ConfigurationError(
            f"unknown tokenizer {source!r}: expected one of {', '.join(BUNDLED_NAMES)}, "
            "or the path of a .tiktoken file"
        )
    if split_pattern is None or special_tokens is None:
        raise ConfigurationError(
            f"{source}: a .tiktoken file holds neither split pattern nor special tokens: "
            "give both (--split-pattern and --special-tokens)"
        )
    return _load_tiktoken(Path(source), split_pattern, special_tokens)


def _load_bundled(name: str) -> Vocabulary:
    bundled = _BUNDLED[name]
    packed = resources.files("tokenizer") / "bundled" / f"{name}.tiktoken.zst"
    published = zstandard.ZstdDecompressor().decompress(packed.read_bytes())
    found = hashlib.sha256(published).hexdigest()
    if found != bundled.sha256:
        raise VocabularyError(
            f"bundled {name}: expected SHA-256 {bundled.sha256}, found {found}: reinstall tokenmill"
        )
    token_bytes, token_offsets = _native.parse_tiktoken(published)
    return Vocabulary(
        name=name,
        token_bytes=token_bytes,
        token_offsets=token_offsets,
        sha256=found,
        split_pattern=bundled.split_pattern,
        special_tokens=bundled.special_tokens,
        end_of_text=bundled.special_tokens["<|endoftext|>"],
    )


def _load_tiktoken(path: Path, split_pattern: str, special_tokens: Mapping[str, int]) -> Vocabulary:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"tokenizer {path}: {error.strerror}") from error
    try:
        token_bytes, token_offsets = _native.parse_tiktoken(content)
    except ValueError as error:
        raise VocabularyError(f"{path}: {error}") from error
    _check_special_tokens(special_tokens, np.diff(token_offsets))
    return Vocabulary(
        name=path.stem,
        token_bytes=token_bytes,
        token_offsets=token_offsets,
        sha256=hashlib.sha256(content).hexdigest(),
        split_pattern=split_pattern,
        special_tokens=dict(special_tokens),
        end_of_text=special_tokens.get("<|endoftext|>"),
    )


def _check_special_tokens(
    special_tokens: Mapping[str, int], lengths: npt.NDArray[np.uint64]
) -> None:
    for text, token in special_tokens.items():
        if not text or token < 0 or token >= 1 << 21:
            raise ConfigurationError(
                f"special token {text!r}: id {token} is not from 0 to 2^21 - 1"
            )
        if token < len(lengths) and lengths[token]:
            raise ConfigurationError(f"special token {text!r}: id {token} is an ordinary token's")
    if len(set(special_tokens.values())) != len(special_tokens):
        raise ConfigurationError("special tokens: two of them have the same id")
