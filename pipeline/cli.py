"""The command line: `tokenmill build | verify | inspect | export | find`.

Exit codes: 0 complete; 1 failed, or a difference found; 2 wrong usage or configuration; 3 all
inputs read, but more rejects than --max-rejects allows.

Imports at the top are light: Beam takes a second, and usage errors should not wait for it.
"""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from pipeline import exit_codes
from pipeline.export_options import (
    BUILD_PREFIX,
    add_export_options,
    export_config,
    export_of_build,
)

if TYPE_CHECKING:
    from tokenizer import Tokenizer


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns the exit code; sys.argv where no arguments are given."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    takes_runner = options.command in ("build", "export")
    if rest and not (takes_runner and _names_runner(rest)):
        parser.error(
            f"unknown option {rest[0]}"
            + (": Beam's own flags need --runner" if takes_runner else "")
        )
    if options.command == "build" and not rest:
        from pipeline.runners.fork_server import warm_up

        warm_up()  # before all other imports: they take their time beside each other
    from tokenizer.errors import ConfigurationError, TokenmillError

    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.ERROR,
        format="%(levelname)s %(name)s: %(message)s",
    )
    try:
        return _COMMANDS[options.command](options, rest)
    except ConfigurationError as error:
        message = str(error)
        if error.setting is not None:  # it is the option of that name
            message = "--" + error.setting.replace("_", "-") + message.removeprefix(error.setting)
        print(f"tokenmill: {message}", file=sys.stderr)
        return exit_codes.USAGE
    except (TokenmillError, OSError) as error:
        print(f"tokenmill: {error}", file=sys.stderr)
        return exit_codes.FAILED
    except KeyboardInterrupt:
        print(
            "tokenmill: interrupted. What is committed is kept; "
            "run the same command again to do the rest",
            file=sys.stderr,
        )
        return exit_codes.FAILED


def _names_runner(flags: Sequence[str]) -> bool:
    return any(flag == "--runner" or flag.startswith("--runner=") for flag in flags)


def _build(options: argparse.Namespace, beam_flags: Sequence[str]) -> int:
    from pipeline.commands.build import build
    from pipeline.config import BuildConfig
    from transforms.reading import InputFormat, ReadSettings
    from transforms.settings import TokenizeSettings
    from transforms.shards.settings import ShardSettings

    config = BuildConfig(
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
        settings=TokenizeSettings(
            tokenizer=options.tokenizer,
            split_pattern=options.split_pattern,
            special_tokens=_special_tokens(options.special_tokens),
            revision=options.revision,
            end_of_text=options.end_of_text,
            begin_of_text=options.begin_of_text,
            shards=ShardSettings(max_tokens=options.max_shard_tokens),
            read=ReadSettings(
                input_format=options.input_format and InputFormat(options.input_format),
                text_field=options.text_field,
                id_field=options.id_field,
                url_field=options.url_field,
            ),
        ),
    )
    exported = export_of_build(options, config, beam_flags)
    result = build(config)
    if exported is None or result.exit_code != exit_codes.COMPLETE:
        return result.exit_code
    from pipeline.commands.export import export

    return export(exported).exit_code


def _special_tokens(value: str | None) -> dict[str, int] | None:
    """A JSON object of text to id, or `@file` that holds one."""
    from tokenizer.errors import ConfigurationError

    if value is None:
        return None
    try:
        if value.startswith("@"):
            with open(value[1:], encoding="utf-8") as file:
                value = file.read()
        tokens = json.loads(value)
        if not isinstance(tokens, dict) or not all(type(i) is int for i in tokens.values()):
            raise ValueError("expected an object of text to id")
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"""--special-tokens: {error}; write for example '{{"<|endoftext|>": 50256}}'"""
        ) from error
    return tokens


def _verify(options: argparse.Namespace, _: Sequence[str]) -> int:
    from pipeline.commands.verify import verify

    return verify(
        options.directory,
        retokenize=options.retokenize,
        input_root=options.input_root,
        tokenizer=_given_tokenizer(options),
        source=options.source,
    )


