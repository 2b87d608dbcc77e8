"""Standard input as the one input of a build."""

import shutil
import sys
from pathlib import Path

from pipeline.config import BuildConfig
from tokenizer import ConfigurationError
from transforms.filesystem import naming_place
from transforms.passes.work_pass import WorkUnit
from transforms.shards.build import Build

_STANDARD_INPUT = "stdin"


def check_pipe(config: BuildConfig) -> None:
    """Raises ConfigurationError where standard input can not be the input of that build."""
    if sys.stdin is None or sys.stdin.closed:
        raise ConfigurationError("standard input is closed", setting="input")
    if config.settings.read.input_format is None:
        raise ConfigurationError("standard input has no name to go by", setting="input_format")
    if config.beam_flags:
        raise ConfigurationError("standard input reaches no other runner", setting="input")


def spool(target: Build) -> WorkUnit:
    """Standard input as a file: a unit may have to be read twice."""
    path = Path(target.staging, _STANDARD_INPUT)
    path.parent.mkdir(parents=True, exist_ok=True)
    with naming_place(str(path)), path.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file, 1 << 20)
    return WorkUnit(_STANDARD_INPUT, str(path), path.stat().st_size)
