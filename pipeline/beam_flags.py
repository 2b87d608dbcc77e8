"""Flags for Apache Beam on our command line: known ones are handed on, mistyped ones refused.

    tokenmill build --input ... --runner=FlinkRunner --parallelism=8 -- --object_reuse=true
                    ours        Beam's, each one known                  untouched

Beam itself drops what it does not know with a warning: a mistyped option of ours would be ignored.
"""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NoReturn

from pipeline.suggestions import did_you_mean
from tokenizer.errors import ConfigurationError


def names_runner(flags: Sequence[str]) -> bool:
    """Whether one of the flags says where to run."""
    return any(flag == "--runner" or flag.startswith("--runner=") for flag in flags)


def check_beam_flags(
    unknown: Sequence[str], untouched: Sequence[str], our_options: Iterable[str]
) -> tuple[str, ...]:
    """What to hand to Beam.

    Args:
        unknown: what our own parser did not know.
        untouched: what stood after a bare `--`.
        our_options: names of ours, to suggest one of.

    Raises:
        ConfigurationError: an option that neither we nor Beam know; or flags, and no runner.
    """
    if not unknown and not untouched:
        return ()
    if not names_runner([*unknown, *untouched]):
        raise ConfigurationError(
            f"unknown option {unknown[0]}{did_you_mean(_name_of(unknown[0]), our_options)}"
            if unknown
            else "what stands after -- goes to Beam, and Beam's own flags need --runner"
        )
    if unknown:
        _check_known(unknown, our_options)
    _check_runner([*unknown, *untouched])
    return (*unknown, *untouched)


def _check_known(flags: Sequence[str], our_options: Iterable[str]) -> None:
    parser = _beam_parser()
    _, left = parser.parse_known_args(list(flags))
    if not left:
        return
    known = sorted(name for action in parser._actions for name in action.option_strings)
    hint = did_you_mean(_name_of(left[0]), [*our_options, *known])
    raise ConfigurationError(
        f"unknown option {left[0]}{hint or ': neither tokenmill nor Beam knows it'}. What only the "
        "runner knows goes after a bare --"
    )


def _check_runner(flags: Sequence[str]) -> None:
    """The runner is one that Beam knows, or the path of a class."""
    from apache_beam.options.pipeline_options import StandardOptions

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--runner", default="")
    runner = parser.parse_known_args(list(flags))[0].runner
    names = [path.rpartition(".")[2] for path in StandardOptions.ALL_KNOWN_RUNNERS]
    short = {name.lower() for name in names} | {
        name.lower().removesuffix("runner") for name in names
    }
    if "." not in runner and runner.lower() not in short:
        raise ConfigurationError(
            f"expected one of {', '.join(names)}, or the path of a class, found {runner!r}"
            f"{did_you_mean(runner, names)}",
            setting="runner",
        )


def _name_of(flag: str) -> str:
    return flag.partition("=")[0]


def _beam_parser() -> argparse.ArgumentParser:
    """A parser of all options that Beam's own classes, and subclasses of others, declare."""
    from apache_beam.options.pipeline_options import PipelineOptions, _BeamArgumentParser

    class Parser(_BeamArgumentParser):  # type: ignore[misc]
        def error(self, message: str) -> NoReturn:
            raise ConfigurationError(f"Beam: {message}")

    parser: argparse.ArgumentParser = Parser(
        add_help=False, allow_abbrev=False, conflict_handler="resolve"
    )
    for options in _all_subclasses(PipelineOptions):
        if "_add_argparse_args" in vars(options):
            options._add_argparse_args(parser)
    return parser


def _all_subclasses(kind: Any) -> Iterator[Any]:
    for subclass in kind.__subclasses__():
        yield subclass
        yield from _all_subclasses(subclass)