def _inspect(options: argparse.Namespace, _: Sequence[str]) -> int:
    from pipeline.commands.inspect import inspect_document, inspect_text

    if options.text is not None:
        if options.directory is not None:
            raise _usage("inspect: give either DIR or --text")
        return inspect_text(options.text, _given_tokenizer(options))
    if options.directory is None:
        raise _usage("inspect: give DIR and --document, or --text")
    if (options.document is None) == (options.shard is None):
        raise _usage("inspect: say which document: --document ID, or --shard S --index K")
    return inspect_document(
        options.directory,
        options.document,
        options.shard,
        options.index,
        limit=options.limit,
        tokenizer=_given_tokenizer(options),
    )


def _given_tokenizer(options: argparse.Namespace) -> "Tokenizer | None":
    """The tokenizer that the options name, or None when they name none."""
    from tokenizer import Tokenizer
    from tokenizer.errors import ConfigurationError

    if options.tokenizer is None:
        given = (options.split_pattern, options.special_tokens, options.revision)
        if any(one is not None for one in given):
            raise ConfigurationError(
                "--split-pattern, --special-tokens and --revision need --tokenizer"
            )
        return None
    return Tokenizer.load(
        options.tokenizer,
        split_pattern=options.split_pattern,
        special_tokens=_special_tokens(options.special_tokens),
        revision=options.revision,
    )


def _usage(message: str) -> Exception:
    from tokenizer.errors import ConfigurationError

    return ConfigurationError(message)


def _export(options: argparse.Namespace, beam_flags: Sequence[str]) -> int:
    from pipeline.commands.export import export

    return export(
        export_config(options, options.directory, options.output, beam_flags, prefix="")
    ).exit_code


def _find(options: argparse.Namespace, _: Sequence[str]) -> int:
    from pipeline.commands.find import find

    return find(
        options.directory,
        at=options.at,
        document=options.id,
        url=options.url,
        as_json=options.json,
    )


_COMMANDS = {
    "build": _build,
    "verify": _verify,
    "inspect": _inspect,
    "export": _export,
    "find": _find,
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        print(f"tokenmill: {message}", file=sys.stderr)
        sys.exit(exit_codes.USAGE)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="tokenmill", description="Web text in, token-ID arrays out.")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="build | verify | inspect | export | find"
    )
    _add_build(commands.add_parser("build", help="tokenize inputs into shards", allow_abbrev=False))
    verify = commands.add_parser("verify", help="check a build or an export", allow_abbrev=False)
    verify.add_argument("directory", metavar="DIR")
    verify.add_argument(
        "--retokenize",
        type=float,
        default=0.0,
        metavar="FRACTION",
        help="do this share of the units again from their inputs and compare every token",
    )
    verify.add_argument(
        "--input-root",
        metavar="DIR",
        help="where the inputs are now (default: where the last run read them)",
    )
    verify.add_argument(
        "--source",
        metavar="DIR",
        help="of an export: the build that it was made of (default: where the last run read it)",
    )
    inspect = commands.add_parser("inspect", help="look at tokens", allow_abbrev=False)
    inspect.add_argument("directory", metavar="DIR", nargs="?")
    inspect.add_argument("--document", metavar="ID", help="a document by its id")
    inspect.add_argument("--shard", metavar="S", help="a shard by its path in the manifest")
    inspect.add_argument(
        "--index", type=int, default=0, metavar="K", help="which document of the shard, from 0"
    )
    inspect.add_argument("--text", help="a text to tokenize here and now")
    inspect.add_argument(
        "--limit", type=int, default=200, metavar="N", help="show so many tokens (default: 200)"
    )
    _add_export(
        commands.add_parser(
            "export", help="write a build in the files of a trainer", allow_abbrev=False
        )
    )
    find = commands.add_parser(
        "find", help="where a token came from, and where a document is", allow_abbrev=False
    )
    find.add_argument("directory", metavar="DIR", help="a build or an export")
    find.add_argument("--at", metavar="SHARD:POSITION", help="a token of a shard, from 0")
    find.add_argument("--id", metavar="ID", help="all documents of that id")
    find.add_argument("--url", metavar="URL", help="all documents of that URL")
    find.add_argument("--json", action="store_true", help="a line of JSON a place")
    for command in (verify, inspect):
        _add_tokenizer(command, default=None)
    for command in commands.choices.values():
        command.add_argument("--verbose", action="store_true", help="show what Beam has to say")
    return parser


