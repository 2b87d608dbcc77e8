"""Is a build what its manifest says, down to each token? What `tokenmill verify` asks of a build.

manifest ── settings, fingerprint, tokenizer
   │ must be, byte for byte, what the receipts add up to
receipts ── every file there, none besides
   │ a unit each: VerifyPass, in worker processes or on any Beam runner
passes/verify.py ── sizes, checksums, counts, ids, decoding; the inputs again (retokenize)
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from pipeline import books
from pipeline.config import available_cores
from pipeline.failures import raise_unit_failures
from pipeline.progress import PassProgress
from pipeline.quantities import counted
from pipeline.runners import Running, run_pass
from pipeline.terminal import escaped, say
from pipeline.tokenizers import tokenizer_of
from pipeline.verify_place import verify_place
from pipeline.verify_result import VerifyResult
from pipeline.verify_versions import check_versions, files_of_no_version
from pipeline.versions import manifest_of_version
from tokenizer import ConfigurationError, Tokenizer
from transforms.errors import BooksError, MismatchError
from transforms.filesystem import absolute_path, list_files
from transforms.passes.findings import Findings, expect
from transforms.passes.retokenize import chosen_units
from transforms.passes.verify import VerifyPass, VerifyReceipt
from transforms.passes.work_pass import WorkUnit
from transforms.shards.build import Build
from transforms.shards.json_records import canonical_json, fingerprint_of
from transforms.shards.layout import MANIFEST, MARK, RUNS, receipt_path
from transforms.shards.manifest import Manifest
from transforms.shards.mark import Mark, read_mark
from transforms.shards.receipt import InputBooks, Receipt
from transforms.shards.unit_names import relative_path, unit_name
from transforms.shards.version import Version, read_versions

# Of shards: below, starting workers takes longer than the work.
_SMALL_BYTES = 8 << 20


def check_build(
    directory: str,
    *,
    retokenize: float = 0.0,
    input_root: str | None = None,
    tokenizer: Tokenizer | None = None,
    beam_flags: Sequence[str] = (),
    verbose: bool = False,
    stall_minutes: float = 15.0,
    version: str | None = None,
) -> VerifyResult:
    """Checks a whole build. Memory: a few chunks a core, however large the build.

    Args:
        directory: the build.
        retokenize: the share of the units to do again from their inputs, 0 to 1; above 0 at
            least one.
        input_root: where the inputs are; None: where the newest run read them.
        tokenizer: needed when the vocabulary came from a file.
        beam_flags: for a Beam runner; empty: worker processes here.
        verbose, stall_minutes: as in `Running`.
        version: check just that one of a build that grows, by its number, or 12 characters or
            more of its hash; None: all that the manifest names.

    Raises:
        ConfigurationError: impossible arguments.
        MismatchError: there is no manifest to go by.
    """
    if not 0 <= retokenize <= 1:
        raise ConfigurationError(
            f"expected a share from 0 to 1, found {retokenize}", setting="retokenize"
        )
    source = Build.at(absolute_path(directory))
    if version is None:
        checked, (manifest, content) = None, source.read_manifest()
    else:
        checked, manifest = manifest_of_version(source, version)
        content = manifest.to_json()
    used = tokenizer_of(source, manifest, tokenizer)
    root = absolute_path(input_root or _last_input_root(source)) if retokenize else None
    findings = Findings()
    receipts = _receipts(source, manifest, findings)
    versions: Sequence[Version] = ()
    with findings.collect():
        if checked is None:  # else it is what the receipts add up to already
            versions = read_versions(source)
            _check_manifest(content, manifest, receipts)
            if versions and len(receipts) == len(manifest.inputs):
                check_versions(source, versions, manifest, receipts)
        _check_mark(source, manifest)
        _check_tokenizer(manifest, used)
    if checked is None and len(receipts) == len(manifest.inputs):  # else units look like strays
        _find_strays(source, receipts, versions, findings)
    running = Running(
        workers=available_cores(),
        beam_flags=tuple(beam_flags),
        verbose=verbose,
        stall_minutes=stall_minutes,
    )
    found = _run(source, manifest, receipts, used, root, retokenize, running)
    for unit in found:
        findings.messages += [m for m in unit.differences if m not in findings.messages]
    return VerifyResult(
        root=os.path.relpath(source.root) if source.is_local else source.root,
        differences=tuple(findings.messages),
        is_repairable=any(unit.files_differ for unit in found) and not (checked or versions),
        totals=manifest.totals,
        vocabulary_size=manifest.tokenizer.vocabulary_size,
        tokenizer_name=used.name,
        is_lossless=used.is_lossless,
        files=sum(len(receipt.sizes()) + 1 for receipt in receipts),
        input_root=root,
        compared=sum(unit.compared for unit in found),
        version=None if checked is None else checked.number,
        version_sha256=None if checked is None else checked.sha256,
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


def _check_manifest(content: bytes, manifest: Manifest, receipts: Sequence[Receipt]) -> None:
    """The manifest is, byte for byte, what the receipts add up to."""
    if len(receipts) < len(manifest.inputs):
        return  # the receipts that lack are findings already
    settings = manifest.settings
    try:
        expected = books.make_manifest(
            receipts, settings, fingerprint_of(settings), manifest.tokenizer
        ).to_json()
    except (BooksError, TypeError, ValueError) as error:
        raise MismatchError(f"the receipts do not add up: {error}") from error
    for place, value, other in _differences(MANIFEST, json.loads(expected), json.loads(content)):
        expect(place, "from the receipts", value, other)
    if content != expected:
        raise MismatchError(f"{MANIFEST}: not canonical JSON")


def _check_mark(source: Build, manifest: Manifest) -> None:
    """The mark has the settings of the manifest."""
    mark = Mark(manifest.fingerprint, manifest.settings)
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


def _find_strays(
    source: Build, receipts: Sequence[Receipt], versions: Sequence[Version], findings: Findings
) -> None:
    """No file lies in the build that no receipt names; missing ones are found by their unit.

    Where there are versions, a watch or a pipeline, which has no lease, may be about to write the
    receipt of such a file: then it is told of, and is no difference.
    """
    known: set[str] = set()
    if versions:
        with findings.collect():
            known = files_of_no_version(source, (one.unit for one in receipts))
    for receipt in receipts:
        known.add(receipt_path(receipt.unit))
        known.update(receipt.sizes())
    strays = sorted(source.files().keys() - known)
    if versions and strays:
        say(
            f"verify: {counted(len(strays), 'file')} that no receipt names, such as "
            f"{escaped(strays[0])}: of units under way, or strays"
        )
        return
    for path in strays:
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
    running: Running,
) -> list[VerifyReceipt]:
    """Checks the content of every unit; what was found, in the order of their names."""
    kept = manifest.tokenizer if manifest.tokenizer.file is not None else None
    work = VerifyPass(source, manifest.fingerprint, manifest.settings, tokenizer, fraction, kept)
    paths = _input_paths(input_root, manifest.inputs)
    chosen = chosen_units(manifest.fingerprint, manifest.units, fraction)
    paths = {unit: path if unit in chosen else "" for unit, path in paths.items()}
    sizes = {receipt.unit: sum(receipt.sizes().values()) for receipt in receipts}
    units = [WorkUnit(unit, path, sizes.get(unit, 0)) for unit, path in paths.items()]
    if sum(sizes.values()) < _SMALL_BYTES:
        running = replace(running, workers=0)
    with verify_place(source, running.beam_flags) as place:
        with PassProgress("verify", place, units) as progress:
            run_pass(work, units, place, running, progress.update)
        raise_unit_failures(place, [unit.name for unit in units])
        return [work.read_receipt(place.read(receipt_path(unit.name)), unit.name) for unit in units]


def _input_paths(input_root: str | None, books: Sequence[InputBooks]) -> dict[str, str]:
    """Where the input of each unit is; "" where none is to be read."""
    if input_root is None:
        return {book.path: "" for book in books}
    root = input_root.rstrip("/") + "/"
    paths = {book.input: relative_path(book.input) for book in books}
    if None in paths.values():  # a name that was too long to keep: look which file has it
        for file in list_files(root):
            paths[unit_name(file.path.removeprefix(root))] = file.path.removeprefix(root)
    return {book.path: root + (paths[book.input] or book.input) for book in books}
