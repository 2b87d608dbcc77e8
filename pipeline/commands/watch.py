"""`tokenmill watch`: a build that takes inputs as they arrive, a version after each round.

folder settled ─ lease taken ─ what is there read once ─┬─ round: list, plan, run, commit ─┐
                                                        └───────── wait, look again ◄──────┘
"""

import argparse
import json
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline import exit_codes
from pipeline.build_options import add_shared, config_of
from pipeline.config import BuildConfig
from pipeline.growing_build import GrowingBuild, NewVersion
from pipeline.inputs import check_apart, common_root, list_arrived
from pipeline.lease import Lease
from pipeline.quantities import count, counted, seconds
from pipeline.rounds import Round, Rounds, WatchConfig
from pipeline.run_record import new_run_name, write_run_record
from pipeline.terminal import escaped, say, show
from pipeline.tokenizers import entry_of
from transforms.filesystem import absolute_path
from transforms.passes.tokenize import TokenizePass
from transforms.shards.build import Build
from transforms.shards.mark import Mark, settle
from transforms.shards.version import Version
from transforms.shards.vocabulary_copy import keep_vocabulary

__all__ = ["EXAMPLES", "HELP", "TAKES_BEAM_FLAGS", "add_arguments", "run", "watch"]

HELP = "Tokenize files as they arrive, and commit a version of the build after each round."
EXAMPLES = """\
  tokenmill watch --input 'crawl/*.warc.wet.gz' --output shards
  tokenmill watch --input 's3://bucket/crawl/*.gz' --output s3://bucket/shards --poll-seconds 300
  tokenmill watch --input 'in/*.jsonl' --output shards --once --settle-seconds 0
  tokenmill verify shards --version 3

An input is finished, and taken, when its size and its time of modification, or the store's ETag,
have not changed for --settle-seconds. On s3://, gs:// and az:// it is finished when it is seen:
objects appear whole. Elsewhere the surest way is to write under a name that --input does not match
and to rename; then --settle-seconds 0 will do.

An input may be removed when a version has it. One that is replaced by other bytes after that is
named, and the build keeps what it was. An interrupt or SIGTERM ends the command, with exit code 0;
the same command goes on."""
TAKES_BEAM_FLAGS = True
_DEFAULTS: dict[str, Any] = {
    name: WatchConfig.__dataclass_fields__[name].default
    for name in ("settle_seconds", "poll_seconds", "max_round_bytes")
}


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Adds every option of the command."""
    add_shared(command, has_dry_run=False)
    command.set_defaults(check_inputs=False, overwrite=False, repair=False)
    add = command.add_argument_group("watching").add_argument
    add(
        "--settle-seconds",
        type=seconds,
        default=_DEFAULTS["settle_seconds"],
        metavar="N",
        help="a file is finished when it has not changed for so long; 0: when it is seen (default: "
        f"{_DEFAULTS['settle_seconds']:g})",
    )
    add(
        "--poll-seconds",
        type=seconds,
        default=_DEFAULTS["poll_seconds"],
        metavar="N",
        help=f"between two looks at the inputs (default: {_DEFAULTS['poll_seconds']:g})",
    )
    add(
        "--max-round-bytes",
        type=count,
        default=_DEFAULTS["max_round_bytes"],
        metavar="BYTES",
        help="commit a version after so much input, when there is more (default: "
        f"{_DEFAULTS['max_round_bytes'] // 10**9}G)",
    )
    add(
        "--once",
        action="store_true",
        help="end when all that is finished is committed (default: go on until interrupted)",
    )


@dataclass(frozen=True)
class WatchResult:
    """How a watch ended.

    Attributes:
        version: the build's last one; None where it has none.
        last: the last round.
        is_interrupted: somebody ended it.
    """

    version: Version | None
    last: Round
    is_interrupted: bool

    @property
    def exit_code(self) -> int:
        """COMPLETE; of the last round FAILED, or TOO_MANY_REJECTS where inputs are left out."""
        if self.is_interrupted:
            return exit_codes.COMPLETE
        if self.last.failed:
            return exit_codes.FAILED
        left_out = self.last.commit.held or self.last.commit.withheld
        return exit_codes.TOO_MANY_REJECTS if left_out else exit_codes.COMPLETE


def run(options: argparse.Namespace, beam_flags: Sequence[str]) -> int:
    """The command; returns its exit code."""
    config = WatchConfig(
        build=config_of(options, beam_flags),
        settle_seconds=options.settle_seconds,
        poll_seconds=options.poll_seconds,
        max_round_bytes=options.max_round_bytes,
        once=options.once,
    )
    if threading.current_thread() is threading.main_thread():
        # Also where a shell started it in the background, and had it ignore interrupts.
        signal.signal(signal.SIGTERM, signal.default_int_handler)

    def tell(new: NewVersion) -> None:
        show(json.dumps(_facts_of(new)) if options.json else _line_of(new))

    return watch(config, tell).exit_code


def watch(
    config: WatchConfig,
    on_version: Callable[[NewVersion], None],
    *,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> WatchResult:
    """Does rounds until it is interrupted, or, once, until nothing is left to do.

    Args:
        config: what is asked for.
        on_version: called with each version, when it is committed.
        clock: seconds, never back. pause: waits for so many seconds.

    Raises:
        ConfigurationError: before anything is started, or in the first round.
        BuildInUseError: somebody else is working on the build.
        TokenmillError, OSError: it failed; the same again resumes.
        KeyboardInterrupt: with `once`, before its end.
    """
    started = time.time()
    build = replace(config.build, settings=config.build.settings.pinned())
    config = replace(config, build=build)
    root = build.input_root or common_root(build.inputs)
    # What can not be looked up is told in the first round, like all that concerns one input.
    there = list_arrived(build.inputs, root, on_lost=lambda _: None)
    check_apart(build.inputs, there, build.output)
    work = TokenizePass(build.settings)
    target = Build.at(absolute_path(build.output), new_run_name(), is_leased=True)
    settle(target, Mark(work.fingerprint, work.described()))
    with Lease(target) as lease:
        kept = keep_vocabulary(target, build.settings.tokenizer, build.settings.revision)
        entry = entry_of(build.settings, build.settings.load_tokenizer(), kept)
        if kept is not None and build.beam_flags:  # workers elsewhere do not see our files
            work = work.with_vocabulary(target, kept)
        growing = GrowingBuild(target, work.fingerprint, entry)
        rounds = Rounds(config, growing, target, work, root)
        last = Round()
        may_wait = True
        try:
            while True:
                lease.check()
                last = rounds.do(clock())
                if last.commit.new is not None:
                    _write_run(target, build, root, time.time() - started)
                    on_version(last.commit.new)
                if last.has_more:
                    continue
                if not config.once:
                    pause(config.poll_seconds)
                elif may_wait and rounds.waiting():
                    may_wait = False
                    pause(config.settle_seconds)
                else:
                    _tell_left(rounds.waiting())
                    return WatchResult(growing.version, last, is_interrupted=False)
        except KeyboardInterrupt:
            if config.once:
                raise
            say(f"tokenmill: watch ended{_state_of(growing.version)}; the same command goes on")
            return WatchResult(growing.version, last, is_interrupted=True)


def _tell_left(waiting: Sequence[str]) -> None:
    if waiting:
        say(
            f"tokenmill: {counted(len(waiting), 'input')} may still be written, left to the next "
            f"run: {escaped(waiting[0])}{', ...' if len(waiting) > 1 else ''}"
        )


def _write_run(target: Build, config: BuildConfig, root: str, wall_seconds: float) -> None:
    """What is not reproducible: where the inputs are, for `verify`."""
    facts: dict[str, Any] = {
        "input_root": absolute_path(root) if root else None,
        "beam_flags": list(config.beam_flags),
    }
    write_run_record(target, wall_seconds, facts)


def _facts_of(new: NewVersion) -> dict[str, Any]:
    totals = new.manifest.totals
    return {
        "version": new.version.number,
        "sha256": new.version.sha256,
        "previous": new.version.previous,
        "manifest_sha256": new.version.manifest,
        "inputs_added": len(new.inputs),
        "inputs": totals.inputs,
        "documents": totals.documents,
        "tokens": totals.tokens,
    }


def _line_of(new: NewVersion) -> str:
    totals = new.manifest.totals
    return (
        f"version {new.version.number}: {counted(len(new.inputs), 'input')} more, "
        f"{counted(totals.inputs, 'input')} and {counted(totals.tokens, 'token')} in all, SHA-256 "
        f"{new.version.sha256}"
    )


def _state_of(version: Version | None) -> str:
    if version is None:
        return ", before its first version"
    return f" after version {version.number}, {counted(version.units, 'unit')}"
