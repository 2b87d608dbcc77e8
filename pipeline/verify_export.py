"""`tokenmill verify` of an export: is it, id by id, what the build and the settings give?

mark, manifest ── byte for byte what the receipts add up to; no stray files
build ── its manifest is the one that was exported; the plan made again
   │ a shard each: VerifyExportPass
passes/verify_export.py ── checksums, the format's reader, ids, documents, index
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from pipeline.commands.export import make_pass, open_source, plan_of, read_source
from pipeline.config import available_cores
from pipeline.failures import raise_unit_failures
from pipeline.lease import tell_refused
from pipeline.progress import PassProgress
from pipeline.run_record import new_run_name
from pipeline.runners import Running, run_pass
from pipeline.shuffling import FOLDER, remove_blocks, scatter
from pipeline.verify_place import verify_place
from pipeline.verify_result import VerifyExportResult
from tokenizer import ConfigurationError, Tokenizer
from transforms.errors import MismatchError
from transforms.exports.plan import ExportPlan
from transforms.exports.records import (
    ExportManifest,
    ExportShard,
    FileEntry,
    folder_contents,
    make_export_manifest,
    read_export_manifest,
)
from transforms.filesystem import absolute_path
from transforms.passes.export import ExportPass
from transforms.passes.findings import Findings, expect
from transforms.passes.verify import VerifyReceipt
from transforms.passes.verify_export import VerifyExportPass
from transforms.shards.build import Build
from transforms.shards.json_records import fingerprint_of, is_export
from transforms.shards.layout import MANIFEST, MARK, RUNS, receipt_path, run_folder
from transforms.shards.mark import Mark, read_mark

_SMALL_BYTES = 8 << 20


def holds_export(directory: str) -> bool:
    """Whether the folder is an export.

    Raises:
        ConfigurationError: a broken mark.
    """
    mark = read_mark(Build.at(directory))
    return mark is not None and is_export(mark.settings)


def refuse_options_of_builds(
    retokenize: float,
    input_root: str | None,
    tokenizer: Tokenizer | None,
    version: str | None,
) -> None:
    """Refuses options that builds alone can be verified with.

    Raises:
        ConfigurationError: one of them is given.
    """
    given = {
        "retokenize": bool(retokenize),
        "input_root": input_root is not None,
        "tokenizer": tokenizer is not None,
        "version": version is not None,
    }
    for setting, is_given in given.items():
        if is_given:
            raise ConfigurationError(
                "is for builds: verify the build that the export was made of so", setting=setting
            )


def check_export(
    directory: str,
    source: str | Mapping[str, str] | None = None,
    beam_flags: Sequence[str] = (),
    verbose: bool = False,
    stall_minutes: float = 15.0,
) -> VerifyExportResult:
    """Checks a whole export against its build.

    Args:
        directory: the export.
        source: the build, or several by name; None: where the newest run read them.
        beam_flags: for a Beam runner; empty: worker processes here.
        verbose, stall_minutes: as in `Running`.

    Raises:
        ConfigurationError: nobody says where the build is, or it is another one.
        MismatchError: there is no manifest to go by.
    """
    export = Build.at(absolute_path(directory))
    manifest = read_export_manifest(export)
    build = open_source(source or _last_source(export))
    found, digest = read_source(build)
    expected = manifest.settings["source"]["manifest_sha256"]
    if digest != expected:
        raise ConfigurationError(
            f"{build.root} is not the build that was exported: its manifest has the SHA-256 "
            f"{digest}, and the export was made of {expected}",
            setting="source",
        )
    plan = plan_of(build, found, manifest.settings)
    work = make_pass(build, manifest.settings, plan)
    findings = Findings()
    running = Running(
        workers=available_cores(),
        beam_flags=tuple(beam_flags),
        verbose=verbose,
        stall_minutes=stall_minutes,
    )
    for unit in _check_shards(export, work, plan, running):
        findings.messages += unit.differences
    with findings.collect():
        _check_manifest(export, manifest, work, plan)
    with findings.collect():
        _check_folder_files(export, manifest, work)
    known = {receipt_path(unit.name) for unit in plan.units}
    known |= {file.path for shard in manifest.shards for file in shard.entries()}
    known |= {file.path for file in manifest.folder_files}
    findings.messages += [
        f"{path}: a stray file that is not of the export: remove it, or keep it elsewhere"
        for path in sorted(export.files().keys() - known)
    ]
    root = os.path.relpath(export.root) if export.is_local else export.root
    return VerifyExportResult(root, tuple(findings.messages), manifest)


def _last_source(export: Build) -> str | dict[str, str]:
    roots = (export.newest_run_record() or {}).get("source_roots")
    if not isinstance(roots, dict) or not roots or not all(map(_is_text, roots.values())):
        raise ConfigurationError(
            f"{export.path(RUNS)} does not tell where the build is: say it", setting="source"
        )
    return str(roots[""]) if "" in roots else roots


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _check_shards(
    export: Build, work: ExportPass, plan: ExportPlan, running: Running
) -> Sequence[VerifyReceipt]:
    """Checks each shard; a shuffle is done again for it, below the export's `runs`."""
    if sum(unit.size_bytes for unit in plan.units) < _SMALL_BYTES:
        running = replace(running, workers=0)
    run = new_run_name()
    again = Build.at(export.path(f"{run_folder(run)}/{FOLDER}"), run)
    try:
        if plan.grid is not None:
            work = replace(work, blocks=scatter(work, plan, again, running))
        return _run(VerifyExportPass(export, work), plan, running)
    finally:
        if plan.grid is not None:
            remove_blocks(again, tell_refused)
            if export.is_local:
                with suppress(OSError):  # it would hide why the check failed
                    os.rmdir(export.path(run_folder(run)))


