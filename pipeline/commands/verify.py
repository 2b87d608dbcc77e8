"""`tokenmill verify`: is a build what its manifest says, down to each token?

An export is checked by pipeline/verify_export.py.

manifest ── settings, fingerprint, tokenizer
   │ must be, byte for byte, what the receipts add up to
receipts ── every file there, none besides
   │ a unit each: VerifyPass, in worker processes or on any Beam runner
passes/verify.py ── sizes, checksums, counts, ids, decoding; the inputs again (retokenize)
"""

import argparse
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pipeline import books, exit_codes
from pipeline.config import available_cores
from pipeline.export_options import parse_builds
from pipeline.failures import raise_unit_failures
from pipeline.options import add_common, add_tokenizer, given_tokenizer
from pipeline.progress import PassProgress
from pipeline.quantities import share
from pipeline.report import as_json
from pipeline.runners import Running, run_pass
from pipeline.terminal import say, show
from pipeline.tokenizers import tokenizer_of
from pipeline.verify_export import check_export, holds_export, refuse_options_of_builds
from pipeline.verify_place import verify_place
from pipeline.verify_result import VerifyExportResult, VerifyResult
from tokenizer import ConfigurationError, Tokenizer
from transforms.errors import BooksError, MismatchError
from transforms.filesystem import list_files
from transforms.passes.findings import Findings, expect
from transforms.passes.retokenize import chosen_units
from transforms.passes.verify import VerifyPass, VerifyReceipt
from transforms.passes.work_pass import WorkUnit
from transforms.shards.build import Build
from transforms.shards.json_records import canonical_json, fingerprint_of
from transforms.shards.layout import MANIFEST, MARK, RUNS, receipt_path
from transforms.shards.manifest import Manifest
from transforms.shards.mark import Mark, read_mark
from transforms.shards.receipt import Receipt
from transforms.shards.unit_names import relative_path, unit_name

# Of shards: below, starting workers takes longer than the work.
_SMALL_BYTES = 8 << 20


HELP = "Check a build or an export, down to each token."
EXAMPLES = """\
  tokenmill verify shards
  tokenmill verify shards --retokenize 1%
  tokenmill verify shards --retokenize 1 --input-root /mnt/elsewhere
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
    add_tokenizer(command, default="the build's own")
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
) -> int:
    """Checks a build or an export; prints what was checked, or to stderr each difference.

    Args:
        directory, retokenize, input_root, tokenizer, beam_flags, source: as in `check`.
        json: print the result as one JSON object instead.

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
) -> VerifyResult | VerifyExportResult:
    """Checks a build or an export.

    Args:
        directory, retokenize, input_root, tokenizer, beam_flags: as in `check_build`.
        source: as in `check_export`.

    Raises:
        ConfigurationError: impossible arguments, or such as are for the other kind.
        MismatchError: there is no manifest to go by.
    """
    if holds_export(directory):
        refuse_options_of_builds(retokenize, input_root, tokenizer)
        return check_export(directory, source, beam_flags)
    if source is not None:
        raise ConfigurationError("is for exports: this is a build", setting="source")
    return check_build(
        directory,
        retokenize=retokenize,
        input_root=input_root,
        tokenizer=tokenizer,
        beam_flags=beam_flags,
    )


def check_build(
    directory: str,
    *,
    retokenize: float = 0.0,
    input_root: str | None = None,
    tokenizer: Tokenizer | None = None,
    beam_flags: Sequence[str] = (),
) -> VerifyResult:
    """Checks a whole build. Memory: a few chunks a core, however large the build.

    Args:
        directory: the build.
        retokenize: the share of the units to do again from their inputs, 0 to 1; above 0 at
            least one.
        input_root: where the inputs are; None: where the newest run read them.
        tokenizer: needed when the vocabulary came from a file.
        beam_flags: for a Beam runner; empty: worker processes here.

    Raises:
        ConfigurationError: impossible arguments.
        MismatchError: there is no manifest to go by.
    """
    if not 0 <= retokenize <= 1:
        raise ConfigurationError(
            f"expected a share from 0 to 1, found {retokenize}", setting="retokenize"
        )
    source = Build.at(directory)
    manifest = source.manifest()
    used = tokenizer_of(source, manifest, tokenizer)
    root = (input_root or _last_input_root(source)) if retokenize else None
    findings = Findings()
    receipts = _receipts(source, manifest, findings)
    with findings.collect():
        _check_manifest(source, manifest, receipts)
        _check_tokenizer(manifest, used)
    if len(receipts) == len(manifest.inputs):  # or whole units would look like strays
        _find_strays(source, receipts, findings)
    found = _run(source, manifest, receipts, used, root, retokenize, beam_flags)
    for unit in found:
        findings.messages += [m for m in unit.differences if m not in findings.messages]
    return VerifyResult(
        root=os.path.relpath(source.root) if source.is_local else source.root,
        differences=tuple(findings.messages),
        is_repairable=any(unit.files_differ for unit in found),
        totals=manifest.totals,
        vocabulary_size=manifest.tokenizer.vocabulary_size,
        tokenizer_name=used.name,
        is_lossless=used.is_lossless,
        files=sum(len(receipt.sizes()) + 1 for receipt in receipts),
        input_root=root,
        compared=sum(unit.compared for unit in found),
    )


