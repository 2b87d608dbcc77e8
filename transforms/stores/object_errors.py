"""What object stores answer, as OSErrors that begin with the path.

no such key                FileNotFoundError
no, or wrong credentials   PermissionError, with what to set
cut off within an answer   CutOffError: obstore does not repeat such a request by itself
anything else              OSError
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class CutOffError(OSError):
    """The connection ended within an answer."""


class ObjectErrors:
    """The errors of one scheme.

    Args:
        errors: the module obstore.exceptions.
        hint: what to set where access is refused.
    """

    def __init__(self, errors: Any, hint: str) -> None:
        self._errors = errors
        self._hint = hint

    @contextmanager
    def named(self, path: str) -> Iterator[None]:
        """Has errors of the library in its block become OSErrors that begin with the path."""
        try:
            yield
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{path}: no such object") from error
        except (self._errors.PermissionDeniedError, self._errors.UnauthenticatedError) as error:
            raise PermissionError(
                f"{path}: the store refuses access: {first_line(error)}; {self._hint}"
            ) from error
        except (self._errors.BaseError, ValueError) as error:
            cut_off = "body error" in first_line(error)
            kind = CutOffError if cut_off else OSError
            raise kind(f"{path}: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """What an error of the library says; other lines repeat it for programmers."""
    return str(error).split("\n", 1)[0]
