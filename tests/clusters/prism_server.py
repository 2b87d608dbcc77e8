"""Prism, Beam's own portable runner, which each command starts for itself."""

from engines import Engine


class PrismServer(Engine):
    """Nothing runs until a command starts it, and nothing when that has ended."""

    RESTARTS_WORKERS = False

    def start(self) -> None:
        assert (self.home / "prism").exists()

    def wait_until_idle(self) -> None:
        """It has ended with its command."""

    def submit_flags(self) -> list[str]:
        return [
            "--runner=PrismRunner",
            f"--prism_location={self.home}/prism",
        ]
