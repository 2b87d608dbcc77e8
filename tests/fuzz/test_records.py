"""Hostile records and indexes: whatever the bytes, an error that names the file, never another.

make test                                        a quick share, the same each time
pytest -m slow tests/fuzz/test_records.py        fifty times as many
"""

import json
import random
import shutil
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_build import (
    FIRST_SHARD,
    INDEX,
    RECEIPT,
    REJECTS,
    SETTINGS,
    UNIT,
    change_parquet,
    reseal,
)

import tokenmill
from pipeline.cli import main
from pipeline.commands.verify import verify
from pipeline.lease import Owner
from tokenizer import ConfigurationError, Tokenizer
from transforms.errors import MismatchError
from transforms.passes.unit_check import check_unit
from transforms.settings import read_settings_of
from transforms.shards.build import Build
from transforms.shards.index import DOCUMENTS_SCHEMA, REJECTS_SCHEMA, read_rows
from transforms.shards.json_records import check_settings, parse_record
from transforms.shards.manifest import Manifest
from transforms.shards.mark import Mark, explain_difference, read_mark
from transforms.shards.receipt import Receipt

Record = Callable[[bytes], Any]
PLACE = "the/file"


def read_mark_of(content: bytes) -> Any:
    mark = parse_record(content, Mark, PLACE, "remedy")
    check_settings(mark.settings, PLACE, "remedy")
    explain_difference(Build("out"), mark.settings, {})
    return mark


RECORDS: dict[str, Record] = {
    "receipt": lambda content: Receipt.from_json(content, PLACE).to_json(),
    "manifest": lambda content: Manifest.from_json(content, PLACE).to_json(),
    "mark": read_mark_of,
    "owner": lambda content: parse_record(content, Owner, PLACE, "remedy"),
}
OWNER = {
    "format": "tokenmill/2",
    "run": "r",
    "host": "h",
    "boot": "b",
    "pid": 1,
    "process_start": "",
    "user": "u",
    "started": "s",
    "beat": 0,
}


FILES = {"receipt": RECEIPT, "manifest": "manifest.json", "mark": "tokenmill.json"}


@pytest.fixture(scope="module")
def sound(made: Path) -> dict[str, dict[str, Any]]:
    output = made / "output"
    found = {name: json.loads((output / path).read_bytes()) for name, path in FILES.items()}
    return {**found, "owner": OWNER}


