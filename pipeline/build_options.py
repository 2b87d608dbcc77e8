"""The options of `tokenmill build`, and the BuildConfig that they make."""

import argparse
from collections.abc import Sequence

from pipeline.config import BuildConfig
from pipeline.export_options import BUILD_PREFIX, add_export_options
from pipeline.options import (
    add_common,
    add_running,
    add_tokenizer,
    check_tokenizer_name,
    special_tokens_of,
)
from pipeline.quantities import accepted_share, count, count_or_none
from transforms.reading import InputFormat, ReadSettings
from transforms.reading.formats import DEFAULT_UNIT_BYTES
from transforms.settings import TokenizeSettings
from transforms.shards.settings import ShardSettings

HELP = "Tokenize web-text files into shards of token ids."
EXAMPLES = """\
  tokenmill build --input 'web/*.jsonl.zst' --output shards
  tokenmill build --input 'cc/*.warc.wet.gz' 'books/*.parquet' --output shards --dry-run
  tokenmill build --input 'web/*.jsonl.gz' --output shards --tokenizer Qwen/Qwen3-0.6B \\
      --text-field content --max-shard-tokens 100M --max-rejects 1%
  zcat web.jsonl.gz | tokenmill build --input - --input-format jsonl --output shards

The same command again resumes: what is committed is kept. Without --runner the build runs here, in
worker processes. With it, this and Beam's other flags go to Apache Beam; what only the runner knows
goes after a bare --:

  tokenmill build --input 'gs://web/*' --output gs://tokens --runner=FlinkRunner \\
      --flink_master=host:8081 --parallelism=8 -- --object_reuse=true"""
_DEFAULTS = TokenizeSettings()
_DEFAULT_MAX_DOCUMENT = f"{_DEFAULTS.read.max_document_bytes >> 20}Mi"
_DEFAULT_MAX_UNIT = f"{DEFAULT_UNIT_BYTES // 10**6}M"


def add_arguments(build: argparse.ArgumentParser) -> None:
    """Adds every option of the command."""
    add_shared(build, has_dry_run=True)
    _add_resuming(build)
    add_export_options(build, BUILD_PREFIX)


def add_shared(command: argparse.ArgumentParser, *, has_dry_run: bool) -> None:
    """Adds what `tokenmill watch` has as well: files, and what becomes of them.

    Args:
        command: the parser. has_dry_run: whether it can look without doing anything.
    """
    _add_files(command, has_dry_run)
    _add_reading(command)
    add_tokenizer(command, default=_DEFAULTS.tokenizer)
    _add_framing(command)
    _add_limits(command)
    add_running(command)
    add_common(command)


def config_of(options: argparse.Namespace, beam_flags: Sequence[str]) -> BuildConfig:
    """What the options ask for.

    Raises:
        ConfigurationError: that is impossible.
    """
    check_tokenizer_name(options.tokenizer)
    return BuildConfig(
        inputs=tuple(options.input),
        output=options.output,
        input_root=options.input_root,
        workers=options.workers,
        beam_flags=tuple(beam_flags),
        max_rejects=options.max_rejects,
        max_memory_bytes=options.max_memory,
        allow_empty=options.allow_empty,
        allow_truncated=options.allow_truncated,
        check_inputs=options.check_inputs,
        overwrite=options.overwrite,
        repair=options.repair,
        verbose=options.verbose,
        stall_minutes=options.stall_minutes,
        settings=TokenizeSettings(
            tokenizer=options.tokenizer or _DEFAULTS.tokenizer,
            split_pattern=options.split_pattern,
            special_tokens=special_tokens_of(options),
            revision=options.revision,
            end_of_text=options.end_of_text,
            begin_of_text=options.begin_of_text,
            shards=ShardSettings(max_tokens=options.max_shard_tokens),
            read=ReadSettings(
                input_format=options.input_format and InputFormat(options.input_format),
                text_field=options.text_field,
                id_field=options.id_field,
                url_field=options.url_field,
                max_document_bytes=options.max_document_bytes,
                max_unit_bytes=options.max_unit_bytes,
            ),
        ),
    )


