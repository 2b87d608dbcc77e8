"""The command line itself: options, numbers, suggestions, help, version, where output goes."""

import argparse
import importlib
import json
import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import pytest
from sample_inputs import json_lines

from pipeline import commands
from pipeline.beam_flags import check_beam_flags
from pipeline.build_options import config_of
from pipeline.cli import main
from pipeline.config import BuildConfig
from pipeline.options import CommandParser
from pipeline.quantities import count, share
from pipeline.terminal import OutputError, escaped_message, show
from tokenizer import ConfigurationError

COMMANDS = [module.name for module in pkgutil.iter_modules(commands.__path__)]
TOKENMILL = [sys.executable, "-m", "tokenmill"]


def parser_of(name: str) -> CommandParser:
    command = importlib.import_module(f"pipeline.commands.{name}")
    parser = CommandParser(name, command.HELP, command.EXAMPLES)
    command.add_arguments(parser)
    return parser


def tokenmill(
    *arguments: str | Path, cwd: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*TOKENMILL, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False
    )


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "a.jsonl"
    path.parent.mkdir()
    path.write_bytes(json_lines("a", 20))
    return path


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_help_text_and_one_that_takes_a_value_says_its_default(
    name: str,
) -> None:
    for action in parser_of(name)._actions:
        assert action.help, action
        takes_value = action.option_strings and action.nargs != 0 and not action.required
        if takes_value:
            assert "(default: " in action.help, action.option_strings


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_examples_that_the_command_itself_understands(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"examples:\n  tokenmill {name} " in capsys.readouterr().out


def test_the_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert {"build", "inspect", "verify"} <= set(COMMANDS)
    for name in COMMANDS:
        assert re.search(rf"^  {name} +[A-Z].*\.$", printed, re.MULTILINE), name


def test_python_m_tokenmill_tells_its_version() -> None:
    assert tokenmill("--version").stdout == f"tokenmill {metadata.version('tokenmill')}\n"


def test_nothing_and_an_unknown_command_are_wrong_usage(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([]) == 2
    assert "name a command: build, " in capsys.readouterr().err
    assert main(["biuld"]) == 2
    assert "found biuld: did you mean build?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["verify", "d", "--retokenise", "1"], "--retokenise: did you mean --retokenize?"),
        (["inspect", "--txet", "a"], "--txet: did you mean --text?"),
        (["inspect", "--text", "a", "--tokenizer", "cl10k_base"], "did you mean cl100k_base?"),
        (["inspect", "--text", "a", "--compare", "gtp2"], "did you mean gpt2?"),
        (["build", "--input", "a", "--output", "b", "--input-format", "json"], "found json: did"),
        (["build", "--input", "a", "--output", "b", "--max-rejects", "2%%"], "not 2%%"),
        (["build", "--input", "a", "--output", "b", "--max-memory", "lots"], "not lots"),
    ],
)
def test_a_mistyped_option_or_value_is_refused_with_what_is_near(
    arguments: Sequence[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_numbers_are_written_as_people_write_them() -> None:
    def config(*options: str) -> BuildConfig:
        return config_of(parser_of("build").parse_args(["--input=a", "--output=b", *options]), ())

    assert config("--max-memory=8G").max_memory_bytes == 8_000_000_000
    assert config("--max-shard-tokens", "100M").settings.shards.max_tokens == 100_000_000
    assert config("--max-rejects=2%").max_rejects == 0.02
    assert config("--max-document-bytes=1Mi").settings.read.max_document_bytes == 1 << 20


@pytest.mark.parametrize("text", ["", "M", "1X", "-1", "1.5", "1e3", "0x10", "1 000", "1.0001k"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected a"):
        count(text)


@pytest.mark.parametrize("text", ["", "%", "101%", "1.01", "-0.1", "nan", "1%%"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected a share"):
        share(text)


OURS = ("--input", "--tokenizer", "--text-field")


@pytest.mark.parametrize(
    ("unknown", "hint"),
    [
        (["--runner=DirectRunner", "--tokeniser", "gpt2"], "--tokeniser: did you mean --tokenizer"),
        (["--runner", "FlinkRunner", "--flink_mastr=a:1"], "did you mean --flink_master?"),
        (["--runner=FlinkRuner"], "found 'FlinkRuner': did you mean FlinkRunner?"),
        (["--runner=FlinkRunner", "--zzzz"], "neither tokenmill nor Beam knows it"),
        (["--tokeniser", "gpt2"], "unknown option --tokeniser: did you mean --tokenizer?"),
    ],
)
def test_with_a_runner_an_option_that_nobody_knows_is_refused(
    unknown: Sequence[str], hint: str
) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(hint)):
        check_beam_flags(unknown, (), OURS)


def test_flags_that_beam_knows_and_all_behind_two_dashes_are_handed_on() -> None:
    known = ["--runner=FlinkRunner", "--flink_master", "host:8081", "--streaming"]
    assert check_beam_flags(known, ["--parallelism=8"], OURS) == (*known, "--parallelism=8")
    for runner in ("--runner=a.b.Runner", "--runner=directrunner", "--runner=prism"):
        assert check_beam_flags((), [runner, "--tokeniser"], OURS) == (runner, "--tokeniser")
    with pytest.raises(ConfigurationError, match="need --runner"):
        check_beam_flags((), ["--parallelism=8"], OURS)


def test_a_mistyped_option_beside_a_runner_builds_nothing(
    lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--input", str(lines), "--output", str(tmp_path / "out")]
    assert main(["build", *arguments, "--runner=DirectRunner", "--tokeniser", "gpt2"]) == 2
    assert "did you mean --tokenizer?" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_setting_at_fault_is_shown_as_its_option(
    lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--input", str(lines), "--output", str(tmp_path / "out"), "--end-of-text", "gone"]
    assert main(["build", *arguments]) == 2
    assert capsys.readouterr().err.startswith("tokenmill: --end-of-text: expected auto, none")


def test_a_field_that_is_nowhere_is_refused_with_the_fields_there_are(
    lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines.write_text('{"id": 1, "texts": "a", "meta": {"lang": "en"}}\n' * 3000)
    assert main(["build", "--input", str(lines), "--output", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"tokenmill: --text-field: {lines}: expected the text in the field")
    assert "Their fields are: id, texts, meta.lang." in error
    assert error.endswith(": did you mean texts?\n")
    assert not (tmp_path / "out").exists()


def test_an_id_field_that_is_nowhere_is_said(
    lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may come in later records, so that is no error."""
    given = ["build", "--input", str(lines), "--output"]
    assert main([*given, str(tmp_path / "a"), "--id-field", "idd"]) == 0
    (message,) = [line for line in capsys.readouterr().err.splitlines() if "idd" in line]
    assert message.endswith("have no field idd, which is to be the id: did you mean id?")
    assert main([*given, str(tmp_path / "b"), "--id-field", "text", "--url-field", "url"]) == 0
    assert "no field" not in capsys.readouterr().err
    row = {"text": "a"} | {f"other_{number}": 1 for number in range(120)} | {"last": "b"}
    lines.write_text(json.dumps(row) + "\n")
    assert main([*given, str(tmp_path / "c"), "--id-field", "last"]) == 0
    assert "no field" not in capsys.readouterr().err, "it is there, beyond those that are listed"


def test_a_field_that_is_null_or_in_another_input_is_there(lines: Path, tmp_path: Path) -> None:
    (lines.parent / "b.jsonl").write_text('{"id": 1}\n')
    (lines.parent / "c.jsonl").write_text('{"text": null}\n{"text": "a"}\n')
    pattern = str(lines.parent / "*.jsonl")
    output = str(tmp_path / "out")
    arguments = ["--input", pattern, "--output", output, "--max-rejects", "100%"]
    assert main(["build", *arguments, "--workers", "1"]) == 0


def test_a_dry_run_says_what_was_found_and_writes_nothing(
    lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--input", str(lines), "--output", str(tmp_path / "out"), "--dry-run"]
    assert main(["build", *arguments]) == 0
    printed = capsys.readouterr().out
    assert "1 file, " in printed
    assert "looked at   a.jsonl (jsonl): 20 records, 20 documents" in printed
    assert "fields    id, url, text" in printed
    assert "document  a-0: 8 tokens" in printed
    assert "a│ │0│:│ Hello│ world│" in printed
    for name in ("tokens", "time", "memory", "disk"):
        assert re.search(rf"^{name} +about [\d,.]+", printed, re.MULTILINE), name
    assert not (tmp_path / "out").exists()
    assert main(["build", *arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["samples"][0]["first"][0] == "a-0"
    assert found["formats"] == {"jsonl": 1}
    assert found["samples"][0]["documents"] == 20


def test_a_dry_run_of_one_document_shows_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one.jsonl").write_text('{"id": "alone", "text": "Hello"}\n')
    arguments = ["--input", str(tmp_path / "one.jsonl"), "--output", str(tmp_path / "out")]
    assert main(["build", *arguments, "--dry-run"]) == 0
    assert "document  alone: 2 tokens" in capsys.readouterr().out


@pytest.mark.parametrize(
    "tokens", ['["<|endoftext|>"]', '{"<|endoftext|>": "5"}', "3", "{", "null"]
)
def test_special_tokens_that_are_no_texts_and_ids_are_refused(
    tokens: str, lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--input", str(lines), "--output", str(tmp_path / "out")]
    assert main(["build", *arguments, "--special-tokens", tokens]) == 2
    error = capsys.readouterr().err
    assert error.startswith("tokenmill: --special-tokens: ")
    assert "write for example" in error


def test_json_is_all_that_is_printed(
    lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines.write_bytes(lines.read_bytes() + b"broken\n")
    output = str(tmp_path / "out")
    arguments = ["--input", str(lines), "--output", output, "--max-rejects", "5%"]
    assert main(["build", *arguments, "--workers", "1", "--json"]) == 0
    built = json.loads(capsys.readouterr().out)
    assert built["complete"] is True
    assert built["totals"]["documents"] == 20
    assert built["first_rejects"]["invalid-json"]["unit"] == "a.jsonl"
    assert built["first_rejects"]["invalid-json"]["record"] == 20
    assert built["output_bytes"] > 1000
    assert main(["verify", output, "--json"]) == 0
    verified = json.loads(capsys.readouterr().out)
    assert verified["sound"] is True
    assert verified["totals"] == built["totals"]
    (tmp_path / "out" / "tokens" / "a.jsonl.npy").write_bytes(b"")
    assert main(["verify", output, "--json"]) == 1
    broken = json.loads(capsys.readouterr().out)
    assert broken["sound"] is False
    assert broken["is_repairable"] is True
    assert "tokens/a.jsonl.npy" in broken["differences"][0]


def test_the_summary_shows_the_first_of_each_reason_and_what_it_took(
    lines: Path, tmp_path: Path
) -> None:
    lines.write_bytes(lines.read_bytes() + b'broken\n{"text": 5}\nbroken too\n')
    ended = tokenmill("build", "--input", lines, "--output", "out", "--max-rejects", ".5",
                      cwd=tmp_path)  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert re.search(r"^  invalid-json: a\.jsonl, record 20: .+", ended.stdout, re.MULTILINE)
    assert re.search(r"^  text-not-a-string: a\.jsonl, record 21: ", ended.stdout, re.MULTILINE)
    for row in ("time of this run", "speed, of text", "text bytes a token", "size of the output"):
        assert re.search(rf"^{row} +[\d.]", ended.stdout, re.MULTILINE), row


def test_one_as_a_share_of_rejects_is_refused_for_it_may_mean_one_record(
    lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = str(tmp_path / "out")
    assert main(["build", "--input", str(lines), "--output", output, "--max-rejects", "1"]) == 2
    assert "to accept anything, write 100%" in capsys.readouterr().err


# -- where output goes -----------------------------------------------------------------------------


def test_a_message_can_not_forge_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "--input", "/no\ncomplete: \x1b[2Jx", "--output", "/nowhere/out"]) == 2
    error = capsys.readouterr().err
    assert "\x1b" not in error
    assert "\ncomplete" not in error
    assert escaped_message("a\nb\x1b") == "a\n  b\\x1b"


def test_a_name_can_not_forge_a_line_of_the_table(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a\ncomplete: out.jsonl").write_bytes(json_lines("a", 99) + b"broken\n")
    ended = tokenmill(
        "build", "--input", folder / "*", "--output", "out", "--max-rejects", "0", cwd=tmp_path
    )
    assert ended.returncode == 3
    assert "\ncomplete" not in ended.stdout + ended.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_standard_output_comes_after_the_build_and_is_told_in_a_line(
    lines: Path, tmp_path: Path
) -> None:
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [*TOKENMILL, "build", "--input", lines, "--output", "out", "--workers", "1"],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == 1
    message = "tokenmill: standard output: No space left on device. The work itself is done"
    assert ended.stderr.splitlines()[-1] == message
    assert (tmp_path / "out" / "manifest.json").exists()


def test_a_reader_that_has_gone_is_no_error(lines: Path, tmp_path: Path) -> None:
    arguments = [*TOKENMILL, "build", "--input", lines, "--output", "out", "--workers", "1"]
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(
        arguments, cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert ended.returncode == 0
    assert len(ended.stderr.splitlines()) == 2  # how it began and ended
    assert (tmp_path / "out" / "manifest.json").exists()


def test_a_full_standard_error_does_not_end_a_job(lines: Path, tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [*TOKENMILL, "build", "--input", lines, "--output", "out", "--workers", "1"],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=full,
            text=True,
            check=False,
        )
    assert ended.returncode == 0
    assert ended.stdout.endswith("complete: out/manifest.json\n")


def test_show_tells_of_any_other_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Broken:
        def write(self, _: str) -> int:
            raise OSError(5, "Input/output error")

        def flush(self) -> None: ...

        def fileno(self) -> int:
            raise ValueError("none")

    monkeypatch.setattr(sys, "stdout", Broken())
    with pytest.raises(OutputError, match="standard output: Input/output error"):
        show("text")
