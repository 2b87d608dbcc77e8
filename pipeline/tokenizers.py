"""The tokenizer of a build that is there already."""

from tokenizer import BUNDLED_NAMES, ConfigurationError, Tokenizer
from transforms.errors import MismatchError
from transforms.shards.layout import MANIFEST
from transforms.shards.manifest import Manifest


def tokenizer_of(manifest: Manifest, given: Tokenizer | None) -> Tokenizer:
    """The tokenizer a build was made with: the one given, or a bundled one by its name.

    Raises:
        ConfigurationError: the vocabulary came from a file and none is given.
        MismatchError: it would not give the same ids.
    """
    name = manifest.settings["tokenizer"]["name"]
    expected = manifest.settings["tokenizer"]["fingerprint"]
    if given is None and name not in BUNDLED_NAMES:
        raise ConfigurationError(
            f"the build was made with a vocabulary from a file ({name!r}): name it, with "
            "split_pattern and special_tokens where it is a .tiktoken file",
            setting="tokenizer",
        )
    tokenizer = given or Tokenizer.load(name)
    if tokenizer.fingerprint != expected:
        raise MismatchError(
            f"{MANIFEST}: settings.tokenizer.fingerprint: expected {tokenizer.fingerprint}, that "
            f"of {tokenizer.vocabulary.name}, found {expected}: the build was made with another "
            "vocabulary, split pattern, special tokens or Unicode version"
        )
    return tokenizer
