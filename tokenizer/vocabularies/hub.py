"""Tokenizers of Hugging Face hub repositories, fetched by the hub's own client.

The client brings its cache, its settings for proxies, mirrors and offline use, and its credentials.
What is loaded is pinned to a commit, so that every worker and every later run gets the same file.
"""

import re
from pathlib import Path

from tokenizer.errors import ConfigurationError

_REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
TOKENIZER_FILES = ("tokenizer.json", "tekken.json")


def is_repository(source: str) -> bool:
    """Whether `source` is written as `org/name`."""
    return _REPOSITORY.fullmatch(source) is not None


def fetch_tokenizer(repository: str, revision: str | None) -> tuple[Path, str]:
    """The local file of a repository's tokenizer, and the commit it is from.

    Raises:
        ConfigurationError: The client is missing, nothing is reached, or nothing is there.
    """
    try:
        import huggingface_hub
        from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError
    except ImportError as error:
        raise ConfigurationError(
            f"{repository}: fetching from the hub needs its client: pip install 'tokenmill[hub]'"
        ) from error
    for name in TOKENIZER_FILES:
        try:
            path = Path(huggingface_hub.hf_hub_download(repository, name, revision=revision))
        except EntryNotFoundError:
            continue
        except (HfHubHTTPError, OSError, ValueError) as error:
            raise ConfigurationError(f"{repository}: not fetched from the hub: {error}") from error
        return path, _commit_of(path, repository)
    raise ConfigurationError(f"{repository}: the hub has no {' or '.join(TOKENIZER_FILES)} there")


def _commit_of(path: Path, repository: str) -> str:
    """The commit: the client's cache keeps a file at snapshots/<commit>/<name>."""
    if path.parent.parent.name != "snapshots":
        raise ConfigurationError(f"{repository}: expected {path} to be in a folder `snapshots`")
    return path.parent.name