def _add_build(build: argparse.ArgumentParser) -> None:
    build.epilog = (
        "Without --runner the build runs here, in worker processes. With it, this and every other "
        "flag not listed goes to Apache Beam: --runner=FlinkRunner --flink_master=... ."
    )
    add = build.add_argument
    add("--input", nargs="+", required=True, action="extend", metavar="GLOB")
    add("--output", required=True, metavar="DIR")
    add(
        "--input-format",
        choices=["jsonl", "parquet", "wet", "warc", "text"],
        help="the format of all inputs (default: by each file's name)",
    )
    add("--text-field", default="text", metavar="FIELD", help="dotted paths go into objects")
    add("--id-field", default="id", metavar="FIELD")
    add("--url-field", default="url", metavar="FIELD")
    _add_tokenizer(build, default="cl100k_base")
    add(
        "--begin-of-text",
        default="auto",
        metavar="WHICH",
        help="what to put in front of each document: an id, the text of a special token, none, or "
        "auto, what the vocabulary's own tokenizer puts there, often nothing (default: auto)",
    )
    add(
        "--end-of-text",
        default="auto",
        metavar="WHICH",
        help="behind each document: the same, or auto, the vocabulary's end of text (default: "
        "auto)",
    )
    add(
        "--no-end-of-text",
        dest="end_of_text",
        action="store_const",
        const="none",
        help="the same as --end-of-text none",
    )
    add(
        "--max-shard-tokens",
        type=int,
        metavar="N",
        help="start a new file when one is full; no document is split",
    )
    add(
        "--max-rejects",
        type=float,
        default=0.01,
        metavar="SHARE",
        help="write no manifest when more of the records are faulty (default: 0.01)",
    )
    add("--workers", type=int, metavar="N", help="local worker processes (default: one a core)")
    add(
        "--input-root",
        metavar="DIR",
        help="the folder that inputs are named relative to (default: the one they share)",
    )
    add("--overwrite", action="store_true", help="remove what is there and start over")
    add(
        "--repair",
        action="store_true",
        help="read every finished file and do the units again whose files are not as written",
    )
    add(
        "--check-inputs",
        action="store_true",
        help="read finished inputs again and do those anew whose SHA-256 has changed",
    )
    add("--allow-empty", action="store_true", help="a build without any token is complete")
    add(
        "--allow-truncated",
        action="store_true",
        help="a build is complete although inputs end too early",
    )
    add("--max-memory", type=int, metavar="BYTES", help="of all workers together")
    add("--export-output", metavar="DIR", help="export the complete build to this folder as well")
    add_export_options(build, BUILD_PREFIX)


def _add_export(export: argparse.ArgumentParser) -> None:
    export.epilog = "With --runner the export runs on Apache Beam, as a build does."
    add = export.add_argument
    add("directory", metavar="DIR", help="a complete build")
    add("--output", required=True, metavar="DIR")
    add_export_options(export)
    add("--workers", type=int, metavar="N", help="local worker processes (default: one a core)")


def _add_tokenizer(command: argparse.ArgumentParser, default: str | None) -> None:
    which = default or "the build's, or cl100k_base"
    command.add_argument(
        "--tokenizer",
        default=default,
        metavar="NAME",
        help="r50k_base or gpt2, p50k_base, cl100k_base, o200k_base; a tokenizer.json or "
        "tekken.json, or a folder that holds one; org/name on the Hugging Face hub; or a "
        f".tiktoken file (default: {which})",
    )
    add = command.add_argument
    add("--split-pattern", metavar="REGEX", help="for a .tiktoken file")
    add("--special-tokens", metavar="JSON", help="for a .tiktoken file: text to id, or @FILE")
    add("--revision", metavar="COMMIT", help="for org/name: commit, branch or tag (default: main)")
