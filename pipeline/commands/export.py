"""`tokenmill export`: the documents of a build, in the files that a trainer reads.

build's manifest ─ settings checked ─ folder settled (ours, or refused) ─ lease taken ─ plan
   ─ (documents scattered, to be shuffled) ─ pending shards written ─ files beside them ─ manifest
"""

import argparse
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline.config import available_cores
from pipeline.export_config import ExportConfig
from pipeline.export_options import add_export_options, export_config, parse_builds
from pipeline.export_report import ExportResult
from pipeline.failures import raise_unit_failures
from pipeline.lease import Lease, tell_refused
from pipeline.options import add_common, add_running
from pipeline.progress import PassProgress
from pipeline.quantities import counted
from pipeline.report import as_json
from pipeline.run_record import new_run_name, write_run_record
from pipeline.runners import Running, run_pass
from pipeline.shuffling import FOLDER, remove_blocks, scatter
from pipeline.terminal import say, show
from tokenizer import ConfigurationError
from transforms.errors import MismatchError
from transforms.exports.carry import with_carry
from transforms.exports.formats import export_format
from transforms.exports.mixtures import SourceTotals, mixture_of
from transforms.exports.plan import ExportPlan, PlanSettings, plan_export
from transforms.exports.records import (
    ExportManifest,
    ExportShard,
    FileEntry,
    folder_contents,
    make_export_manifest,
)
from transforms.exports.settings import splitter_of
from transforms.exports.shard_cutter import ExportUnit
from transforms.exports.shuffle import BLOCK_TOKENS
from transforms.filesystem import absolute_path
from transforms.passes.export import ExportPass
from transforms.passes.work_pass import committed_receipt
from transforms.shards.build import Build
from transforms.shards.joined_build import JoinedBuild
from transforms.shards.json_records import is_export
from transforms.shards.layout import MANIFEST, RECEIPTS, receipt_path, unit_of_receipt
from transforms.shards.manifest import Manifest
from transforms.shards.mark import Mark, read_mark, settle

__all__ = [
    "EXAMPLES",
    "HELP",
    "TAKES_BEAM_FLAGS",
    "ExportConfig",
    "ExportResult",
    "add_arguments",
    "export",
    "run",
]

# Below, starting workers takes longer than the work.
_SMALL_BYTES = 64 << 20