@pytest.fixture(scope="module")
def fuzzed(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sound build, put right again after each change."""
    return Path(shutil.copytree(made / "output", tmp_path_factory.mktemp("fuzzed") / "output"))


def refuse_or_read(read: Record, content: bytes) -> None:
    try:
        read(content)
    except MismatchError as error:
        assert PLACE in str(error)  # noqa: PT017


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([-1, 0, 1 << 62, 1 << 64, 1 << 200, "", "..", "/", "\udc80", "npy", "<u4"])
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in pairs:
            yield from places(inner, (*at, key))


def with_value(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    """A copy in which one place holds something else; without that place where new is ..."""
    if not at:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(at) == 1 and new is ...:
        del copy[at[0]]
    else:
        copy[at[0]] = with_value(value[at[0]], at[1:], new)
    return copy


def check_changed_values(data: st.DataObject, sound: dict[str, dict[str, Any]]) -> None:
    name = data.draw(st.sampled_from(sorted(RECORDS)))
    value = sound[name]
    at = data.draw(st.sampled_from([place for place in places(value) if place]))
    new = data.draw(JSON | st.just(...))
    content = json.dumps(with_value(value, at, new)).encode()
    refuse_or_read(RECORDS[name], content)


def check_changed_bytes(data: st.DataObject, sound: dict[str, dict[str, Any]]) -> None:
    name = data.draw(st.sampled_from(sorted(RECORDS)))
    content = bytearray(json.dumps(sound[name]).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        kind = data.draw(st.sampled_from(["flip", "cut", "repeat", "drop"]))
        if kind == "flip":
            content[at] = data.draw(st.integers(0, 255))
        elif kind == "cut":
            del content[at + 1 :]
        elif kind == "repeat":
            content[at:at] = content[max(0, at - 20) : at + 1]
        elif len(content) > 1:
            del content[at]
    refuse_or_read(RECORDS[name], bytes(content))


QUICK = settings(
    derandomize=True,
    max_examples=250,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
LONG = settings(QUICK, max_examples=12_500)


@given(st.data())
@QUICK
def test_a_record_with_another_value_is_refused_by_name_or_read(
    sound: dict[str, dict[str, Any]], data: st.DataObject
) -> None:
    check_changed_values(data, sound)


@given(st.data())
@QUICK
def test_a_record_of_other_bytes_is_refused_by_name_or_read(
    sound: dict[str, dict[str, Any]], data: st.DataObject
) -> None:
    check_changed_bytes(data, sound)


@pytest.mark.slow
@pytest.mark.parametrize("check", [check_changed_values, check_changed_bytes])
def test_many_changed_records(check: Any, sound: dict[str, dict[str, Any]]) -> None:
    LONG(given(st.data())(lambda data: check(data, sound)))()


@pytest.mark.parametrize("name", sorted(RECORDS))
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"3",
        b"\xff\xfe{",
        b"[" * 1_000_000,
        b'{"format":"tokenmill/2","settings":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_001,
        b'{"format":' * 900 + b"1" + b"}" * 900,
        b'{"format":"tokenmill/1"}',
        b'{"format":"tokenmill/2"}',
        b'{"format":"tokenmill/2","format":3}',
        b'{"format":"\\ud800"}',
        b'{"format":1e999}',
    ],
)
def test_what_is_no_record_is_refused_by_name(name: str, content: bytes) -> None:
    with pytest.raises(MismatchError, match=PLACE):
        RECORDS[name](content)


@pytest.mark.parametrize("depth", [5, 9, 100, 300])
def test_settings_nested_without_end_are_refused(
    depth: int, sound: dict[str, dict[str, Any]]
) -> None:
    deep: Any = 1
    for _ in range(depth):
        deep = {"a": [deep]}
    content = json.dumps(with_value(sound["mark"], ("settings", "read"), deep)).encode()
    with pytest.raises(MismatchError, match=PLACE):
        read_mark_of(content)


def test_settings_may_be_eight_deep_and_no_more(sound: dict[str, dict[str, Any]]) -> None:
    deep: Any = []
    for _ in range(6):  # in the settings, in what is read
        deep = [deep]
    read = {"x": deep[0]}
    content = json.dumps(with_value(sound["mark"], ("settings", "read"), read)).encode()
    parse_record(content, Mark, PLACE, "remedy")
    check_settings({**sound["mark"]["settings"], "read": read}, PLACE, "remedy")
    with pytest.raises(MismatchError, match="8 deep"):
        check_settings({**sound["mark"]["settings"], "read": {"x": deep}}, PLACE, "remedy")


def test_a_mark_from_a_hostile_hand_is_a_configuration_error(output: Path) -> None:
    generator = random.Random(20261126)
    path = output / "tokenmill.json"
    content = path.read_bytes()
    for _ in range(100):
        changed = bytearray(content)
        changed[generator.randrange(len(content))] = generator.randrange(256)
        path.write_bytes(changed)
        try:
            read_mark(Build.at(str(output)))
        except ConfigurationError as error:
            assert "tokenmill.json" in str(error)  # noqa: PT017


@given(JSON)
@QUICK
def test_settings_that_do_not_say_how_to_read_are_named(value: Any) -> None:
    try:
        read_settings_of({"read": value})
        read_settings_of({"read": {"input_format": value}})
    except ConfigurationError as error:
        assert str(error)  # noqa: PT017


# -- indexes and shards ---------------------------------------------------------------------------


def flipped(content: bytes, generator: random.Random) -> bytes:
    """Some bytes changed, or the end cut off."""
    changed = bytearray(content)
    for _ in range(generator.choice([1, 1, 2, 8])):
        # The footer is where the structure is: half of the changes go there.
        low = max(0, len(content) - 2000) if generator.random() < 0.5 else 0
        changed[generator.randrange(low, len(content))] = generator.randrange(256)
    if generator.random() < 0.1:
        del changed[generator.randrange(len(changed)) :]
    return bytes(changed)


def check_flipped_index(made: Path, folder: Path, seeds: range) -> None:
    for path, schema in ((INDEX, DOCUMENTS_SCHEMA), (REJECTS, REJECTS_SCHEMA)):
        content = (made / "output" / path).read_bytes()
        for seed in seeds:
            (folder / "x.parquet").write_bytes(flipped(content, random.Random(seed)))
            try:
                for batch in read_rows(str(folder / "x.parquet"), PLACE, schema, schema.names):
                    batch.validate(full=True)
            except MismatchError as error:
                assert PLACE in str(error)  # noqa: PT017


def test_a_flipped_index_is_refused_by_name_or_read(made: Path, tmp_path: Path) -> None:
    check_flipped_index(made, tmp_path, range(60))


@pytest.mark.parametrize("name", [b"record", b"byte_offset", b"reason"])
def test_an_index_whose_column_has_a_name_that_is_no_utf_8_is_refused(
    name: bytes, made: Path, tmp_path: Path
) -> None:
    content = (made / "output" / REJECTS).read_bytes()
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    changed = content[:footer] + content[footer:].replace(name, b"\x84" + name[1:])
    assert changed != content
    (tmp_path / "x.parquet").write_bytes(changed)
    with pytest.raises(MismatchError, match=PLACE):
        list(read_rows(str(tmp_path / "x.parquet"), PLACE, REJECTS_SCHEMA, REJECTS_SCHEMA.names))


@pytest.mark.slow
def test_many_flipped_indexes(made: Path, tmp_path: Path) -> None:
    check_flipped_index(made, tmp_path, range(100, 5_000))


def check_resealed(made: Path, folder: Path, seeds: range) -> None:
    """Checksums are right, so that only the content can tell."""
    tokenizer: Tokenizer = SETTINGS.load_tokenizer()
    for seed in seeds:
        generator = random.Random(seed)
        copy = folder / str(seed)
        shutil.copytree(made / "output", copy)
        path = copy / generator.choice([INDEX, REJECTS, FIRST_SHARD])
        path.write_bytes(flipped(path.read_bytes(), generator))
        try:
            reseal(copy)
        except (ValueError, OSError, SyntaxError, tokenize.TokenError):
            shutil.rmtree(copy)
            continue  # no reader could be asked how much is in it
        build = Build.at(str(copy))
        differences = check_unit(build, build.receipt(UNIT), tokenizer)
        assert all(": " in message for message in differences)
        assert verify(str(copy)) in (0, 1)
        shutil.rmtree(copy)


def test_a_unit_with_flipped_bytes_and_right_checksums_is_reported_not_raised(
    made: Path, tmp_path: Path
) -> None:
    check_resealed(made, tmp_path, range(40))


@pytest.mark.slow
def test_many_units_with_flipped_bytes(made: Path, tmp_path: Path) -> None:
    check_resealed(made, tmp_path, range(100, 2_000))


# -- whole commands over changed records ----------------------------------------------------------


def run_commands(output: Path) -> None:
    """Each command ends with an exit code, whatever the records say."""
    for arguments in (
        ["verify"],
        ["inspect", "--document", "d1"],
        ["inspect", "--shard", FIRST_SHARD],
    ):
        assert main([arguments[0], str(output), *arguments[1:]]) in (0, 1, 2)


def check_commands(data: st.DataObject, sound: dict[str, dict[str, Any]], output: Path) -> None:
    name = data.draw(st.sampled_from(sorted(FILES)))
    path = output / FILES[name]
    content = path.read_bytes()
    at = data.draw(st.sampled_from([place for place in places(sound[name]) if place]))
    new = data.draw(JSON | st.just(...))
    try:
        path.write_bytes(json.dumps(with_value(sound[name], at, new)).encode())
        run_commands(output)
    finally:
        path.write_bytes(content)


@given(st.data())
@settings(QUICK, max_examples=60)
def test_commands_on_a_build_with_a_changed_record_end_with_an_exit_code(
    sound: dict[str, dict[str, Any]], fuzzed: Path, data: st.DataObject
) -> None:
    check_commands(data, sound, fuzzed)


@pytest.mark.slow
def test_commands_on_many_builds_with_changed_records(
    sound: dict[str, dict[str, Any]], fuzzed: Path
) -> None:
    settings(QUICK, max_examples=4_000)(
        given(st.data())(lambda data: check_commands(data, sound, fuzzed))
    )()


@pytest.mark.parametrize("file", ["../../../etc/passwd", "/etc/passwd", "tokens/x.json"])
def test_a_manifest_can_not_name_a_vocabulary_elsewhere(
    file: str, sound: dict[str, dict[str, Any]], output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = with_value(sound["manifest"], ("tokenizer", "file"), file)
    (output / "manifest.json").write_text(json.dumps(changed))
    assert main(["verify", str(output)]) == 1
    assert "tokenizer.file" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["org/name", "/etc/passwd", "../x.json", "gpt9"])
def test_a_manifest_can_not_have_a_vocabulary_fetched(
    name: str, sound: dict[str, dict[str, Any]], output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = with_value(sound["manifest"], ("settings", "tokenizer", "name"), name)
    (output / "manifest.json").write_text(json.dumps(changed))
    assert main(["verify", str(output)]) == 2
    assert "tokenizer" in capsys.readouterr().err


@pytest.mark.parametrize("path", ["/etc/passwd", "../../etc/passwd", "tokens/../../x.npy", ""])
def test_a_manifest_can_not_name_a_file_elsewhere(
    path: str, sound: dict[str, dict[str, Any]], output: Path
) -> None:
    for place in (("shards", 0, "path"), ("indexes", 0, "path")):
        changed = with_value(sound["manifest"], place, path)
        (output / "manifest.json").write_text(json.dumps(changed))
        with pytest.raises(MismatchError, match=r"manifest\.json: the file .* lies elsewhere"):
            tokenmill.open(output)


def test_a_shard_that_the_manifest_does_not_have_is_named_when_it_is_opened(
    sound: dict[str, dict[str, Any]], output: Path
) -> None:
    changed = with_value(sound["manifest"], ("shards", 0, "path"), "tokens/another.npy")
    (output / "manifest.json").write_text(json.dumps(changed))
    with pytest.raises(MismatchError, match=r"manifest\.json has no shard 'tokens/plain\.txt"):
        tokenmill.open(output)[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shard": 99}, "no shard 99"),
        ({"shard": -1}, "no shard -1"),
        ({"start": -1}, "found it at -1"),
        ({"length": 1 << 40}, "ids at most, found it at"),
        ({"start": 1 << 62, "length": 1}, "ids at most, found it at"),
        ({"length": -1}, "ids at most, found it at"),
    ],
    ids=str,
)
def test_a_row_that_leads_out_of_its_shards_is_named_and_never_cut_short(
    change: dict[str, int], message: str, output: Path
) -> None:
    change_parquet(output, INDEX, lambda rows: rows[0].update(change))
    corpus = tokenmill.open(output)
    with pytest.raises(MismatchError, match=message):
        corpus[1]  # 0 is of another unit
