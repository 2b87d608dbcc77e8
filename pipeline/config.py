"""What one `tokenmill build` is asked to do."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.runners import Running
from tokenizer import ConfigurationError
from transforms.settings import TokenizeSettings

# The most that a worker takes beside its documents: Arrow, a vocabulary, its caches, a batch.
_MOST_WORKER_BYTES = 400 << 20
# A worker starts in half a second; in that time a core reads so much of compressed text.
_LITTLE_BYTES = 4 << 20


@dataclass(frozen=True, kw_only=True)
class BuildConfig:
    """A build, checked once here.

    Attributes:
        inputs: paths or glob patterns on any filesystem; `-` alone: standard input.
        output: the build's folder.
        settings: what decides the bytes.
        input_root: what input names are relative to; None: the folder all patterns share.
        workers: local worker processes; None: one a core. Only without beam_flags.
        beam_flags: for another Beam runner (`--runner=...` among them); empty: run locally.
        max_rejects: the share of records, and of bytes, that may be lost before the manifest is
            withheld, 0 to 1.
        max_memory_bytes: of all local workers together; None: no limit.
        allow_empty: a build without a single token is complete.
        allow_truncated: an input that ends too early costs what is missing, and no more.
        check_inputs: read every finished input again and compare its SHA-256 before resuming.
        overwrite: remove what is there and start over.
        repair: look at every file of the units that are done, and do those again whose files are
            not what their receipts say.
        verbose: show what Beam has to say.
        stall_minutes: with beam_flags, how long no input may be finished before that is said.
    """

    inputs: tuple[str, ...]
    output: str
    settings: TokenizeSettings = field(default_factory=TokenizeSettings)
    input_root: str | None = None
    workers: int | None = None
    beam_flags: tuple[str, ...] = ()
    max_rejects: float = 0.01
    max_memory_bytes: int | None = None
    allow_empty: bool = False
    allow_truncated: bool = False
    check_inputs: bool = False
    overwrite: bool = False
    repair: bool = False
    verbose: bool = False
    stall_minutes: float = 15.0

    def __post_init__(self) -> None:
        if not self.inputs:
            raise ConfigurationError("give at least one path or pattern", setting="input")
        if not self.output:
            raise ConfigurationError("give a folder", setting="output")
        if "-" in self.inputs and self.inputs != ("-",):
            raise ConfigurationError("- is standard input, and stands alone", setting="input")
        check_workers(self.workers, self.beam_flags)
        if self.stall_minutes <= 0:
            raise ConfigurationError(
                f"expected more than 0, found {self.stall_minutes}", setting="stall_minutes"
            )
        if not 0 <= self.max_rejects <= 1:
            raise ConfigurationError(
                f"expected a share from 0 to 1, found {self.max_rejects}", setting="max_rejects"
            )
        if self.max_memory_bytes is not None and self.max_memory_bytes < self._least_memory:
            raise ConfigurationError(
                f"a worker needs {self._least_memory >> 20} MiB, found "
                f"{self.max_memory_bytes >> 20}: give more, or a smaller max_document_bytes",
                setting="max_memory",
            )

    @property
    def _least_memory(self) -> int:
        # A document stands in memory as it is read, decoded, as text and as ids.
        return _MOST_WORKER_BYTES + 8 * self.settings.read.max_document_bytes

    def running(self, pending_bytes: int) -> Running:
        """How a pass over so many bytes of inputs is run.

        One worker a core, or as many as are asked for and fit; for very little, and where nobody
        asks for workers, this very process: starting them would take longer.
        """
        workers = available_cores() if self.workers is None else self.workers
        if self.max_memory_bytes is not None:
            workers = max(1, min(workers, self.max_memory_bytes // self._least_memory))
        elif self.workers is None and pending_bytes < _LITTLE_BYTES:
            workers = 0
        return Running(
            workers=workers,
            beam_flags=self.beam_flags,
            max_memory_bytes=self.max_memory_bytes,
            verbose=self.verbose,
            stall_minutes=self.stall_minutes,
        )


def check_workers(workers: int | None, beam_flags: Sequence[str]) -> None:
    """Raises ConfigurationError for a number of local workers that can not be."""
    if workers is None:
        return
    if workers < 1:
        raise ConfigurationError(f"expected 1 or more, found {workers}", setting="workers")
    if beam_flags:
        raise ConfigurationError(
            "is for local runs; with a runner, say how many in Beam's own flags",
            setting="workers",
        )


def available_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
