"""`tokenmill build`: plan, run, check the books, write the manifest.

inputs listed ─ folder settled (ours, or refused) ─ lease taken ─ plan
   ─ pending units run ─ receipts collected ─ books within the limits? ─ manifest
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TextIO

from pipeline import books, exit_codes
from pipeline.build_options import EXAMPLES, HELP, add_arguments, config_of
from pipeline.config import BuildConfig
from pipeline.export_options import export_of_build
from pipeline.failures import raise_unit_failures
from pipeline.inputs import common_root, list_units, split_units
from pipeline.lease import Lease
from pipeline.plan import Plan, make_plan
from pipeline.preview import check_fields, preview
from pipeline.progress import PassProgress
from pipeline.quantities import counted
from pipeline.report import BuildResult, as_json, explain_incomplete, report_of
from pipeline.run_record import new_run_name, write_run_record
from pipeline.runners import Running, run_pass
from pipeline.standard_input import check_pipe, spool
from pipeline.terminal import escaped, say, show
from pipeline.tokenizers import entry_of
from tokenizer import ConfigurationError
from transforms.errors import MismatchError
from transforms.filesystem import absolute_path, pin_pattern
from transforms.passes.tokenize import TokenizePass
from transforms.passes.work_pass import WorkUnit
from transforms.shards.build import Build
from transforms.shards.input_versions import fold_input_versions, note_input_versions
from transforms.shards.layout import (
    MANIFEST,
    MARK,
    VERSIONS,
    VOCABULARY_SUFFIXES,
    receipt_path,
    unit_of_receipt,
    vocabulary_path,
)
from transforms.shards.mark import Mark, check_free, explain_difference, read_mark, settle
from transforms.shards.receipt import Receipt
from transforms.shards.recovery import remove_units
from transforms.shards.vocabulary_copy import keep_vocabulary

if TYPE_CHECKING:
    from pipeline.export_config import ExportConfig

__all__ = ["EXAMPLES", "HELP", "TAKES_BEAM_FLAGS", "BuildResult", "add_arguments", "build", "run"]

TAKES_BEAM_FLAGS = True

_SHOWN_REPAIRS = 10


def run(options: argparse.Namespace, beam_flags: Sequence[str]) -> int:
    """The command; returns its exit code."""
    config = config_of(options, beam_flags)
    exported = export_of_build(options, config, beam_flags)
    if options.dry_run:
        found = preview(config)
        show(as_json(found.to_json()) if options.json else found.table())
        return exit_codes.COMPLETE
    result = build(config)
    if exported is None or not result.is_complete:
        show(as_json(result.to_json()) if options.json else result.text())
        return result.exit_code
    return _export(exported, result, json=options.json)


def _export(config: "ExportConfig", built: BuildResult, *, json: bool) -> int:
    """Exports what was built, and shows the results of both."""
    from pipeline.commands.export import export

    if not json:
        show(built.text())
    result = export(config)
    if json:
        show(as_json({**built.to_json(), "export": result.to_json()}))
    else:
        show(result.text())
    return result.exit_code


def build(config: BuildConfig, *, report: TextIO | None = None) -> BuildResult:
    """Runs a build to its end.

    Args:
        config: what is asked for.
        report: where to print the books when all is done; None: nowhere, they are in the result.

    Raises:
        ConfigurationError: before anything is started or touched: the output belongs to another
            build, a field is nowhere to be found, an option does not fit.
        BuildInUseError: somebody else is working on it.
        TokenmillError, OSError: the job failed; running it again resumes.
    """
    started = time.time()
    # What moves while the job runs stands still in it: a revision of the Hub is a commit from here.
    inputs = tuple(map(pin_pattern, config.inputs))
    root_given = config.input_root and pin_pattern(config.input_root)
    config = replace(
        config, settings=config.settings.pinned(), inputs=inputs, input_root=root_given
    )
    from_pipe = config.inputs == ("-",)
    root = "" if from_pipe else config.input_root or common_root(config.inputs)
    units: tuple[WorkUnit, ...] = ()
    if from_pipe:
        check_pipe(config)
    else:
        units = list_units(config.inputs, root, config.output, config.settings.read)
        check_fields(units, config.settings.read)
        units = split_units(units, config.settings.read)
    work = TokenizePass(config.settings)
    mark = Mark(work.fingerprint, work.described())
    target = Build.at(absolute_path(config.output), new_run_name(), is_leased=True)
    _check_output(config, target, mark)
    with Lease(target) as lease:
        if config.overwrite:
            _start_over(target, mark)
        kept = keep_vocabulary(target, config.settings.tokenizer, config.settings.revision)
        if kept is not None and config.beam_flags:  # workers elsewhere do not see our files
            work = work.with_vocabulary(target, kept)
        if from_pipe:
            units = split_units((spool(target),), config.settings.read)
            config = replace(config, check_inputs=True)
        _check_unversioned(target)
        plan = make_plan(config, target, units, work.fingerprint)
        job = _Job(config, target, work, plan, kept, root, started)
        receipts = _run(job)
        _write_run(job, receipts)
        lease.check()
        result = _conclude(job, receipts)
    if report is not None:
        print(result.text(), file=report)
    return result


@dataclass(frozen=True)
class _Job:
    """One run of the command: what it is to do, and with what."""

    config: BuildConfig
    target: Build
    work: TokenizePass
    plan: Plan
    kept_vocabulary: str | None
    input_root: str
    started: float

    @property
    def running(self) -> Running:
        """How the pending units are done."""
        return self.config.running(sum(unit.size_bytes for unit in self.plan.pending))


def _run(job: _Job) -> list[Receipt]:
    """Does what is pending and returns the receipts of all units."""
    target, plan = job.target, job.plan
    _clear(target, plan)
    _tell_repaired(job)
    if not plan.pending:
        say(f"nothing to do: {counted(len(plan.units), 'unit')} done already")
    elif plan.done:
        say(f"resuming: {len(plan.done)} of {counted(len(plan.units), 'unit')} done")
    # By input: one that was replaced may have had parts of which there is no unit any more.
    stale = {one.input.input for name, one in plan.stale.items() if name not in plan.broken}
    if stale:
        some = ", ".join(map(escaped, sorted(stale)[:_SHOWN_REPAIRS]))
        inputs = counted(len(stale), "input")
        say(f"{inputs} done anew, as the input or a file of its units is not what it was: {some}")
    if plan.pending:
        note_input_versions(target, plan.pending)
        with PassProgress("build", target, plan.pending) as progress:
            run_pass(job.work, plan.pending, target, job.running, progress.update)
        raise_unit_failures(target, [unit.name for unit in plan.pending])
    return _collect(target, job.work, plan)


def _tell_repaired(job: _Job) -> None:
    """What --repair found, and does again."""
    if not job.config.repair:
        return
    broken = job.plan.broken
    say(f"repair: {counted(len(broken), 'unit')} with files that are not what their receipts say")
    for unit, path in sorted(broken.items())[:_SHOWN_REPAIRS]:
        say(f"  {escaped(unit)} is done again: {escaped(path)}")
    if len(broken) > _SHOWN_REPAIRS:
        say(f"  ... and {len(broken) - _SHOWN_REPAIRS} more")


def _check_output(config: BuildConfig, target: Build, mark: Mark) -> None:
    """The folder is ours, or becomes ours, or is refused."""
    if not config.overwrite:
        settle(target, mark)
        return
    if read_mark(target) is None:
        check_free(target)
        settle(target, mark)


def _check_unversioned(target: Build) -> None:
    """Versions stand for units as they are; only the command that wrote them adds to them."""
    if any(target.files_below(VERSIONS)):
        raise ConfigurationError(
            f"{target.root} has versions: go on with `tokenmill watch`, which takes the same "
            "options; to start over, say overwrite"
        )


def _start_over(target: Build, mark: Mark) -> None:
    """Removes what the records of the build name; then the folder is of the new settings."""
    units = [unit for path in target.files() if (unit := unit_of_receipt(path)) is not None]
    receipts = target.receipts(units)  # before anything goes: one that is broken is refused by name
    target.withdraw(MANIFEST)
    # The newest first: whatever is left of them after a crash is a chain.
    target.withdraw_all(sorted(target.files_below(VERSIONS), reverse=True))
    remove_units(target, receipts)
    target.delete(map(vocabulary_path, VOCABULARY_SUFFIXES))
    if left := sorted(target.files()):
        say(
            f"left alone: {counted(len(left), 'file')} that no record of the build names, such as "
            f"{escaped(left[0])}"
        )
    target.write(MARK, mark.to_json())


def _clear(target: Build, plan: Plan) -> None:
    """Removes what this run makes untrue, before it starts: the manifest first, then units."""
    if plan.pending or plan.stale:
        target.withdraw(MANIFEST)
    remove_units(target, plan.stale)


def _collect(target: Build, work: TokenizePass, plan: Plan) -> list[Receipt]:
    """The receipts of all units, read from where they lie. Never of another fingerprint."""
    if not plan.pending and not plan.stale:  # the plan has just looked at every file
        return [plan.done[unit.name] for unit in plan.units]
    try:
        written = target.receipts([unit.name for unit in plan.pending])
    except MismatchError as error:
        raise MismatchError(
            f"the run ended without all of its units ({error}): run the same command again"
        ) from error
    receipts = {**plan.done, **written}
    files = target.files()
    for unit, receipt in receipts.items():
        if not receipt.sizes().items() <= files.items():
            raise MismatchError(
                f"{receipt_path(unit)}: files that it names are missing, or of another size: "
                "something else writes to this folder. Run the same command again"
            )
        if receipt.fingerprint != work.fingerprint:
            raise MismatchError(
                f"{receipt_path(unit)}: written with other settings while this run was working: "
                f"{explain_difference(target, receipt.settings, work.described())}"
            )
    return [receipts[unit.name] for unit in plan.units]


def _conclude(job: _Job, receipts: Sequence[Receipt]) -> BuildResult:
    """Writes the manifest, or says why not."""
    config, target, work = job.config, job.target, job.work
    why = list(
        books.over_limit(
            receipts,
            config.max_rejects,
            allow_truncated=config.allow_truncated,
            allow_empty=config.allow_empty,
        )
    )
    if why:
        target.withdraw(MANIFEST)
        say(explain_incomplete(why, config.max_rejects, target.root))
        manifest_path = None
    else:
        # As it is called here: workers elsewhere load a copy, whose name says nothing.
        entry = entry_of(config.settings, config.settings.load_tokenizer(), job.kept_vocabulary)
        manifest = books.make_manifest(receipts, work.described(), work.fingerprint, entry)
        target.write(MANIFEST, manifest.to_json())
        fold_input_versions(target, (unit.name for unit in job.plan.units))
        manifest_path = f"{config.output.rstrip('/')}/{MANIFEST}"
    new_units = [unit.name for unit in job.plan.pending]
    return BuildResult(
        report=report_of(target, receipts, new_units, time.time() - job.started),
        manifest=manifest_path,
        why_incomplete=tuple(one.text for one in why),
        units_done=len(job.plan.pending),
        units_kept=len(job.plan.done),
    )


def _write_run(job: _Job, receipts: Sequence[Receipt]) -> None:
    """What is not reproducible goes here, and nowhere else."""
    config, plan, root = job.config, job.plan, job.input_root
    seconds = time.time() - job.started
    read = sum(receipt.input.text_bytes for receipt in receipts if receipt.unit not in plan.done)
    facts = {
        "units_done": len(plan.pending),
        "units_kept": len(plan.done),
        "text_megabytes_per_second": round(read / 1e6 / seconds, 3),
        "input_root": absolute_path(root) if root else None,
        "workers": None if config.beam_flags else job.running.workers,
        "beam_flags": list(config.beam_flags),
    }
    write_run_record(job.target, seconds, facts)
