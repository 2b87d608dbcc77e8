"""What an export is asked to do."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.config import check_workers
from tokenizer import ConfigurationError
from transforms.exports.settings import ExportSettings
from transforms.exports.shuffle import BLOCK_TOKENS


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """What one `tokenmill export` is asked to do.

    Attributes:
        directory: the build, or several by name. output: the export's folder. settings: what
            decides its bytes.
        workers: local worker processes; None: one a core. Only without beam_flags.
        beam_flags: for another Beam runner; empty: run here.
        verbose: show what Beam has to say.
        stall_minutes: with beam_flags, how long no shard may be finished before that is said.
        block_tokens: how many ids are shuffled at a time: memory, and no byte, depends on it.
    """

    directory: str | Mapping[str, str]
    output: str
    settings: ExportSettings
    block_tokens: int = BLOCK_TOKENS
    workers: int | None = None
    beam_flags: tuple[str, ...] = ()
    verbose: bool = False
    stall_minutes: float = 15.0

    def __post_init__(self) -> None:
        if self.block_tokens < 1:
            raise ConfigurationError("must be at least 1", setting="shuffle_tokens")
        check_workers(self.workers, self.beam_flags)