HELP = "Write a build in the files that a trainer reads."
EXAMPLES = """\
  tokenmill export shards --output train --format megatron
  tokenmill export shards --output train --format mds --split validation=0.5% --shuffle 1
  tokenmill export shards --output train --format npy --sequence-length 4096 --packing best-fit
  tokenmill export shards --output train --format olmo --shuffle 1 \\
      --source 'code=code/*' --weight code=2
  tokenmill export web=shards code=code-shards --output train --format megatron --shuffle 1 \\
      --weight code=2
  tokenmill export gs://shards --output gs://train --format bin --runner=FlinkRunner \\
      --flink_master=host:8081

The same command again resumes: what is committed is kept."""
TAKES_BEAM_FLAGS = True


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Adds every option of the command."""
    add = command.add_argument
    add(
        "directory",
        nargs="+",
        metavar="DIR",
        help="a complete build; or several, each as NAME=DIR, with one tokenizer: each is a source "
        "of a mixture, whose units are called NAME/...",
    )
    add("--output", required=True, metavar="DIR", help="a folder: new, empty, or to complete")
    add_export_options(command)
    add("--workers", type=int, metavar="N", help="local worker processes (default: one a core)")
    add_running(command)
    add_common(command)


def run(options: argparse.Namespace, beam_flags: Sequence[str]) -> int:
    """The command; returns its exit code."""
    directory = parse_builds(options.directory)
    result = export(export_config(options, directory, options.output, beam_flags))
    show(as_json(result.to_json()) if options.json else result.text())
    return result.exit_code


def export(config: ExportConfig) -> ExportResult:
    """Runs an export to its end.

    Raises:
        ConfigurationError: before anything is written: the format can not hold the ids, or the
            folder is another's.
        MismatchError: the build is not complete, or not as its receipts say.
        BuildInUseError: somebody else is working on the export.
        TokenmillError, OSError: it failed; running it again resumes.
    """
    started = time.time()
    export_format(config.settings.format).check_available()
    source = open_source(config.directory)
    manifest, digest = read_source(source)
    described = config.settings.described(manifest, digest)
    target = Build.at(absolute_path(config.output), new_run_name(), is_leased=True)
    if target.root in roots_of(source).values():
        raise ConfigurationError("is the build itself: name another folder", setting="output")
    work = make_pass(source, described, ExportPlan((), splitter_of(described)))
    settle(target, Mark(work.fingerprint, described))
    with Lease(target) as lease:
        plan = plan_of(source, manifest, described, config.block_tokens)
        place = Build.at(target.path(FOLDER), target.run)
        work = make_pass(source, described, plan)
        done = _done(target, work, plan)
        pending = [unit for unit in plan.units if unit.name not in done]
        if done:
            say(f"resuming: {len(done)} of {counted(len(plan.units), 'shard')} done")
        if pending:
            target.withdraw(MANIFEST)
            running = _running(config, pending)
            if plan.grid is not None:
                work = replace(work, blocks=scatter(work, plan, place, running))
            with PassProgress("export", target, pending) as progress:
                run_pass(work, pending, target, running, progress.update)
            raise_unit_failures(target, [unit.name for unit in pending])
        shards = [_shard(target, work, unit) for unit in plan.units]
        if read_source(source)[1] != digest:
            raise MismatchError(f"{source.root} was built anew meanwhile: export it again")
        made = _conclude(target, work, shards, plan.sources)
        _write_run(config, source, target, len(pending), len(done), time.time() - started)
        lease.check()
        target.write(MANIFEST, made.to_json())
        if plan.grid is not None:
            remove_blocks(place, tell_refused)
    path = f"{config.output.rstrip('/')}/{MANIFEST}"
    result = ExportResult(made, path, time.time() - started, len(pending), len(done))
    for name in result.empty_splits():
        say(f"the split {name} has no documents, and so no files")
    return result


def open_source(directory: str | Mapping[str, str]) -> Build:
    """The build, or all those of a mapping as one."""
    if isinstance(directory, str):
        return Build.at(absolute_path(directory))
    return JoinedBuild.of({name: Build.at(absolute_path(path)) for name, path in directory.items()})


def roots_of(source: Build) -> dict[str, str]:
    """Where each build of a source is, by its name; of a single one the name is empty."""
    if isinstance(source, JoinedBuild):
        return {name: build.root for name, build in source.builds}
    return {"": source.root}


def read_source(source: Build) -> tuple[Manifest, str]:
    """The manifest of a build, and its SHA-256.

    Raises:
        ConfigurationError: the folder is an export.
        MismatchError: there is no complete build.
    """
    for root in roots_of(source).values():
        mark = read_mark(Build.at(root))
        if mark is not None and is_export(mark.settings):
            raise ConfigurationError(
                f"{root} is an export: name the build that it was made of", setting="source"
            )
    manifest = source.manifest()
    return manifest, hashlib.sha256(source.read(MANIFEST)).hexdigest()


def plan_of(
    source: Build,
    manifest: Manifest,
    described: Mapping[str, Any],
    block_tokens: int = BLOCK_TOKENS,
) -> ExportPlan:
    """The shards of an export with those settings.

    Raises:
        MismatchError: a broken index.
    """
    work = make_pass(source, described, ExportPlan((), splitter_of(described)))
    settings = PlanSettings(
        max_tokens=described["shard_tokens"],
        more=work.framing.more,
        itemsize=work.dtype.itemsize,
        shuffle=described["shuffle"],
        block_tokens=block_tokens,
        mixture=mixture_of(described),
    )
    plan = plan_export(source, manifest.units, work.splitter, settings)
    how = work.sequences
    if how is not None and how.tail == "carry":
        return replace(plan, units=with_carry(plan.units, how.length))
    return plan


def make_pass(source: Build, described: Mapping[str, Any], plan: ExportPlan) -> ExportPass:
    """The pass that writes the shards of a plan."""
    return ExportPass(source, described, plan.splitter)


def _running(config: ExportConfig, pending: Sequence[ExportUnit]) -> Running:
    workers = available_cores() if config.workers is None else config.workers
    if config.workers is None and sum(unit.size_bytes for unit in pending) < _SMALL_BYTES:
        workers = 0
    return Running(
        workers=workers,
        beam_flags=config.beam_flags,
        verbose=config.verbose,
        stall_minutes=config.stall_minutes,
    )


def _done(target: Build, work: ExportPass, plan: ExportPlan) -> set[str]:
    """The shards that another run has finished, with all their files in place."""
    there = {unit_of_receipt(path) for path in target.files_below(RECEIPTS)}
    planned = {unit.name: unit for unit in plan.units}
    if unknown := sorted(filter(None, there - planned.keys())):
        raise MismatchError(
            f"{target.root} holds shards that are not of this export, such as {unknown[0]!r}: "
            "name another folder"
        )
    return {
        name
        for name, unit in planned.items()
        if name in there and committed_receipt(work, unit, target) is not None
    }


def _shard(target: Build, work: ExportPass, unit: ExportUnit) -> ExportShard:
    path = receipt_path(unit.name)
    receipt = work.read_receipt(target.read(path), path)
    if receipt.fingerprint != work.fingerprint or receipt.unit != unit.name:
        raise MismatchError(f"{path}: written with other settings: export to another folder")
    return receipt.shard


def _conclude(
    target: Build,
    work: ExportPass,
    shards: Sequence[ExportShard],
    sources: Sequence[SourceTotals],
) -> ExportManifest:
    """Writes the files beside the shards; returns the manifest of all."""
    names = work.splitter.names
    entries = []
    for path, content in folder_contents(work.settings, names, shards).items():
        target.write(path, content)
        entries.append(FileEntry(path, len(content), hashlib.sha256(content).hexdigest()))
    return make_export_manifest(work.settings, work.fingerprint, names, shards, entries, sources)


def _write_run(
    config: ExportConfig, source: Build, target: Build, done: int, kept: int, seconds: float
) -> None:
    """What is not reproducible goes here, and nowhere else."""
    facts = {
        "shards_done": done,
        "shards_kept": kept,
        "source_roots": roots_of(source),
        "workers": None if config.beam_flags else config.workers,
        "beam_flags": list(config.beam_flags),
    }
    write_run_record(target, seconds, facts)