def _run(check: VerifyExportPass, plan: ExportPlan, running: Running) -> Sequence[VerifyReceipt]:
    with verify_place(check.export, running.beam_flags) as place:
        with PassProgress("verify", place, plan.units) as progress:
            run_pass(check, plan.units, place, running, progress.update)
        raise_unit_failures(place, [unit.name for unit in plan.units])
        return [
            check.read_receipt(place.read(receipt_path(unit.name)), unit.name)
            for unit in plan.units
        ]


def _check_manifest(
    export: Build, manifest: ExportManifest, work: ExportPass, plan: ExportPlan
) -> None:
    """The manifest is, byte for byte, what the receipts add up to; the mark says the same."""
    expect(MANIFEST, "fingerprint", fingerprint_of(manifest.settings), manifest.fingerprint)
    shards = []
    for unit in plan.units:
        path = receipt_path(unit.name)
        shards.append(work.read_receipt(export.read(path), path).shard)
    entries = _folder_entries(work, shards)
    made = make_export_manifest(
        manifest.settings, work.fingerprint, work.splitter.names, shards, entries, plan.sources
    )
    for name in ("splits", "sources", "shards", "folder_files"):
        expect(MANIFEST, f"{name}, from the receipts", getattr(made, name), getattr(manifest, name))
    if made.to_json() != export.read(MANIFEST):
        raise MismatchError(f"{MANIFEST}: not canonical JSON")
    mark = Mark(manifest.fingerprint, manifest.settings)
    if read_mark(export) != mark or export.read(MARK) != mark.to_json():
        raise MismatchError(f"{MARK}: not the settings and fingerprint of {MANIFEST}")


def _folder_entries(work: ExportPass, shards: Sequence[ExportShard]) -> list[FileEntry]:
    contents = folder_contents(work.settings, work.splitter.names, shards)
    return [
        FileEntry(path, len(content), hashlib.sha256(content).hexdigest())
        for path, content in contents.items()
    ]


def _check_folder_files(export: Build, manifest: ExportManifest, work: ExportPass) -> None:
    contents = folder_contents(work.settings, work.splitter.names, manifest.shards)
    for path, content in contents.items():
        if export.read(path) != content:
            raise MismatchError(f"{path}: not what the shards give")
