"""The command line: finds the command, reads its options, and turns errors into messages.

A command is a module in pipeline/commands with

    HELP, EXAMPLES                    a sentence, and lines to copy
    TAKES_BEAM_FLAGS                  whether --runner and Beam's flags may follow
    add_arguments(parser)             its options
    run(options, beam_flags) -> int   what it does; gives the exit code

and nothing else has to know of it. Only the module of the command that was asked for is imported.

Exit codes: 0 complete; 1 failed, or a difference found; 2 wrong usage or configuration; 3 all
inputs read, but more rejects than --max-rejects allows.
"""

import importlib
import logging
import os
import pkgutil
import re
import signal
import sys
import threading
from collections.abc import Collection, Sequence
from contextlib import nullcontext, suppress
from itertools import zip_longest
from typing import Any

from pipeline import commands, exit_codes

_USAGE = "usage: tokenmill COMMAND [options]     (tokenmill COMMAND --help: its options)"
_EXAMPLES = """\
examples:
  tokenmill build --input 'web/*.jsonl.zst' --output shards
  tokenmill verify shards
  tokenmill inspect shards"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns the exit code.

    Args:
        arguments: of the command line; None: those of this process.
    """
    name, *rest = [*(sys.argv[1:] if arguments is None else arguments)] or [""]
    if name in ("-h", "--help"):
        print(_overview())
        return exit_codes.COMPLETE
    if name in ("-V", "--version"):
        from importlib import metadata

        print(f"tokenmill {metadata.version('tokenmill')}")
        return exit_codes.COMPLETE
    if name not in _command_names():
        return _refuse(name)
    if name == "build" and _will_start_workers(rest):
        from pipeline.runners.fork_server import WORKER_ENVIRONMENT, warm_up

        for variable, value in WORKER_ENVIRONMENT.items():
            os.environ.setdefault(variable, value)  # this process is ours as well
        # Before all other imports: they take their time beside each other.
        with suppress(OSError):  # it is said where workers are needed
            warm_up(_named_tokenizer(rest))
    try:
        command = importlib.import_module(f"{commands.__name__}.{name}")
        return _run(name, command, rest)
    except KeyboardInterrupt:
        from pipeline.terminal import say

        kept = ". What is committed is kept; run the same command again to do the rest"
        say(f"tokenmill: interrupted{kept if name in ('build', 'export') else ''}")
        return exit_codes.FAILED


def _run(name: str, command: Any, arguments: Sequence[str]) -> int:
    from pipeline.beam_flags import check_beam_flags
    from pipeline.options import CommandParser
    from pipeline.runners.engine_log import silence
    from pipeline.terminal import OutputError, escaped_message, say
    from tokenizer.errors import ConfigurationError, TokenmillError

    parser = CommandParser(name, command.HELP, command.EXAMPLES)
    command.add_arguments(parser)
    ours, untouched = _split_at_dashes(arguments)
    _answer_interrupts()
    try:
        options, unknown = parser.parse_known_args(ours)
        logging.basicConfig(
            level=logging.INFO if options.verbose else logging.ERROR,
            format="%(levelname)s %(name)s: %(message)s",
        )
        if command.TAKES_BEAM_FLAGS:
            flags = check_beam_flags(unknown, untouched, parser.option_names)
        else:
            flags = ()
            if unknown or untouched:
                parser.error(_unknown_option((*unknown, *untouched)[0], parser.option_names))
        with silence() if flags and not options.verbose else nullcontext():
            return int(command.run(options, flags))
    except ConfigurationError as error:
        message = str(error)
        if error.setting is not None:  # it is the option of that name
            message = "--" + error.setting.replace("_", "-") + message.removeprefix(error.setting)
        say(f"tokenmill: {escaped_message(_with_options(message, parser.option_names))}")
        return exit_codes.USAGE
    except BrokenPipeError:
        if command.TAKES_BEAM_FLAGS:
            raise  # a pipe between processes of ours
        return exit_codes.COMPLETE
    except OutputError as error:
        say(f"tokenmill: {error}. The work itself is done")
        return exit_codes.FAILED
    except (TokenmillError, OSError) as error:
        say(f"tokenmill: {escaped_message(str(error))}")
        return exit_codes.FAILED


def _with_options(message: str, option_names: Collection[str]) -> str:
    """The message with settings as the options that they are here: input_root -> --input-root."""
    names = {name.lstrip("-").replace("-", "_"): name for name in option_names}
    long = [name for name in names if "_" in name]
    if "--overwrite" in option_names:
        message = re.sub(r"\b(say|with) overwrite\b", r"\1 --overwrite", message)
    return re.sub(
        rf"(?<![\w-])({'|'.join(map(re.escape, long)) or '(?!)'})(?!\w)",
        lambda found: names[found[1]],
        message,
    )


def _split_at_dashes(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """What stands before a bare `--`, and what stands after it."""
    given = list(arguments)
    if "--" not in given:
        return given, []
    at = given.index("--")
    return given[:at], given[at + 1 :]


def _answer_interrupts() -> None:
    """From here on an interrupt, or to be told to end, is an exception.

    Then leases are given back, workers ended and jobs elsewhere cancelled.

    Before, while modules were imported, tokenmill.main had the process end at once.
    """
    is_ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN  # as `nohup` and `&` have it
    if threading.current_thread() is threading.main_thread() and not is_ignored:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def _will_start_workers(arguments: Sequence[str]) -> bool:
    idle = ("-h", "--help", "--dry-run", "--runner")
    return not any(one in idle or one.startswith("--runner=") for one in arguments)


def _named_tokenizer(arguments: Sequence[str]) -> str:
    """What --tokenizer says, empty where it says nothing; options are checked later."""
    name = ""
    for one, following in zip_longest(arguments, arguments[1:], fillvalue=""):
        if one == "--tokenizer":
            name = following
        elif one.startswith("--tokenizer="):
            name = one.partition("=")[2]
    return name


def _command_names() -> list[str]:
    return [module.name for module in pkgutil.iter_modules(commands.__path__)]


def _overview() -> str:
    lines = [
        _USAGE,
        "",
        "Web text in, token-ID arrays out.",
        "",
        "commands:",
    ]
    for name in _command_names():
        command = importlib.import_module(f"{commands.__name__}.{name}")
        lines.append(f"  {name:<10} {command.HELP}")
    return "\n".join([*lines, "  --version  Show which version this is.", "", _EXAMPLES])


def _refuse(name: str) -> int:
    from pipeline.suggestions import did_you_mean
    from pipeline.terminal import escaped, say

    say(_USAGE)
    names = _command_names()
    if not name:
        say(f"tokenmill: name a command: {', '.join(names)}")
    else:
        hint = did_you_mean(name, names)
        say(f"tokenmill: expected one of {', '.join(names)}, found {escaped(name)}{hint}")
    return exit_codes.USAGE


def _unknown_option(option: str, known: Sequence[str]) -> str:
    from pipeline.suggestions import did_you_mean

    return f"unknown option {option}{did_you_mean(option.partition('=')[0], known)}"
