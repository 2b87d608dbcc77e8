"""Data sets of the Hugging Face Hub: hf://datasets/<owner>/<name>[@<revision>]/<path>, as inputs.

    hf://datasets/allenai/c4/en/*.json.gz          the newest commit of the branch main
    hf://datasets/allenai/c4@1588ec4/en/*.json.gz  that commit: the same bytes for ever

HF_TOKEN (or what `hf auth login` keeps) opens private ones, HF_ENDPOINT names another server.
"""

import json
import os
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from tokenizer import ConfigurationError
from transforms.stores.patterns import find_by_listing
from transforms.stores.read_only import ReadOnlyStore
from transforms.stores.store import FoundFile
from transforms.stores.web_client import request
from transforms.stores.web_store import open_url

_PATH = re.compile(r"\s*hf://datasets/([^/@]+/[^/@]+)(?:@([^/]+))?(?:/(.*))?", re.DOTALL)
_COMMIT = re.compile("[0-9a-f]{40}")


class HubStore(ReadOnlyStore):
    """Files of data sets on the Hub."""

    def find(self, pattern: str) -> list[FoundFile]:
        """Subfolders are listed only where the pattern reaches into them."""
        return find_by_listing(pattern, self.look_up, self._list)

    def list(self, folder: str) -> Iterator[FoundFile]:
        """A page of a thousand in a request."""
        return self._list(folder, True)

    def exists(self, path: str) -> bool:
        """One request."""
        return self.look_up(path) is not None

    def look_up(self, path: str) -> FoundFile | None:
        """By a listing of its folder, which alone tells the version."""
        folder = path.rpartition("/")[0]
        return next((file for file in self._list(folder, False) if file.path == path), None)

    def open(self, path: str) -> BinaryIO:
        """By ranges."""
        repository, revision, inside = _parts_of(path)
        url = f"{_endpoint()}/datasets/{repository}/resolve/{quote(revision, '')}/{quote(inside)}"
        return open_url(url, path, _credentials())

    def read(self, path: str) -> tuple[bytes, str]:
        """Without a version."""
        with self.open(path) as file:
            return file.read(), ""

    def _list(self, folder: str, is_deep: bool) -> Iterator[FoundFile]:
        repository, revision, inside = _parts_of(folder.rstrip("/"))
        prefix = folder.rstrip("/")[: len(folder.rstrip("/")) - len(inside)].rstrip("/")
        url = f"{_endpoint()}/api/datasets/{repository}/tree/{quote(revision, '')}"
        url += f"/{quote(inside)}" if inside else ""
        url += f"?recursive={str(is_deep).lower()}&limit=1000"
        while url:
            try:
                answer = request(url, folder, secret_headers=_credentials())
            except FileNotFoundError:
                return
            for entry in json.loads(answer.body):
                if entry["type"] == "file":
                    version = (entry.get("lfs") or entry)["oid"]
                    yield FoundFile(f"{prefix}/{entry['path']}", entry["size"], version)
            following = re.search(r'<([^>]+)>;\s*rel="next"', answer.headers.get("Link") or "")
            url = following.group(1) if following else ""


def pin_revision(pattern: str) -> str:
    """The same pattern with the commit that its revision stands for now. One request.

    Raises:
        ConfigurationError: there is no such data set or revision, or it is not for this token.
    """
    repository, revision, _ = _parts_of(pattern)
    if _COMMIT.fullmatch(revision):
        return pattern
    commit = _commit_of(_endpoint(), repository, revision)
    head, _, tail = pattern.partition(repository)
    return f"{head}{repository}@{commit}{tail.removeprefix(f'@{revision}')}"


@lru_cache
def _commit_of(endpoint: str, repository: str, revision: str) -> str:
    url = f"{endpoint}/api/datasets/{repository}/revision/{quote(revision, '')}"
    place = f"hf://datasets/{repository}@{revision}"
    try:
        answer: Any = json.loads(request(url, place, secret_headers=_credentials()).body)
    except (FileNotFoundError, PermissionError) as error:
        raise ConfigurationError(
            f"{error}: check its name; for a private or gated one set HF_TOKEN"
        ) from error
    return str(answer["sha"])


def _parts_of(path: str) -> tuple[str, str, str]:
    """Repository, revision and the path inside."""
    match = _PATH.fullmatch(path)
    if match is None:
        raise ConfigurationError(f"{path}: expected hf://datasets/<owner>/<name>[@<revision>]/...")
    return match.group(1), match.group(2) or "main", match.group(3) or ""


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def _credentials() -> dict[str, str]:
    token = os.environ.get("HF_TOKEN")
    if not token:
        home = os.environ.get("HF_HOME", "~/.cache/huggingface")
        kept = Path(os.environ.get("HF_TOKEN_PATH", f"{home}/token")).expanduser()
        token = kept.read_text(encoding="utf-8").strip() if kept.is_file() else None
    return {"Authorization": f"Bearer {token}"} if token else {}
