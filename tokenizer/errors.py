"""Every error that tokenmill raises on purpose.

TokenmillError                  the base: catch this to catch them all
├── ConfigurationError          the caller asked for something impossible; also a ValueError
│   ├── PatternError            a split pattern uses a construct that does not compile
│   └── VocabularyError         a vocabulary file is malformed or not the published one
├── BooksError                  counts that must be equal are not: nothing is committed
├── MismatchError               what is on disk is not what the settings or the manifest say
└── WorkerDiedError             a worker process ended without a result
"""


class TokenmillError(Exception):
    """The base of every error tokenmill raises on purpose."""


class ConfigurationError(TokenmillError, ValueError):
    """Settings that can not work; the message says what to change. Exit code 2."""


class PatternError(ConfigurationError):
    """A split pattern uses a construct the compiler does not support."""

    def __init__(self, construct: str, position: int, pattern: str) -> None:
        super().__init__(
            f"split pattern: {construct} at position {position} is not supported: "
            f"{pattern[:position]} >>> {pattern[position:]}"
        )
        self.construct = construct
        self.position = position
        self.pattern = pattern

    def __reduce__(self) -> tuple[type["PatternError"], tuple[str, int, str]]:
        return type(self), (self.construct, self.position, self.pattern)


class VocabularyError(ConfigurationError):
    """A vocabulary file is malformed, or is not the published one."""


class BooksError(TokenmillError):
    """Counts that must be equal are not; the unit is not committed."""


class MismatchError(TokenmillError):
    """What is on disk is not what the settings or the manifest say."""


class WorkerDiedError(TokenmillError):
    """A worker process ended without a result."""
