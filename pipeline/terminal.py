"""Text on its way to a terminal or a file: nothing in it may move the cursor, lie, or end a job.

stdout   the result of a command: `show`. Where it can not be written, the command says so after
         its work is done; a reader that has gone (`tokenmill build | head`) is no error.
stderr   what happens meanwhile: `say`. A job does not end because nobody can be told of it.
"""

import contextlib
import os
import sys
from typing import TextIO


class OutputError(OSError):
    """The result of a command could not be written to standard output."""


def escaped(text: str) -> str:
    r"""The text with every control character, line break and lone surrogate escaped.

    >>> escaped("naïve 🧵"), escaped("a\x1b[2J\ncomplete: yes")
    ('naïve 🧵', 'a\\x1b[2J\\ncomplete: yes')
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def escaped_message(message: str) -> str:
    r"""A message of one line or several: each escaped, all but the first indented.

    A file's name in it may hold a line break: what follows that can not pass for a line of ours.

    >>> print(escaped_message("no such file: a\ncomplete: out/manifest.json"))
    no such file: a
      complete: out/manifest.json
    """
    first, *more = message.split("\n")
    return "\n".join([escaped(first), *(f"  {escaped(line.strip())}" for line in more)])


def say(message: str, *, stream: TextIO | None = None) -> None:
    """Tells the user something on stderr, if anybody can be told."""
    with contextlib.suppress(OSError, ValueError):
        print(message, file=stream or sys.stderr, flush=True)


def show(text: str) -> None:
    """Writes a result to standard output, all of it, now.

    Raises:
        OutputError: it could not be written, other than because its reader has gone.
    """
    try:
        print(text, flush=True)
    except BrokenPipeError:
        _drop_output()
    except OSError as error:
        _drop_output()
        raise OutputError(f"standard output: {error.strerror or error}") from error


def _drop_output() -> None:
    """What is left in the buffer has nowhere to go; Python would try again as it ends."""
    with contextlib.suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
