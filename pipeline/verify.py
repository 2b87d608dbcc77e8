"""`tokenmill verify`: is a build what its manifest says, down to each token?

manifest ── settings, fingerprint, tokenizer
   │ must be, byte for byte, what the receipts add up to
receipts ── every file there, none besides
   │ a thread each
unit_check ── sizes, checksums, counts, ids, decoding, encoding again
retokenize ── the input read again (--retokenize)
"""

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import Any

from pipeline import books
from pipeline.config import available_cores
from pipeline.findings import Findings, expect
from pipeline.output import MANIFEST, list_files, read_manifest, tokenizer_of
from pipeline.retokenize import retokenize_unit
from pipeline.unit_check import check_unit
from tokenizer import ConfigurationError, Tokenizer
from tokenizer.errors import BooksError, MismatchError
from transforms.filesystem import exists, find_files, is_local
from transforms.receipt import Receipt, receipt_path
from transforms.settings import canonical_json, fingerprint_of
from transforms.writing.staged_file import TEMPORARY_SUFFIX, read_whole

_SHOWN = 50
_LOG_SECONDS = 30.0


def verify(
    directory: str,
    *,
    retokenize: float = 0.0,
    input_root: str | None = None,
    tokenizer: Tokenizer | None = None,
) -> int:
    """Checks a whole build; returns 0 when all is as it should be, 1 at any difference.

    Prints what was checked, or to stderr each difference with its place. retokenize: the share of
    the documents to compare with the inputs, 0 to 1. input_root: where the inputs are; None: where
    the newest run read them. tokenizer: needed when the vocabulary came from a file. Raises
    ConfigurationError for impossible arguments, MismatchError when there is no manifest to go by.
    Memory: a few chunks a core, however large the build.
    """
    if not 0 <= retokenize <= 1:
        raise ConfigurationError(f"--retokenize {retokenize}: expected a share from 0 to 1")
    manifest = read_manifest(directory)
    used = tokenizer_of(manifest, tokenizer)
    root = (input_root or _last_input_root(directory)) if retokenize else None
    findings = Findings()
    receipts = _read_receipts(directory, manifest, findings)
    with findings.collect():
        _check_manifest(directory, manifest, receipts, used)
    if len(receipts) == len(manifest["inputs"]):  # or whole units would look like strays
        _find_strays(directory, receipts, findings)
    compared = _check_units(directory, receipts, used, root, retokenize, findings)
    if findings.messages:
        return _report(findings)
    _summarize(directory, manifest, receipts)
    if root is not None:
        documents = manifest["totals"]["documents"]
        print(f"read again from {root}: {compared:,} of {documents:,} documents, token by token")
    return 0


def _last_input_root(directory: str) -> str:
    """Where the newest run read its inputs. Raises ConfigurationError when no run says so."""
    folder = f"{directory.rstrip('/')}/runs"
    try:
        newest = max(file.path for file in find_files(f"{folder}/*.json"))
        return str(json.loads(read_whole(newest))["input_root"])
    except (OSError, ValueError, KeyError) as error:
        raise ConfigurationError(
            f"{folder} does not tell where the inputs are: say it with --input-root"
        ) from error


def _read_receipts(
    directory: str, manifest: Mapping[str, Any], findings: Findings
) -> list[Receipt]:
    """The receipts of all inputs of the manifest that can be read and belong to this build."""
    receipts = []
    for entry in manifest["inputs"]:
        path = receipt_path(entry["path"])
        with findings.collect():
            receipt = _read_receipt(f"{directory.rstrip('/')}/{path}", path)
            expect(path, "input.path", entry["path"], receipt.input.path)
            expect(path, "fingerprint", manifest["fingerprint"], receipt.fingerprint)
            expect(path, "settings", manifest["settings"], receipt.settings)
            receipts.append(receipt)
    return receipts


def _read_receipt(full_path: str, path: str) -> Receipt:
    if not exists(full_path):
        raise MismatchError(f"{path}: the file is missing")
    content = read_whole(full_path)
    receipt = Receipt.from_json(content, path)
    if receipt.to_json() != content:
        raise MismatchError(f"{path}: not canonical JSON, or with fields that do not belong there")
    return receipt


