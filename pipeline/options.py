"""What commands share of a command line: the parser, and options that several of them have."""

import argparse
import json
import os
from typing import Any, NoReturn

from pipeline.quantities import minutes
from pipeline.suggestions import did_you_mean
from tokenizer import BUNDLED_NAMES, ConfigurationError, Tokenizer
from tokenizer.vocabularies.model_names import vocabulary_of_model


class CommandParser(argparse.ArgumentParser):
    """argparse with our errors, our way to show examples, and the nearest name."""

    def __init__(self, name: str, description: str, examples: str) -> None:
        """Makes the parser of a command.

        Args:
            name: of the command.
            description: one sentence.
            examples: lines to copy, shown at the end of `--help`.
        """
        super().__init__(
            prog=f"tokenmill {name}",
            description=description,
            epilog=f"examples:\n{examples}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    @property
    def option_names(self) -> list[str]:
        """Every option as it is written, such as `--input`."""
        return [name for action in self._actions for name in action.option_strings]

    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(f"{message}\n{self.prog} --help shows every option")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            hint = did_you_mean(str(value), map(str, action.choices))
            raise argparse.ArgumentError(
                action, f"expected one of {', '.join(action.choices)}, found {value}{hint}"
            )


def add_tokenizer(command: argparse.ArgumentParser, default: str) -> None:
    """Adds the options that say which tokenizer.

    Args:
        command: the parser.
        default: which one is used without them, for the help text.
    """
    add = command.add_argument_group("tokenizer").add_argument
    add(
        "--tokenizer",
        metavar="NAME",
        help="cl100k_base, o200k_base, p50k_base, r50k_base or gpt2; a tokenizer.json or "
        "tekken.json, or a folder that holds one; org/name on the Hugging Face hub; or a "
        f".tiktoken file (default: {default})",
    )
    add(
        "--split-pattern",
        metavar="REGEX",
        help="for a .tiktoken file: the pattern that cuts text into pretokens (default: none)",
    )
    add(
        "--special-tokens",
        metavar="JSON",
        help="for a .tiktoken file: an object of text to id, or @FILE that holds it (default: "
        "none)",
    )
    add(
        "--revision",
        metavar="COMMIT",
        help="for org/name: a commit, branch or tag (default: main)",
    )


def add_common(command: argparse.ArgumentParser) -> None:
    """Adds the options that every command has."""
    add = command.add_argument_group("output").add_argument
    add("--json", action="store_true", help="print the result as one JSON object, for scripts")
    add("--verbose", action="store_true", help="show what Beam has to say (default: errors only)")


def add_running(command: argparse.ArgumentParser) -> None:
    """Adds the options of commands that run anywhere, beside Beam's own flags."""
    command.add_argument_group("with --runner").add_argument(
        "--stall-minutes",
        type=minutes,
        default=15.0,
        metavar="N",
        help="with --runner: say so when nothing was finished for so long (default: 15)",
    )


def special_tokens_of(options: argparse.Namespace) -> dict[str, int] | None:
    """What --special-tokens holds, a JSON object of text to id or `@file`; None without it.

    Raises:
        ConfigurationError: it is no such object, or the file can not be read.
    """
    value = options.special_tokens
    if value is None:
        return None
    try:
        if value.startswith("@"):
            with open(value[1:], encoding="utf-8") as file:
                value = file.read()
        tokens = json.loads(value)
        if not isinstance(tokens, dict) or not all(type(i) is int for i in tokens.values()):
            raise ValueError("expected an object of text to id")
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"""{error}; write for example '{{"<|endoftext|>": 50256}}'""",
            setting="special_tokens",
        ) from error
    return tokens


def check_tokenizer_name(name: str | None) -> None:
    """Raises ConfigurationError for a name that is nearly one of the bundled ones."""
    if name is None or name in BUNDLED_NAMES or os.path.exists(name) or "/" in name:
        return
    if vocabulary_of_model(name):
        return  # what loads it says which vocabulary that model has
    if hint := did_you_mean(name, BUNDLED_NAMES):
        raise ConfigurationError(
            f"expected one of {', '.join(BUNDLED_NAMES)}, or a path, found {name!r}{hint}",
            setting="tokenizer",
        )


def given_tokenizer(options: argparse.Namespace, name: str | None = None) -> Tokenizer | None:
    """The tokenizer that the options name, or None when they name none.

    Args:
        options: with those of `add_tokenizer`.
        name: instead of --tokenizer, where several are named.

    Raises:
        ConfigurationError: options that need --tokenizer; or what `Tokenizer.load` raises.
    """
    name = options.tokenizer if name is None else name
    check_tokenizer_name(name)
    if name is None:
        for setting in ("split_pattern", "special_tokens", "revision"):
            if getattr(options, setting) is not None:
                raise ConfigurationError("needs --tokenizer", setting=setting)
        return None
    return Tokenizer.load(
        name,
        split_pattern=options.split_pattern,
        special_tokens=special_tokens_of(options),
        revision=options.revision,
    )