def _add_files(build: argparse.ArgumentParser, has_dry_run: bool) -> None:
    add = build.add_argument_group("files").add_argument
    add(
        "--input",
        nargs="+",
        required=True,
        action="extend",
        metavar="GLOB",
        help="paths or patterns, on any filesystem; - alone is standard input",
    )
    add(
        "--output",
        required=True,
        metavar="DIR",
        help="a folder: new, empty, or a build of the same settings to complete",
    )
    add(
        "--input-root",
        metavar="DIR",
        help="the folder that inputs are named relative to (default: the one they share)",
    )
    if has_dry_run:
        add(
            "--dry-run",
            action="store_true",
            help="read a few records and say what was found and what the whole will take; write "
            "nothing",
        )


def _add_reading(build: argparse.ArgumentParser) -> None:
    add = build.add_argument_group("reading").add_argument
    add(
        "--input-format",
        choices=[one.value for one in InputFormat],
        help="the format of all inputs (default: by each file's name)",
    )
    add(
        "--text-field",
        default=_DEFAULTS.read.text_field,
        metavar="FIELD",
        help="field or column of the text; a.b is the field b of the object a (default: text)",
    )
    add(
        "--id-field",
        default=_DEFAULTS.read.id_field,
        metavar="FIELD",
        help="field or column of a document's own id, which may be missing (default: id)",
    )
    add(
        "--url-field",
        default=_DEFAULTS.read.url_field,
        metavar="FIELD",
        help="field or column of its URL, which may be missing (default: url)",
    )
    add(
        "--max-document-bytes",
        type=count,
        default=_DEFAULTS.read.max_document_bytes,
        metavar="BYTES",
        help=f"a longer document is a reject (default: {_DEFAULT_MAX_DOCUMENT})",
    )


def _add_framing(build: argparse.ArgumentParser) -> None:
    add = build.add_argument_group("what goes around each document").add_argument
    add(
        "--begin-of-text",
        default=_DEFAULTS.begin_of_text,
        metavar="WHICH",
        help="before it: an id, the text of a special token, none, or auto, what the vocabulary's "
        "own tokenizer puts there, often nothing (default: auto)",
    )
    add(
        "--end-of-text",
        default=_DEFAULTS.end_of_text,
        metavar="WHICH",
        help="after it: the same, or auto, the vocabulary's end of text (default: auto)",
    )
    add(
        "--no-end-of-text",
        dest="end_of_text",
        action="store_const",
        const="none",
        help="the same as --end-of-text none",
    )


def _add_limits(build: argparse.ArgumentParser) -> None:
    add = build.add_argument_group("limits").add_argument
    add(
        "--max-shard-tokens",
        type=count,
        metavar="N",
        help="start a new file of the same input before one grows beyond this; no document is "
        "split (default: one file an input)",
    )
    add(
        "--max-unit-bytes",
        type=count_or_none,
        default=_DEFAULTS.read.max_unit_bytes,
        metavar="N",
        help="read a larger input in parts, each a unit with files of its own, where its format "
        f"allows; none: never (default: {_DEFAULT_MAX_UNIT})",
    )
    add(
        "--max-rejects",
        type=accepted_share,
        default=0.01,
        metavar="SHARE",
        help="write no manifest when a larger share of the records or bytes is faulty (default: "
        "1%%)",
    )
    add(
        "--allow-truncated",
        action="store_true",
        help="a build is complete although inputs end too early",
    )
    add("--allow-empty", action="store_true", help="a build without a single token is complete")
    add("--workers", type=int, metavar="N", help="local worker processes (default: one a core)")
    add(
        "--max-memory",
        type=count,
        metavar="BYTES",
        help="of all local workers together, such as 8G (default: no limit)",
    )


def _add_resuming(build: argparse.ArgumentParser) -> None:
    add = build.add_argument_group("what is there already").add_argument
    add("--overwrite", action="store_true", help="remove the build that is there and start over")
    add(
        "--repair",
        action="store_true",
        help="read every file that is done, and do the units again whose files no longer are what "
        "their receipts say",
    )
    add(
        "--check-inputs",
        action="store_true",
        help="read inputs that are done again, and do those anew whose SHA-256 has changed",
    )
