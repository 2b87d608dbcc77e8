"""`tokenmill verify`: checks a build (pipeline/verify_build.py) or an export (verify_export.py)."""

import argparse
from collections.abc import Mapping, Sequence

from pipeline import exit_codes
from pipeline.export_options import parse_builds
from pipeline.options import add_common, add_running, add_tokenizer, given_tokenizer
from pipeline.quantities import share
from pipeline.report import as_json
from pipeline.terminal import say, show
from pipeline.verify_build import check_build
from pipeline.verify_export import check_export, holds_export, refuse_options_of_builds
from pipeline.verify_result import VerifyExportResult, VerifyResult
from tokenizer import ConfigurationError, Tokenizer

HELP = "Check a build or an export, down to each token."
EXAMPLES = """\
  tokenmill verify shards
  tokenmill verify shards --retokenize 1%
  tokenmill verify shards --retokenize 1 --input-root /mnt/elsewhere
  tokenmill verify shards --version 3
  tokenmill verify train --source shards
  tokenmill verify gs://tokens --runner=FlinkRunner --flink_master=host:8081"""
TAKES_BEAM_FLAGS = True


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Adds every option of the command."""
    command.add_argument("directory", metavar="DIR", help="the build or the export")
    command.add_argument(
        "--retokenize",
        type=share,
        default=0.0,
        metavar="SHARE",
        help="do this share of the units again from their inputs, such as 1%%, at least one, and "
        "compare every token (default: 0)",
    )
    command.add_argument(
        "--input-root",
        metavar="DIR",
        help="where the inputs are now (default: where the last run read them)",
    )
    command.add_argument(
        "--source",
        nargs="+",
        metavar="DIR",
        help="of an export: the build that it was made of, or several, each as NAME=DIR (default: "
        "where the last run read them)",
    )
    command.add_argument(
        "--version",
        metavar="WHICH",
        help="of a build that `tokenmill watch` makes: just that version, by its number, or 12 "
        "characters or more of its SHA-256 (default: all that the manifest names)",
    )
    add_tokenizer(command, default="the build's own")
    add_running(command)
    add_common(command)


def run(options: argparse.Namespace, beam_flags: Sequence[str]) -> int:
    """The command; returns its exit code."""
    return verify(
        options.directory,
        retokenize=options.retokenize,
        input_root=options.input_root,
        tokenizer=given_tokenizer(options),
        beam_flags=beam_flags,
        source=None if options.source is None else parse_builds(options.source),
        json=options.json,
        verbose=options.verbose,
        stall_minutes=options.stall_minutes,
        version=options.version,
    )


def verify(
    directory: str,
    *,
    retokenize: float = 0.0,
    input_root: str | None = None,
    tokenizer: Tokenizer | None = None,
    beam_flags: Sequence[str] = (),
    source: str | Mapping[str, str] | None = None,
    json: bool = False,
    verbose: bool = False,
    stall_minutes: float = 15.0,
    version: str | None = None,
) -> int:
    """Checks a build or an export; prints what was checked, or to stderr each difference.

    Args:
        directory, retokenize, input_root, tokenizer, beam_flags, source: as in `check`.
        json: print the result as one JSON object instead.
        verbose, stall_minutes, version: as in `check`.

    Returns:
        The exit code: COMPLETE, or FAILED at any difference.

    Raises:
        ConfigurationError, MismatchError: as `check`.
    """
    result = check(
        directory,
        retokenize=retokenize,
        input_root=input_root,
        tokenizer=tokenizer,
        beam_flags=beam_flags,
        source=source,
        verbose=verbose,
        stall_minutes=stall_minutes,
        version=version,
    )
    if json:
        show(as_json(result.to_json()))
    elif result.is_sound:
        show(result.text())
    else:
        say(result.text())
    return exit_codes.COMPLETE if result.is_sound else exit_codes.FAILED


def check(
    directory: str,
    *,
    retokenize: float = 0.0,
    input_root: str | None = None,
    tokenizer: Tokenizer | None = None,
    beam_flags: Sequence[str] = (),
    source: str | Mapping[str, str] | None = None,
    verbose: bool = False,
    stall_minutes: float = 15.0,
    version: str | None = None,
) -> VerifyResult | VerifyExportResult:
    """Checks a build or an export.

    Args:
        directory, retokenize, input_root, tokenizer, beam_flags: as in `check_build`.
        source: as in `check_export`.
        verbose, stall_minutes: as in `Running`. version: as in `check_build`.

    Raises:
        ConfigurationError: impossible arguments, or such as are for the other kind.
        MismatchError: there is no manifest to go by.
    """
    if holds_export(directory):
        refuse_options_of_builds(retokenize, input_root, tokenizer, version)
        return check_export(directory, source, beam_flags, verbose, stall_minutes)
    if source is not None:
        raise ConfigurationError("is for exports: this is a build", setting="source")
    return check_build(
        directory,
        retokenize=retokenize,
        input_root=input_root,
        tokenizer=tokenizer,
        beam_flags=beam_flags,
        verbose=verbose,
        stall_minutes=stall_minutes,
        version=version,
    )
