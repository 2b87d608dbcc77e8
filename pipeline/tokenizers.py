"""The tokenizer of a build: what the manifest says of it, and how it is found again."""

from tokenizer import BUNDLED_NAMES, ConfigurationError, Tokenizer
from transforms.errors import MismatchError
from transforms.settings import TokenizeSettings
from transforms.shards.build import Build
from transforms.shards.layout import MANIFEST, VOCABULARY_SUFFIXES, vocabulary_path
from transforms.shards.manifest import Manifest, TokenizerEntry
from transforms.shards.vocabulary_copy import load_copy


def entry_of(settings: TokenizeSettings, tokenizer: Tokenizer, file: str | None) -> TokenizerEntry:
    """What the manifest says of a tokenizer; file: the vocabulary's copy in the build, or None."""
    return TokenizerEntry(
        name=tokenizer.vocabulary.name,
        sha256=tokenizer.vocabulary.sha256,
        file=file,
        split_pattern=settings.split_pattern,
        special_tokens=settings.special_tokens,
        vocabulary_size=tokenizer.vocabulary_size,
        end_of_text=tokenizer.vocabulary.end_of_text,
    )


def tokenizer_of(source: Build, manifest: Manifest, given: Tokenizer | None) -> Tokenizer:
    """The tokenizer a build was made with: the one given, the build's own copy, or a bundled one.

    Raises:
        ConfigurationError: there is no such vocabulary.
        MismatchError: it would not give the same ids.
    """
    entry, name = manifest.tokenizer, manifest.settings["tokenizer"]["name"]
    expected = manifest.settings["tokenizer"]["fingerprint"]
    if given is not None:
        tokenizer = given
    elif entry.file is not None:
        if entry.file not in map(vocabulary_path, VOCABULARY_SUFFIXES):
            raise MismatchError(f"{MANIFEST}: tokenizer.file: {entry.file!r} holds no vocabulary")
        tokenizer = load_copy(
            source, entry.file, entry.sha256, entry.split_pattern, entry.special_tokens
        )
    elif name in BUNDLED_NAMES:
        tokenizer = Tokenizer.load(name)
    else:  # it may be anybody's manifest: nothing is fetched because it says so
        raise ConfigurationError(
            f"the build keeps no copy of its vocabulary ({name!r}): name one", setting="tokenizer"
        )
    if tokenizer.fingerprint != expected:
        raise MismatchError(
            f"{MANIFEST}: settings.tokenizer.fingerprint: expected {tokenizer.fingerprint}, that "
            f"of {tokenizer.vocabulary.name}, found {expected}: the build was made with another "
            "vocabulary, split pattern, special tokens or Unicode version"
        )
    return tokenizer
