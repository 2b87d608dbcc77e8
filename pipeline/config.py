"""What one `tokenmill build` is asked to do."""

import os
from dataclasses import dataclass, field

from tokenizer import ConfigurationError
from transforms.settings import TokenizeSettings


@dataclass(frozen=True, kw_only=True)
class BuildConfig:
    """A build, checked once here.

    inputs: paths or glob patterns on any filesystem Beam knows. output: the build's folder.
    input_root: what input names are relative to; None: the folder all patterns share.
    workers: local worker processes; None: one a core. Only without beam_flags.
    beam_flags: for another Beam runner (`--runner=...` among them); empty: run locally.
    max_rejects: the share of records that may be faulty before the manifest is withheld, 0 to 1.
    """

    inputs: tuple[str, ...]
    output: str
    settings: TokenizeSettings = field(default_factory=TokenizeSettings)
    input_root: str | None = None
    workers: int | None = None
    beam_flags: tuple[str, ...] = ()
    max_rejects: float = 0.01
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not self.inputs:
            raise ConfigurationError("no input: give at least one path or pattern with --input")
        if not self.output:
            raise ConfigurationError("no output: give a folder with --output")
        if self.workers is not None and self.workers < 1:
            raise ConfigurationError(f"--workers {self.workers}: expected 1 or more")
        if self.workers is not None and self.beam_flags:
            raise ConfigurationError(
                "--workers is for local runs; with --runner, say how many in Beam's own flags"
            )
        if not 0 <= self.max_rejects <= 1:
            raise ConfigurationError(
                f"--max-rejects {self.max_rejects}: expected a share from 0 to 1"
            )

    @property
    def worker_count(self) -> int:
        """Local worker processes: as asked, or one for each core this process may use."""
        return available_cores() if self.workers is None else self.workers


def available_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
