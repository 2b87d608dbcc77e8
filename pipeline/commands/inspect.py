"""`tokenmill inspect`: tokens for people to look at."""

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from pipeline import exit_codes
from pipeline.found_document import look_up_document
from pipeline.options import (
    add_common,
    add_tokenizer,
    check_tokenizer_name,
    given_tokenizer,
)
from pipeline.quantities import count, counted
from pipeline.report import as_json
from pipeline.terminal import escaped, show
from pipeline.token_text import token_texts
from pipeline.token_view import (
    TokenizedText,
    print_pretokens,
    print_side_by_side,
    print_tokens,
    tokenized,
)
from tokenizer import ConfigurationError, Tokenizer
from transforms.errors import MismatchError
from transforms.shards.build import Build

HELP = "Look at the tokens of a document or a text."
EXAMPLES = """\
  tokenmill inspect shards
  tokenmill inspect shards --document en-0010996
  tokenmill inspect --text 'Hello world' --tokenizer cl100k_base --compare gpt2
  echo 'Hello world' | tokenmill inspect --text -"""
TAKES_BEAM_FLAGS = False
DEFAULT_LIMIT = 200
_DEFAULT_TOKENIZER = "cl100k_base"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Adds every option of the command."""
    command.add_argument(
        "directory", metavar="DIR", nargs="?", help="a build; without --document: its first one"
    )
    add = command.add_argument_group("what to look at").add_argument
    add("--document", metavar="ID", help="a document by its id (default: the first document)")
    add(
        "--shard",
        metavar="S",
        help="a shard by its path in the manifest (default: go by --document)",
    )
    add(
        "--index",
        type=int,
        metavar="K",
        help="which document of --shard, from 0 (default: 0)",
    )
    add(
        "--text",
        metavar="TEXT",
        help="a text to tokenize here and now; - is standard input (default: look into DIR)",
    )
    add(
        "--limit",
        type=count,
        default=DEFAULT_LIMIT,
        metavar="N",
        help=f"show so many tokens of a document (default: {DEFAULT_LIMIT})",
    )
    add(
        "--compare",
        metavar="NAME",
        help="another tokenizer, to show its tokens beside the first one's (default: none)",
    )
    add_tokenizer(command, default=f"the build's own; for --text {_DEFAULT_TOKENIZER}")
    add_common(command)


def run(options: argparse.Namespace, _: object) -> int:
    """The command; returns its exit code."""
    check_tokenizer_name(options.compare)
    compared = None if options.compare is None else Tokenizer.load(options.compare)
    if options.text is not None:
        if options.directory is not None:
            raise ConfigurationError("give either a build or a text", setting="text")
        text = _standard_input() if options.text == "-" else options.text
        return inspect_text(text, given_tokenizer(options), compared, json=options.json)
    if options.directory is None:
        raise ConfigurationError("inspect: name a build, or give a --text")
    if options.index is not None and options.shard is None:
        raise ConfigurationError("says which document of a --shard: name one", setting="index")
    if options.document is not None and options.shard is not None:
        raise ConfigurationError("give either --document or --shard", setting="document")
    return inspect_document(
        options.directory,
        options.document,
        options.shard,
        options.index or 0,
        limit=options.limit,
        tokenizer=given_tokenizer(options),
        compared=compared,
        json=options.json,
    )


def inspect_document(
    directory: str,
    document_id: str | None = None,
    shard: str | None = None,
    index: int = 0,
    *,
    limit: int = DEFAULT_LIMIT,
    tokenizer: Tokenizer | None = None,
    compared: Tokenizer | None = None,
    json: bool = False,
) -> int:
    """Shows a document of a build: where it comes from, its first tokens and their ids.

    Args:
        directory: the build.
        document_id: the first document of that id; None, and no shard: the first of all.
        shard: a path in the manifest; with `index`, which document of it.
        index: from 0.
        limit: how many tokens to show.
        tokenizer: None: the build's own.
        compared: another one, to show its tokens of the same text.
        json: print one JSON object.

    Returns:
        The exit code.

    Raises:
        ConfigurationError: impossible arguments.
        MismatchError: there is no such document.
    """
    if limit < 1:
        raise ConfigurationError("must be at least 1", setting="limit")
    if index < 0:
        raise ConfigurationError("must be at least 0", setting="index")
    found = look_up_document(Build.at(directory), document_id, shard, index, limit, tokenizer)
    try:
        texts = token_texts(found.tokenizer, found.ids)
    except ValueError as error:
        raise MismatchError(
            f"{found.facts['shard']}: the document at {found.facts['start']}: {error}. "
            "`tokenmill verify` tells what else is wrong"
        ) from error
    if json:
        alike = {"documents_with_this_id": found.alike}
        show(as_json({**found.facts, **alike, "ids": found.ids, "tokens": texts}))
        return exit_codes.COMPLETE
    console = _console()
    if found.alike > 1:
        console.print(f"{found.alike} documents have this id; the first of them:")
    _print_facts(console, found.facts)
    console.print()
    if compared is None:
        print_tokens(console, texts, found.ids)
    else:
        text = found.tokenizer.decode(_without_frame(found.ids, found.tokenizer))
        views = [tokenized(one, text) for one in (found.tokenizer, compared)]
        print_side_by_side(console, *views)
    if more := found.facts["length"] - len(found.ids):
        limit = found.facts["length"]
        console.print(f"... and {counted(more, 'more token')}: see them with --limit {limit}")
    return exit_codes.COMPLETE


def inspect_text(
    text: str,
    tokenizer: Tokenizer | None = None,
    compared: Tokenizer | None = None,
    *,
    json: bool = False,
) -> int:
    """Shows what becomes of a text: its pretokens, and the tokens and ids of each.

    Args:
        text: any.
        tokenizer: None: cl100k_base.
        compared: another one, to show its tokens beside.
        json: print one JSON object.

    Returns:
        The exit code.

    Raises:
        ConfigurationError: the text is not valid Unicode.
    """
    used = [tokenizer or Tokenizer.load(_DEFAULT_TOKENIZER)]
    used += [] if compared is None else [compared]
    try:
        views = [tokenized(one, text) for one in used]
    except UnicodeEncodeError as error:
        raise ConfigurationError(f"not valid Unicode: {error.reason}", setting="text") from error
    if json:
        values = [_plain(view) for view in views]
        show(as_json(values[0] if compared is None else values))
        return exit_codes.COMPLETE
    console = _console()
    for view in views:
        console.print(view.title)
    console.print()
    if compared is not None:
        print_side_by_side(console, *views)
        return exit_codes.COMPLETE
    print_tokens(console, views[0].tokens, views[0].ids)
    console.print()
    print_pretokens(console, views[0])
    return exit_codes.COMPLETE


def _standard_input() -> str:
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"standard input is not UTF-8: {error.reason} at byte {error.start}", setting="text"
        ) from error


def _without_frame(ids: list[int], tokenizer: Tokenizer) -> list[int]:
    """The ids less those of special tokens, which are no text."""
    special = set(tokenizer.vocabulary.special_tokens.values())
    return [token for token in ids if token not in special]


def _plain(view: TokenizedText) -> dict[str, Any]:
    return {
        "tokenizer": view.tokenizer,
        "bytes": len(view.text),
        "ids": view.ids,
        "tokens": view.tokens,
        "pretokens": [
            {"text": escaped(pretoken.text.decode(errors="backslashreplace")), "ids": pretoken.ids}
            for pretoken in view.pretokens
        ],
    }


def _print_facts(console: Console, facts: Mapping[str, Any]) -> None:
    tokens, text_bytes = counted(facts["length"], "token"), counted(facts["text_bytes"], "byte")
    lines = {
        **facts,
        "input": f"{facts['input']} ({counted(facts['input_bytes'], 'byte')})",
        "length": f"{tokens}, {text_bytes} of text",
    }
    for name, value in lines.items():
        if name not in ("input_bytes", "text_bytes"):
            shown = "(none)" if value is None else escaped(str(value))
            console.print(Text(f"{name:<10} {shown}"), soft_wrap=True)


def _console() -> Console:
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # web text in a terminal of any encoding
    return Console(highlight=False, markup=False, emoji=False)