def _last_input_root(source: Build) -> str:
    """Where the newest run read its inputs. Raises ConfigurationError when no run says so."""
    record = source.newest_run_record() or {}
    root = record.get("input_root")
    if not isinstance(root, str) or not root:
        raise ConfigurationError(
            f"{source.path(RUNS)} does not tell where the inputs are: say it",
            setting="input_root",
        )
    return root


def _receipts(source: Build, manifest: Manifest, findings: Findings) -> list[Receipt]:
    """The receipts of all inputs of the manifest that can be read; what is wrong is a finding."""
    receipts = []
    for unit in manifest.units:
        with findings.collect():
            receipts.append(source.receipt(unit))
    return receipts


def _check_manifest(source: Build, manifest: Manifest, receipts: Sequence[Receipt]) -> None:
    """The manifest is, byte for byte, what the receipts add up to; the mark says the same."""
    if len(receipts) < len(manifest.inputs):
        return  # the receipts that lack are findings already
    settings = manifest.settings
    try:
        expected = books.make_manifest(
            receipts, settings, fingerprint_of(settings), manifest.tokenizer
        ).to_json()
    except (BooksError, TypeError, ValueError) as error:
        raise MismatchError(f"the receipts do not add up: {error}") from error
    content = source.read(MANIFEST)
    for place, value, other in _differences(MANIFEST, json.loads(expected), json.loads(content)):
        expect(place, "from the receipts", value, other)
    if content != expected:
        raise MismatchError(f"{MANIFEST}: not canonical JSON")
    mark = Mark(manifest.fingerprint, settings)
    if read_mark(source) != mark or source.read(MARK) != mark.to_json():
        raise MismatchError(f"{MARK}: not the settings and fingerprint of {MANIFEST}")


def _check_tokenizer(manifest: Manifest, tokenizer: Tokenizer) -> None:
    """What the manifest says of the vocabulary is so."""
    entry, place = manifest.tokenizer, f"{MANIFEST}: tokenizer"
    expect(place, "name", manifest.settings["tokenizer"]["name"], entry.name)
    expect(place, "sha256", tokenizer.vocabulary.sha256, entry.sha256)
    expect(place, "vocabulary_size", tokenizer.vocabulary_size, entry.vocabulary_size)
    expect(place, "end_of_text", tokenizer.vocabulary.end_of_text, entry.end_of_text)


def _differences(place: str, expected: Any, found: Any) -> Iterator[tuple[str, Any, Any]]:
    """Where two JSON values differ, as deep inside as can be told."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in sorted({*expected, *found}):
            yield from _differences(f"{place}: {key}", expected.get(key), found.get(key))
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for index, pair in enumerate(zip(expected, found, strict=True)):
            yield from _differences(f"{place}[{index}]", *pair)
    elif canonical_json(expected) != canonical_json(found):
        yield place, expected, found


def _find_strays(source: Build, receipts: Iterable[Receipt], findings: Findings) -> None:
    """No file lies in the build that no receipt names; missing ones are found by their unit."""
    known: set[str] = set()
    for receipt in receipts:
        known.add(receipt_path(receipt.unit))
        known.update(receipt.sizes())
    for path in sorted(source.files().keys() - known):
        findings.messages.append(
            f"{path}: a stray file that no receipt names: remove it, or keep it elsewhere"
        )


def _run(
    source: Build,
    manifest: Manifest,
    receipts: Sequence[Receipt],
    tokenizer: Tokenizer,
    input_root: str | None,
    fraction: float,
    beam_flags: Sequence[str],
) -> list[VerifyReceipt]:
    """Checks the content of every unit; what was found, in the order of their names."""
    work = VerifyPass(source, manifest.fingerprint, manifest.settings, tokenizer, fraction)
    paths = _input_paths(input_root, manifest.units)
    chosen = chosen_units(manifest.fingerprint, manifest.units, fraction)
    paths = {unit: path if unit in chosen else "" for unit, path in paths.items()}
    sizes = {receipt.unit: sum(receipt.sizes().values()) for receipt in receipts}
    units = [WorkUnit(unit, path, sizes.get(unit, 0)) for unit, path in paths.items()]
    with verify_place(source, beam_flags) as place:
        with PassProgress("verify", place, units) as progress:
            is_small = sum(unit.size_bytes for unit in units) < _SMALL_BYTES
            workers = 0 if is_small else available_cores()
            running = Running(workers=workers, beam_flags=tuple(beam_flags))
            run_pass(work, units, place, running, progress.update)
        raise_unit_failures(place, [unit.name for unit in units])
        return [work.read_receipt(place.read(receipt_path(unit.name)), unit.name) for unit in units]


def _input_paths(input_root: str | None, units: Sequence[str]) -> dict[str, str]:
    """Where the input of each unit is; "" where none is to be read."""
    if input_root is None:
        return dict.fromkeys(units, "")
    root = input_root.rstrip("/") + "/"
    paths = {unit: relative_path(unit) for unit in units}
    if None in paths.values():  # a name that was too long to keep: look which file has it
        for file in list_files(root):
            paths[unit_name(file.path.removeprefix(root))] = file.path.removeprefix(root)
    return {unit: root + (paths[unit] or unit) for unit in units}
