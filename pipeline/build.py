"""`tokenmill build`: plan, run, check the books, write the manifest."""

import dataclasses
import datetime
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from importlib import metadata
from typing import Any, TextIO

from pipeline import books, exit_codes, workers
from pipeline.config import BuildConfig
from pipeline.failures import known_error
from pipeline.output import MANIFEST, delete_files, files_of, list_files, read_receipts
from pipeline.plan import Plan, make_plan
from pipeline.progress import BuildProgress
from tokenizer.errors import MismatchError, TokenmillError
from transforms.filesystem import exists, is_local
from transforms.receipt import Receipt, receipt_path
from transforms.settings import WorkUnit
from transforms.writing.staged_file import write_whole

_TICK_SECONDS = 0.5


def build(config: BuildConfig, *, verbose: bool = False, report: TextIO | None = None) -> int:
    """Runs a build to its end and returns the exit code: COMPLETE or TOO_MANY_REJECTS.

    Prints the books to `report`, by default standard output. Raises ConfigurationError before
    anything is started, also when the output belongs to another build; another TokenmillError or
    OSError when the job fails: running it again resumes.
    """
    started = time.time()
    report = report or sys.stdout
    config = dataclasses.replace(config, settings=config.settings.pinned())
    plan = make_plan(config)
    _clear(config, plan)
    pending = plan.pending
    if plan.done:
        print(f"resuming: {len(plan.done)} of {len(plan.units)} units are done", file=sys.stderr)
    if pending:
        with BuildProgress(config.output, pending) as progress:
            if config.beam_flags:
                _run_on_beam(pending, config, progress)
            else:
                workers.run_workers(
                    pending,
                    config.output,
                    config.settings,
                    config.worker_count,
                    verbose,
                    progress.update,
                )
    receipts = _collect(config, plan)
    print(books.table(receipts), file=report)
    seconds = time.time() - started
    _write_run(config, plan, receipts, seconds)
    return _conclude(config, plan, receipts, report)


def _run_on_beam(units: Sequence[WorkUnit], config: BuildConfig, progress: BuildProgress) -> None:
    """One pipeline over all units on the runner that the Beam flags name."""
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from transforms.tokenize_shards import TokenizeShards

    try:
        pipeline = beam.Pipeline(options=PipelineOptions(list(config.beam_flags)))
        _ = (
            pipeline
            | "Units" >> beam.Create(list(units), reshuffle=False)
            | "Spread" >> beam.Reshuffle()  # or one worker would get them all
            | "Tokenize" >> TokenizeShards(config.output, config.settings)
        )
        result = pipeline.run()
        # One thread waits, once: PortableRunner can not be asked twice with a time-out.
        with ThreadPoolExecutor(1) as waiter:
            state = waiter.submit(result.wait_until_finish)
            try:
                while not wait([state], timeout=_TICK_SECONDS).done:
                    progress.update()
            except KeyboardInterrupt:
                result.cancel()
                raise
            ended = state.result()
    except RuntimeError as error:
        raise known_error(str(error)) or error from None
    if ended != "DONE":
        raise TokenmillError(
            f"the Beam job ended as {ended}: see the runner's log. "
            "What it had committed is kept; run the same command again to do the rest"
        )


def _collect(config: BuildConfig, plan: Plan) -> list[Receipt]:
    pending = {receipt_path(unit.name) for unit in plan.pending}
    written = read_receipts(config.output, pending & list_files(config.output).keys())
    receipts = {**plan.done, **written}
    if missing := [unit.name for unit in plan.units if unit.name not in receipts]:
        raise MismatchError(
            f"the run ended without {len(missing)} units, such as {missing[0]!r}: "
            "run the same command again to do them"
        )
    return [receipts[unit.name] for unit in plan.units]


def _conclude(config: BuildConfig, plan: Plan, receipts: Sequence[Receipt], report: TextIO) -> int:
    totals = books.total(receipts)
    share = books.fault_share(totals.records, totals.rejects)
    _sweep(config.output, receipts)
    if share > config.max_rejects:
        _remove_manifest(config.output)
        print(
            f"no manifest: {share:.2%} of the records are faulty, more than "
            f"--max-rejects {config.max_rejects:g} allows. What is wrong with each is in "
            f"{config.output}/rejects. To accept them, run again with a larger --max-rejects: "
            "nothing is read twice",
            file=sys.stderr,
        )
        return exit_codes.TOO_MANY_REJECTS
    tokenizer = config.settings.load_tokenizer()
    content = books.manifest_json(receipts, plan.settings, plan.fingerprint, tokenizer)
    write_whole(f"{config.output.rstrip('/')}/{MANIFEST}", content)
    print(f"complete: {config.output.rstrip('/')}/{MANIFEST}", file=report)
    return exit_codes.COMPLETE


def _write_run(
    config: BuildConfig, plan: Plan, receipts: Sequence[Receipt], seconds: float
) -> None:
    """What is not reproducible goes here, and nowhere else."""
    now = datetime.datetime.now(datetime.timezone.utc)
    read = sum(
        receipt.input.text_bytes for receipt in receipts if receipt.input.path not in plan.done
    )
    run: dict[str, Any] = {
        "finished": now.isoformat(timespec="seconds"),
        "wall_seconds": round(seconds, 3),
        "units_done": len(plan.pending),
        "units_kept": len(plan.done),
        "text_megabytes_per_second": round(read / 1e6 / seconds, 3),
        "input_root": os.path.abspath(plan.input_root)
        if is_local(plan.input_root)
        else plan.input_root,
        "workers": None if config.beam_flags else config.worker_count,
        "beam_flags": list(config.beam_flags),
        "host": platform.node(),
        "platform": f"{platform.system()}-{platform.release()}-{platform.machine()}",
        "python": platform.python_version(),
        "versions": {
            name: metadata.version(name)
            for name in ("tokenmill", "apache-beam", "pyarrow", "resiliparse")
        },
    }
    name = now.strftime("%Y%m%dT%H%M%S.%fZ")
    content = json.dumps(run, indent=2).encode() + b"\n"
    write_whole(f"{config.output.rstrip('/')}/runs/{name}.json", content)


def _remove_manifest(output: str) -> None:
    """A manifest stands for a complete build: it goes before anything changes."""
    if exists(f"{output.rstrip('/')}/{MANIFEST}"):
        delete_files(output, [MANIFEST])


def _clear(config: BuildConfig, plan: Plan) -> None:
    """Removes what this run makes untrue, before it starts: the manifest first, then receipts."""
    if plan.pending or config.overwrite:
        _remove_manifest(config.output)
    if config.overwrite:
        delete_files(config.output, list_files(config.output))
    else:
        delete_files(config.output, map(receipt_path, plan.stale))


def _sweep(output: str, receipts: Sequence[Receipt]) -> None:
    """Removes what no receipt stands for: left by killed attempts, or by an input that changed."""
    known = {path for receipt in receipts for path in files_of(receipt)}
    known.update(receipt_path(receipt.input.path) for receipt in receipts)
    delete_files(output, sorted(list_files(output).keys() - known))