def _check_manifest(
    directory: str, manifest: Mapping[str, Any], receipts: Sequence[Receipt], tokenizer: Tokenizer
) -> None:
    """The manifest is, byte for byte, what the receipts add up to."""
    if len(receipts) < len(manifest["inputs"]):
        return  # the receipts that lack are findings already
    settings = manifest["settings"]
    try:
        expected = books.manifest_json(receipts, settings, fingerprint_of(settings), tokenizer)
    except (BooksError, TypeError, ValueError) as error:
        raise MismatchError(f"the receipts do not add up: {error}") from error
    for place, value, other in _differences(MANIFEST, json.loads(expected), manifest):
        expect(place, "from the receipts", value, other)
    if read_whole(f"{directory.rstrip('/')}/{MANIFEST}") != expected:
        raise MismatchError(f"{MANIFEST}: not canonical JSON")


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


def _find_strays(directory: str, receipts: Iterable[Receipt], findings: Findings) -> None:
    """No file lies in the build that no receipt names; missing ones are found by their unit."""
    known = set()
    for receipt in receipts:
        known.add(receipt_path(receipt.input.path))
        known.update(shard.path for shard in receipt.shards)
        known.update(index.path for index in (receipt.documents, receipt.rejects) if index)
    for path in sorted(list_files(directory).keys() - known):
        why = (
            "a killed attempt left it; running the build again removes it"
            if path.endswith(TEMPORARY_SUFFIX)
            else "remove it, or start over with --overwrite"
        )
        findings.messages.append(f"{path}: a stray file that no receipt names: {why}")


def _check_units(
    directory: str,
    receipts: Sequence[Receipt],
    tokenizer: Tokenizer,
    input_root: str | None,
    fraction: float,
    findings: Findings,
) -> int:
    """Checks the content of every unit; returns how many documents were compared with inputs."""

    def check(receipt: Receipt) -> tuple[list[str], int]:
        found, compared = check_unit(directory, receipt, tokenizer), 0
        # A unit that contradicts itself has nothing to compare the input with.
        if input_root is not None and not found:
            reading = Findings(found)
            with reading.collect():
                compared = retokenize_unit(directory, receipt, input_root, fraction, tokenizer)
        return found, compared

    with ThreadPoolExecutor(available_cores()) as threads:
        results = [threads.submit(check, receipt) for receipt in receipts]
        try:
            _show_progress(results, receipts)
        finally:
            threads.shutdown(cancel_futures=True)
    found = [result.result() for result in results]
    for messages, _ in found:
        findings.messages.extend(messages)
    return sum(compared for _, compared in found)


def _show_progress(
    results: Sequence[Future[tuple[list[str], int]]], receipts: Sequence[Receipt]
) -> None:
    """Waits for all units: a live bar in a terminal, a line now and then elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    tokens = {id(result): r.input.tokens for result, r in zip(results, receipts, strict=True)}
    columns = (TextColumn("verify"), BarColumn(), TextColumn("{task.completed:,} tokens"))
    done_units = done_tokens = 0
    next_line = time.monotonic() + _LOG_SECONDS
    live = sys.stderr.isatty()
    with Progress(
        *columns, TimeRemainingColumn(), console=Console(stderr=True), disable=not live
    ) as bar:
        task = bar.add_task("verify", total=sum(tokens.values()))
        for result in as_completed(results):
            result.result()
            done_units += 1
            done_tokens += tokens[id(result)]
            bar.update(task, completed=done_tokens)
            if not live and time.monotonic() >= next_line:
                next_line = time.monotonic() + _LOG_SECONDS
                print(
                    f"verified {done_units}/{len(results)} units, {done_tokens:,} tokens",
                    file=sys.stderr,
                    flush=True,
                )


def _report(findings: Findings) -> int:
    for message in findings.messages[:_SHOWN]:
        print(f"difference: {message}", file=sys.stderr)
    count = len(findings.messages)
    if count > _SHOWN:
        print(f"... and {count - _SHOWN} more", file=sys.stderr)
    print(f"tokenmill: not what the manifest says: {count} differences", file=sys.stderr)
    return 1


def _summarize(directory: str, manifest: Mapping[str, Any], receipts: Sequence[Receipt]) -> None:
    totals = manifest["totals"]
    files = sum(len(receipt.shards) + 2 + bool(receipt.rejects) for receipt in receipts)
    where = os.path.relpath(directory) if is_local(directory) else directory
    print(f"verified: {where}")
    print(
        f"  {totals['inputs']:,} inputs, {files:,} files: sizes, SHA-256, sums; "
        "the manifest is what the receipts add up to"
    )
    print(
        f"  {totals['documents']:,} documents, {totals['tokens']:,} tokens: ids below "
        f"{manifest['tokenizer']['vocabulary_size']}, begin and end of text in place; each "
        "document decodes to its text, and the text encodes to the same tokens"
    )
    rejects = sum(totals["rejects"].values())
    print(f"  {rejects:,} records rejected: as many for each reason as in the books")
