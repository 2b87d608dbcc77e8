"""`tokenmill inspect`: a document's tokens and where it comes from; how a text is cut."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console
from small_build import FIRST_SHARD, UNIT, change_shard, make_build, write_inputs
from small_vocabularies import write_shape

import pipeline.commands.inspect
from pipeline.cli import main
from pipeline.commands.inspect import inspect_document, inspect_text
from tokenizer import ConfigurationError, Tokenizer
from transforms.errors import MismatchError
from transforms.settings import TokenizeSettings


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("build")
    write_inputs(folder / "input")
    lines = folder / "input" / UNIT
    with lines.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"id": "d1", "text": "d1 again"}) + "\n")
        file.write(json.dumps({"id": "bad\x1b[2J", "url": "http://x/", "text": "\x1b[31m!"}) + "\n")
    make_build(folder / "input", folder / "output")
    return folder / "output"


def manifest_of(build: Path) -> Any:
    return json.loads((build / "manifest.json").read_bytes())


def test_a_document_is_shown_with_its_provenance_tokens_and_ids(
    build: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert inspect_document(str(build), "d2", None, 0) == 0
    printed = capsys.readouterr().out
    source = next(entry for entry in manifest_of(build)["inputs"] if entry["path"] == UNIT)
    for line in (
        r"document +d2",
        r"url +\(none\)",
        rf"input +{UNIT} \([\d,]+ bytes\)",
        f"sha256 +{source['sha256']}",
        r"record +2",
        rf"shard +{FIRST_SHARD[:-9]}0000\d\.npy",
        r"start +\d+",
        r"length +\d+ tokens, \d+ bytes of text",
    ):
        assert re.search(f"^{line}$", printed, re.MULTILINE), line
    assert "│Text│ number│ │2│,│ naï│ve│ \\xf0\\x9f│\\xa7│\\xb5│.│" in printed
    assert "\n100258 1199 1396 220 17 11 " in printed
    assert printed.rstrip().endswith(" 100257")


def test_a_document_is_found_by_its_place_in_a_shard(
    build: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second = next(s for s in manifest_of(build)["shards"] if s["path"].endswith("-00001.npy"))
    assert inspect_document(str(build), None, second["path"], second["documents"] - 1) == 0
    printed = capsys.readouterr().out
    assert re.search(rf"^shard +{second['path']}$", printed, re.MULTILINE)
    with pytest.raises(MismatchError, match=f"no document {second['documents']}: it holds"):
        inspect_document(str(build), None, second["path"], second["documents"])


def test_of_several_documents_of_an_id_the_first_is_shown(
    build: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert inspect_document(str(build), "d1", None, 0) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("2 documents have this id; the first of them:\n")
    assert re.search(r"^record +1$", printed, re.MULTILINE)


def test_a_long_document_is_cut_and_the_rest_counted(
    build: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert inspect_document(str(build), "d0", None, 0, limit=3) == 0
    printed = capsys.readouterr().out
    assert "\n100258 1199 1396\n" in printed
    length = int(re.search(r"length +(\d+)", printed)[1])  # type: ignore[index]
    assert f"... and {length - 3} more tokens: see them with --limit {length}" in printed


def test_control_characters_can_not_reach_the_terminal(
    build: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert inspect_document(str(build), "bad\x1b[2J", None, 0) == 0
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "bad\\x1b[2J" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--document", "nobody"], "no document has the id 'nobody'"),
        (["--shard", "tokens/none.npy"], "no shard 'tokens/none.npy'"),
    ],
)
def test_what_is_not_there_ends_with_exit_code_1(
    build: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["inspect", str(build), *arguments]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("more", [[], ["--json"], ["--compare", "gpt2"]], ids=str)
def test_an_id_that_is_no_token_is_named_with_its_shard(
    output: Path, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    change_shard(output, 2, 4_000_000_000)
    assert main(["inspect", str(output), "--shard", FIRST_SHARD, *more]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"tokenmill: {FIRST_SHARD}: the document at 0: id 4000000000")
    assert "Traceback" not in error


def test_a_limit_below_one_is_refused(build: Path) -> None:
    with pytest.raises(ConfigurationError, match="limit: must be at least 1"):
        inspect_document(str(build), "d0", None, 0, limit=0)


def test_a_build_without_split_shards_is_found_by_place_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_inputs(tmp_path / "input")
    make_build(tmp_path / "input", tmp_path / "output", TokenizeSettings())
    assert inspect_document(str(tmp_path / "output"), None, f"tokens/{UNIT}.npy", 4) == 0
    assert re.search(r"^document +d5$", capsys.readouterr().out, re.MULTILINE)


def test_a_text_is_shown_as_pretokens_tokens_and_ids(capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect_text("Hello 🧵\nworld") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("cl100k_base: 16 bytes, 3 pretokens, 6 tokens\n")
    assert "Hello│ \\xf0\\x9f│\\xa7│\\xb5│\\n\n│world" in printed
    assert re.search(r"^ 🧵\\n +.* 11410 100 113 198$", printed, re.MULTILINE)


def test_another_tokenizer_is_named_by_its_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "--text", "Hello world", "--tokenizer", "gpt2"]) == 0
    assert "15496 995" in capsys.readouterr().out


def test_a_lone_surrogate_in_a_text_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="not valid Unicode"):
        inspect_text("\ud800", Tokenizer.load("cl100k_base"))


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a terminal of 80 columns gets."""
    stream = io.StringIO()
    console = Console(
        file=stream, force_terminal=True, color_system="256", width=80, highlight=False
    )
    monkeypatch.setattr(pipeline.commands.inspect, "_console", lambda: console)
    return stream


