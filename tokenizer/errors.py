"""The base of all errors that tokenmill raises on purpose, and those of text and vocabularies.

TokenmillError                  the base: catch this to catch them all
├── ConfigurationError          the caller asked for something impossible; also a ValueError
│   ├── PatternError            a split pattern uses a construct that does not compile
│   └── VocabularyError         a vocabulary file is malformed or not the published one
├── ...                         transforms/errors.py: files and passes
└── ...                         pipeline/errors.py: runs
"""


class TokenmillError(Exception):
    """The base of every error tokenmill raises on purpose."""


class ConfigurationError(TokenmillError, ValueError):
    """Settings that can not work; the message says what to change. Exit code 2."""

    def __init__(self, message: str, *, setting: str | None = None) -> None:
        """Makes the error.

        Args:
            message: what was expected, what was found, what to do.
            setting: the name of the setting at fault, where it is one: the message begins with it,
                and the command line shows the option of that name.
        """
        super().__init__(message if setting is None else f"{setting}: {message}")
        self.setting = setting


_SHOWN_CHARACTERS = 500  # of a pattern, on each side of what is wrong


class PatternError(ConfigurationError):
    """A split pattern uses a construct the compiler does not support."""

    def __init__(self, construct: str, position: int, pattern: str) -> None:
        before, after = pattern[:position], pattern[position:]
        if len(before) > _SHOWN_CHARACTERS:
            before = f"...{before[-_SHOWN_CHARACTERS:]}"
        if len(after) > _SHOWN_CHARACTERS:
            after = f"{after[:_SHOWN_CHARACTERS]}..."
        super().__init__(
            f"split pattern: {construct} at position {position} is not supported: "
            f"{before} >>> {after}"
        )
        self.construct = construct
        self.position = position
        self.pattern = pattern

    def __reduce__(self) -> tuple[type["PatternError"], tuple[str, int, str]]:
        return type(self), (self.construct, self.position, self.pattern)


class VocabularyError(ConfigurationError):
    """A vocabulary file is malformed, or is not the published one."""
