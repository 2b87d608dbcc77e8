"""Repositories of the hub, through its own client; nothing here reaches a network."""

import pickle
import re
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import EntryNotFoundError
from published_tokenizers import write_json

from tokenizer import ConfigurationError, Tokenizer
from transforms.settings import TokenizeSettings

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str | None]]:
    """A client whose cache holds one repository; what it was asked for."""
    snapshot = tmp_path / "models--org--tiny" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    write_json(snapshot / "tokenizer.json", lambda root: None)
    asked: list[tuple[str, str, str | None]] = []

    def download(repository: str, name: str, *, revision: str | None = None, **_: Any) -> str:
        asked.append((repository, name, revision))
        if repository != "org/tiny":
            raise OSError("no network")
        if not (snapshot / name).is_file():
            raise EntryNotFoundError("404")
        return str(snapshot / name)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return asked


def test_a_repository_is_pinned_to_the_commit_it_was_found_at(
    hub: list[tuple[str, str, str | None]],
) -> None:
    tokenizer = Tokenizer.load("org/tiny", cache_bytes=1 << 20)
    assert hub == [("org/tiny", "tokenizer.json", None)]
    assert (tokenizer.vocabulary.name, tokenizer.vocabulary.revision) == ("org/tiny", COMMIT)
    again = pickle.loads(pickle.dumps(tokenizer))
    assert again.fingerprint == tokenizer.fingerprint
    assert hub[-1] == ("org/tiny", "tokenizer.json", COMMIT)
    settings = TokenizeSettings(tokenizer="org/tiny").pinned()
    assert settings.revision == COMMIT


def test_the_settings_name_the_commit(hub: list[tuple[str, str, str | None]]) -> None:
    settings = TokenizeSettings(tokenizer="org/tiny", end_of_text="none")
    assert settings.described(settings.load_tokenizer())["tokenizer"]["revision"] == COMMIT
    bundled = TokenizeSettings()
    assert bundled.described(bundled.load_tokenizer())["tokenizer"]["revision"] is None


def test_what_can_not_be_fetched_is_refused_with_the_reason(
    hub: list[tuple[str, str, str | None]],
) -> None:
    with pytest.raises(ConfigurationError, match=re.escape("org/other: not fetched from the hub")):
        Tokenizer.load("org/other")