def test_a_terminal_shows_boundaries_without_a_colour_of_the_background(
    terminal: io.StringIO,
) -> None:
    inspect_text("Hello world again")
    written = terminal.getvalue()
    styles = re.findall(r"\x1b\[([\d;]+)m", written)
    assert set(styles) == {"0", "4;35"}  # underlined, and the theme's own magenta
    assert "Hello\x1b[4;35m world\x1b[0m again" in written
    assert "│" not in written


def test_wide_characters_are_aligned(terminal: io.StringIO) -> None:
    inspect_text("中文字 Hello")
    lines = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in terminal.getvalue().splitlines()]
    wide, narrow = (next(line for line in lines if line.startswith(f"{name}  ")) for name in
                    ("中文字", " Hello"))  # fmt: skip
    assert cell_len(wide[: wide.index("中", 1)]) == cell_len(narrow[: narrow.index("H", 2)]) - 1


def test_without_a_document_named_the_first_is_shown(
    build: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(build)]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^input +plain\.txt ", printed, re.MULTILINE)
    assert "│One│ document│,│ one│ file│" in printed


def test_a_text_is_read_from_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("naïve".encode())))
    assert main(["inspect", "--text", "-"]) == 0
    assert "na│ï│ve" in capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"na\xefve")))
    assert main(["inspect", "--text", "-"]) == 2
    assert "--text: standard input is not UTF-8" in capsys.readouterr().err


def test_two_tokenizers_are_shown_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "--text", "It's 12345 Hello", "--compare", "gpt2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        "cl100k_base: 16 bytes, 6 pretokens, 6 tokens",
        "r50k_base: 16 bytes, 4 pretokens, 5 tokens",
    ]
    rows = [line.split() for line in lines[4:]]
    assert ["It", "It", "2181", "It", "1026"] in rows
    assert next(row for row in rows if row[0] == "12345")[-1] == "2231"
    assert {line.index("r50k_base") for line in lines[3:4]} == {
        line.rindex(text) for line, text in zip(lines[4:6], ("It", "'s"), strict=True)
    }


def test_tokenizers_that_change_text_are_aligned_by_the_text_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    llama = Tokenizer.load(write_shape("llama2", tmp_path))  # puts a mark in front, and for blanks
    assert inspect_text("the tab", Tokenizer.load("cl100k_base"), llama) == 0
    rows = capsys.readouterr().out.splitlines()[4:]
    assert [row.split("  ")[0].rstrip() for row in rows] == ["the", " tab"]


def test_a_document_is_compared_by_its_text(
    build: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(build), "--document", "d2", "--compare", "gpt2"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^Text +Text +1199 +Text +8206$", printed, re.MULTILINE)
    assert "endoftext" not in printed


def test_json_has_all_that_is_shown(build: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "--text", "Hello world", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ids"] == [9906, 1917]
    assert found["pretokens"][1] == {"text": " world", "ids": [1917]}
    assert main(["inspect", str(build), "--document", "d2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["document"], found["record"], found["ids"][0]) == ("d2", 2, 100258)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a build"),
        (["DIR", "--text", "a"], "either a build or a text"),
        (["DIR", "--document", "a", "--shard", "b"], "either --document or --shard"),
        (["DIR", "--revision", "x"], "--revision: needs --tokenizer"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    arguments: list[str], message: str, build: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(build) if one == "DIR" else one for one in arguments]
    assert main(["inspect", *given]) == 2
    assert message in capsys.readouterr().err


def test_a_text_is_shown_with_the_ids_that_it_is_encoded_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizer = Tokenizer.load(write_shape("qwen3", tmp_path))
    text = "a<think>the cafe\u0301"
    assert inspect_text(text, tokenizer) == 0
    printed = capsys.readouterr().out
    assert "<think>" in printed
    assert " ".join(map(str, tokenizer.encode(text))) in printed


def test_tokens_ids_and_pretokens_of_a_text_stand_apart(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert inspect_text("Hello world") == 0
    assert capsys.readouterr().out.splitlines() == [
        "cl100k_base: 11 bytes, 2 pretokens, 2 tokens",
        "",
        "Hello│ world",
        "",
        "9906 1917",
        "",
        f"{'Hello':<20}  Hello  9906",
        f"{' world':<20}   world  1917",
    ]
