"""The half of a store that writes, for stores that only give inputs."""

from collections.abc import Sequence
from typing import BinaryIO, NoReturn

from tokenizer import ConfigurationError


class ReadOnlyStore:
    """Every method that writes raises ConfigurationError, naming the path."""

    def create(self, path: str) -> BinaryIO:
        """Refused."""
        _refuse(path)

    def write(self, path: str, content: bytes) -> None:
        """Refused."""
        _refuse(path)

    def put(self, local_path: str, path: str) -> None:
        """Refused."""
        _refuse(path)

    def write_new(self, path: str, content: bytes) -> bool:
        """Refused."""
        _refuse(path)

    def write_over(self, path: str, content: bytes, version: str) -> bool:
        """Refused."""
        _refuse(path)

    def delete(self, paths: Sequence[str]) -> None:
        """Refused."""
        _refuse(paths[0])

    def rename(self, source: str, target: str) -> None:
        """Refused."""
        _refuse(target)


def _refuse(path: str) -> NoReturn:
    scheme = path.partition("://")[0]
    raise ConfigurationError(
        f"{path}: {scheme}:// gives inputs, and takes no output: name a local folder, s3://, "
        "gs://, az:// or hdfs://"
    )
