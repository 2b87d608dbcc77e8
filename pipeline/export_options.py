"""The options of an export: of `tokenmill export`, and of `build`, named `--export-`."""

import argparse
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pipeline.quantities import count
from tokenizer import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.config import BuildConfig
    from pipeline.export_config import ExportConfig

BUILD_PREFIX = "export-"

_OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "format",
        {
            "metavar": "NAME",
            "help": "bin, nanogpt, megatron, olmo, datatrove, llmc, mds, litdata, pbin, parquet, "
            "arrayrecord or npy, which is of sequences",
        },
    ),
    (
        "shard-tokens",
        {
            "type": count,
            "metavar": "N",
            "help": "a shard ends before the document that would bring it above this (default: "
            "100M; nanogpt: one file a split)",
        },
    ),
    (
        "split",
        {
            "action": "append",
            "metavar": "NAME=SHARE,...",
            "help": "documents to hold out, such as validation=0.5%%,test=0.5%%; may be given "
            "several times (default: none; nanogpt: val=0.0005)",
        },
    ),
    (
        "split-key",
        {
            "default": "id",
            "choices": ["id", "host", "url", "text"],
            "help": "what decides a document's split; the same text is always in the same one "
            "(default: id)",
        },
    ),
    (
        "end-of-text",
        {
            "default": "auto",
            "choices": ["auto", "before", "after", "none", "as-built"],
            "help": "where the end of text stands (default: auto, where the trainer wants it)",
        },
    ),
    (
        "source",
        {
            "action": "append",
            "default": [],
            "metavar": "NAME=PATTERN",
            "help": "a source of a mixture: the units that a pattern of their names matches; "
            "several times (default: none)",
        },
    ),
    (
        "weight",
        {
            "action": "append",
            "default": [],
            "metavar": "NAME=NUMBER",
            "help": "how often the documents of a source are in `train`: 0.5 leaves out half of "
            "them, 2.5 has each twice and half of them once more (default: 1)",
        },
    ),
    (
        "sequence-length",
        {
            "type": count,
            "metavar": "L",
            "help": "pack documents into sequences of so many ids (default: documents stay whole)",
        },
    ),
    (
        "packing",
        {
            "default": "concat",
            "choices": ["concat", "best-fit"],
            "help": "documents joined and cut, or fitted so that none is cut unless it is longer "
            "(default: concat)",
        },
    ),
    (
        "tail",
        {
            "default": "pad",
            "choices": ["pad", "drop", "carry"],
            "help": "what becomes of ids that do not fill the last sequence of a shard: carry has "
            "the next shard begin with them, and pads the last (default: pad)",
        },
    ),
    (
        "shuffle",
        {
            "type": int,
            "metavar": "SEED",
            "help": "put the documents of each split in an order that depends on the seed and on "
            "each of them alone (default: the order of the build)",
        },
    ),
    (
        "shuffle-tokens",
        {
            "type": count,
            "default": 1 << 25,
            "metavar": "N",
            "help": "shuffle about so many at a time: a worker needs some 20 bytes for each, and "
            "no byte of the output depends on it (default: 32Mi)",
        },
    ),
)


def add_export_options(command: argparse.ArgumentParser, prefix: str = "") -> None:
    """Adds them all, each name after the prefix."""
    if prefix:
        add = command.add_argument_group("export of the complete build").add_argument
        add(
            f"--{prefix}output",
            metavar="DIR",
            help="a folder: new, empty, or to complete (default: no export)",
        )
    else:
        add = command.add_argument_group("what is exported, and how").add_argument
    for name, how in _OPTIONS:
        if prefix and name == "format":
            how = {**how, "help": f"{how['help']} (default: no export)"}
        add(f"--{prefix}{name}", required=not prefix and name == "format", **how)


def parse_builds(texts: Sequence[str]) -> str | dict[str, str]:
    """The build, or several by name, as they are written.

    >>> parse_builds(["shards"]), parse_builds(["web=shards", "code=gs://code/shards"])
    ('shards', {'web': 'shards', 'code': 'gs://code/shards'})

    A name has no slash, so a path with an equals sign is written with one before it:

    >>> parse_builds(["web=shards"]), parse_builds(["./day=1"])
    ({'web': 'shards'}, './day=1')

    Raises:
        ConfigurationError: a build without a name among several, or a name twice; a name or a
            directory that is empty.
    """
    if len(texts) == 1 and ("=" not in texts[0] or "/" in texts[0].partition("=")[0]):
        return texts[0]
    builds: dict[str, str] = {}
    for text in texts:
        name, _, directory = text.partition("=")
        if not name or "/" in name or not directory or name in builds:
            raise ConfigurationError(
                "several builds need NAME=DIR each, every name once and without a slash, found "
                f"{text!r}"
            )
        builds[name] = directory
    return builds


def export_config(
    options: argparse.Namespace,
    directory: str | Mapping[str, str],
    output: str,
    beam_flags: Sequence[str],
    prefix: str = "",
) -> "ExportConfig":
    """What the options ask for.

    Raises:
        ConfigurationError: they contradict each other; the message names the option.
    """
    from pipeline.export_config import ExportConfig
    from transforms.exports.settings import ExportSettings, parse_sources, parse_splits

    def given(name: str) -> Any:
        return getattr(options, f"{prefix}{name}".replace("-", "_"))

    with _named(prefix):
        return ExportConfig(
            directory=directory,
            output=output,
            workers=options.workers,
            beam_flags=tuple(beam_flags),
            verbose=options.verbose,
            stall_minutes=options.stall_minutes,
            settings=ExportSettings(
                format=given("format"),
                shard_tokens=given("shard-tokens"),
                splits=None if given("split") is None else parse_splits(",".join(given("split"))),
                split_key=given("split-key"),
                end_of_text=given("end-of-text"),
                shuffle=given("shuffle"),
                sequence_length=given("sequence-length"),
                packing=given("packing"),
                tail=given("tail"),
                sources=parse_sources(given("source"), given("weight"), directory),
            ),
            block_tokens=given("shuffle-tokens"),
        )


def export_of_build(
    options: argparse.Namespace, build: "BuildConfig", beam_flags: Sequence[str]
) -> "ExportConfig | None":
    """The export that a build is to end with; None where none is asked for.

    Raises:
        ConfigurationError: before the build: it could not be written.
    """
    if options.export_format is None or options.export_output is None:
        if options.export_format is None and options.export_output is None:
            _refuse_alone(options)
            return None
        raise ConfigurationError("--export-format and --export-output go together")
    from transforms.exports.formats import dtype_for, export_format

    config = export_config(options, build.output, options.export_output, beam_flags, BUILD_PREFIX)
    with _named(BUILD_PREFIX):
        one = export_format(config.settings.format)
        one.check_available()
        dtype_for(one, build.settings.load_tokenizer().vocabulary_size)
    return config


def _refuse_alone(options: argparse.Namespace) -> None:
    """Refuses what would be ignored. Options that have a default are not told from theirs."""
    for name in ("shard_tokens", "split", "source", "weight", "sequence_length", "shuffle"):
        if getattr(options, f"export_{name}") not in (None, []):
            raise ConfigurationError(
                "says how an export is made: name one by --export-format and --export-output",
                setting=f"export_{name}",
            )


@contextmanager
def _named(prefix: str) -> "Iterator[None]":
    """Errors name the option as it is called here."""
    try:
        yield
    except ConfigurationError as error:
        if prefix and error.setting is not None:
            named = prefix.replace("-", "_") + error.setting
            text = str(error).removeprefix(f"{error.setting}: ")
            raise ConfigurationError(text, setting=named) from error
        raise
