"""`Notices`: what a command that goes on says once, and again when it has been otherwise between.

round 1   the store does not answer     said
round 2   the store does not answer
round 3   -
round 4   the store does not answer     said
"""

from collections.abc import Hashable, Iterable

from pipeline.terminal import escaped_message, say


class Notices:
    """What was said and is still so, by what it is about.

    Args:
        command: whose name each line begins with.
    """

    def __init__(self, command: str) -> None:
        self._command = command
        self._said: dict[Hashable, set[str]] = {}

    def tell(self, about: Hashable, message: str) -> None:
        """Says something, unless it was said and not forgotten."""
        said = self._said.setdefault(about, set())
        if message not in said:
            said.add(message)
            say(f"{self._command}: {escaped_message(message)}")

    def tell_all(self, about: Hashable, messages: Iterable[str]) -> None:
        """Says all that is so now, and forgets what is not."""
        now = set()
        for message in messages:
            self.tell(about, message)
            now.add(message)
        if now:
            self._said[about] = now
        else:
            self.forget(about)

    def forget(self, about: Hashable) -> None:
        """Has what is about this said again."""
        self._said.pop(about, None)
