"""`import tokenmill`: public names, a script without a main guard, documents read back."""

import argparse
import dataclasses
import inspect
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zstandard
from sample_inputs import json_lines, write_inputs
from small_build import SETTINGS, UNIT

import tokenmill
from pipeline.build_options import add_arguments, config_of
from pipeline.cli import main
from pipeline.config import BuildConfig
from tokenizer import ConfigurationError, Tokenizer
from transforms.errors import MismatchError

README = Path(__file__).resolve().parent.parent / "README.md"


def test_importing_it_imports_nothing_else() -> None:
    code = "import sys, tokenmill; print([n for n in sys.modules if n.startswith(('apache_beam', "
    code += "'numpy', 'pipeline', 'tokenizer', 'transforms', 'pyarrow', 'typing'))])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = json.loads(ended.stdout.replace("'", '"'))
    # An editable installation finds packages by a module that needs pathlib, and so on.
    assert not [name for name in modules if name != "typing"]


def test_every_public_name_is_there_and_no_other() -> None:
    for name in tokenmill.__all__:
        assert getattr(tokenmill, name) is not None
    assert set(tokenmill.__all__) <= set(dir(tokenmill))
    assert tokenmill.Tokenizer is Tokenizer
    with pytest.raises(AttributeError, match="no attribute 'tokenise'"):
        tokenmill.tokenise  # noqa: B018


def test_the_functions_in_the_readme_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "a.jsonl.zst").write_bytes(zstandard.compress(json_lines("a", 9)))
    monkeypatch.chdir(tmp_path)
    # What is said of training runs in test_readme_training.py.
    before, _, after = README.read_text().partition("\n## Train from it\n")
    text = before + after.partition("\n## ")[2]
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    # Those of pipelines run in the tests of their transforms.
    chosen = [block for block in blocks if "beam.Pipeline" not in block]
    assert len(chosen) == 2
    for block in chosen:
        exec(compile(block, "README.md", "exec"), {"__name__": "__main__"})
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].endswith(" True")
    assert printed[1] == "True"
    assert printed[2].startswith("9 a-0 [")


def test_the_captured_terminal_in_the_readme_is_what_the_command_prints(
    capsys: pytest.CaptureFixture[str],
) -> None:
    command, expected = re.findall(r"```\n\$ (tokenmill .*?)\n(.*?)```", README.read_text(), re.S)[
        0
    ]
    assert main(shlex.split(command)[1:]) == 0
    printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert printed == expected.splitlines()


SCRIPT = """
print("script runs", flush=True)
import tokenmill

for workers in (2, 1):
    result = tokenmill.build("in/*.jsonl", "out", workers=workers, overwrite=True)
    print(result.totals.documents, result.is_complete, flush=True)
print(tokenmill.verify("out", retokenize=1).is_sound, len(tokenmill.open("out")), flush=True)
"""


def test_a_script_without_a_main_guard_runs_once(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in "ab":
        (tmp_path / "in" / f"{name}.jsonl").write_bytes(json_lines(name, 30))
    (tmp_path / "script.py").write_text(SCRIPT)
    ended = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == ["script runs", "60 True", "60 True", "True 60"]


def test_building_leaves_the_callers_process_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(json_lines("a", 3))
    code = (
        "import os, signal, sys, tokenmill\n"
        "before = dict(os.environ), signal.getsignal(signal.SIGINT), sys.modules['__main__']\n"
        "tokenmill.build('a.jsonl', 'out', workers=1)\n"
        "after = dict(os.environ), signal.getsignal(signal.SIGINT), sys.modules['__main__']\n"
        "print(before == after)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.stdout == "True\n", ended.stderr


def test_a_build_with_too_many_rejects_says_why_and_prints_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.jsonl").write_bytes(json_lines("a", 3) + b"broken\n")
    result = tokenmill.build(tmp_path / "a.jsonl", tmp_path / "out")
    assert not result.is_complete
    assert "25.00% of the records are faulty" in result.why_incomplete[0]
    assert capsys.readouterr().out == ""
    with pytest.raises(MismatchError, match="does not exist"):
        tokenmill.open(tmp_path / "out")


def test_a_wrong_format_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="input_format: expected one of jsonl"):
        tokenmill.build("a", tmp_path / "out", input_format="csv")


def test_the_documents_of_a_build_come_back_in_order_with_their_provenance(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "in"
    write_inputs(folder)
    inputs = [str(folder / "*.*"), str(folder / "sub" / "*")]
    tokenmill.build(inputs, tmp_path / "out", max_rejects=0.5, max_shard_tokens=200)
    corpus = tokenmill.open(tmp_path / "out")
    assert len(corpus) == 201
    assert corpus.tokens == sum(len(document.tokens) for document in corpus)
    tokenizer = Tokenizer.load("cl100k_base")
    by_id = {document.id: document for document in corpus}
    document = by_id["c-5"]
    text = json.loads((folder / "sub" / "c.jsonl").read_bytes().splitlines()[5])["text"]
    assert tokenizer.decode(document.tokens[:-1]) == text
    assert document.tokens[-1] == tokenizer.end_of_text
    assert (document.unit, document.record) == ("sub/c.jsonl", 5)
    assert document.url == "https://example.org/c/5"
    assert document.text_bytes == len(text.encode())
    shard = np.load(tmp_path / "out" / document.shard, mmap_mode="r")
    assert shard[document.start : document.start + len(document.tokens)].tolist() == (
        document.tokens.tolist()
    )
    assert not document.tokens.flags.writeable
    numbers = list(range(len(corpus)))
    assert [corpus[i].id for i in numbers] == [document.id for document in corpus]
    assert corpus[-1].id == corpus[200].id
    assert [document.id for document in corpus[3:6]] == [corpus[i].id for i in (3, 4, 5)]
    with pytest.raises(IndexError, match="document 201 of 201"):
        corpus[201]


def test_a_document_of_a_build_is_found_by_its_id(made: Path) -> None:
    corpus = tokenmill.open(made / "output")
    for wanted in (corpus[0], corpus[-1]):
        assert wanted.id is not None
        found = corpus[wanted.id]
        assert (found.unit, found.record) == (wanted.unit, wanted.record)
    with pytest.raises(KeyError, match="no document has the id 'nobody'"):
        corpus["nobody"]


def test_a_corpus_says_what_it_holds(made: Path) -> None:
    corpus = tokenmill.open(made / "output")
    output = str(made / "output")
    expected = f"Corpus({output!r}, {len(corpus):,} documents, {corpus.tokens:,} tokens)"
    assert repr(corpus) == expected


def test_ids_are_mapped_and_not_read(made: Path) -> None:
    corpus = tokenmill.open(made / "output")
    tokens = next(document for document in corpus if document.unit == UNIT).tokens
    base = tokens
    while isinstance(base.base, np.ndarray):
        base = base.base
    assert isinstance(base, np.memmap) or type(base.base).__name__ == "mmap"
    assert tokens[0] == SETTINGS.begin_of_text


def test_what_is_not_said_is_the_same_in_python_as_in_a_config_and_on_the_command_line() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    given = parser.parse_args(["--input", "in", "--output", "out"])
    by_command = config_of(given, ())
    assert by_command == BuildConfig(inputs=("in",), output="out")
    parameters = inspect.signature(tokenmill.build).parameters
    fields = {field.name: field.default for field in dataclasses.fields(BuildConfig)}
    shared = {name: one.default for name, one in parameters.items() if name in fields}
    del shared["inputs"], shared["output"]
    assert len(shared) >= 9
    assert shared == {name: fields[name] for name in shared}
