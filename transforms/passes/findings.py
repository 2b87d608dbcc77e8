"""Differences between what a build should hold and what it holds: the place and both values."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from transforms.errors import MismatchError


@dataclass
class Findings:
    """The differences found so far, a message each."""

    messages: list[str] = field(default_factory=list)

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Ends its block at the first MismatchError and keeps the message."""
        try:
            yield
        except MismatchError as error:
            self.messages.append(str(error))


def expect(place: str, what: str, expected: Any, found: Any) -> None:
    """Raises MismatchError where the two differ."""
    if expected != found:
        raise MismatchError(f"{place}: {what}: expected {expected}, found {found}")


def expect_rows(
    place: str,
    rows: npt.NDArray[np.int64] | range,
    what: str,
    expected: npt.NDArray[Any],
    found: npt.NDArray[Any],
) -> None:
    """Raises MismatchError for the first element where the two differ; rows: their numbers."""
    wrong = expected != found
    if wrong.any():
        at = int(wrong.argmax())
        expect(f"{place} {int(rows[at])}", what, expected[at].item(), found[at].item())
