"""`tokenmill watch`: files as they arrive, versions, what vanishes and what is replaced."""

import gzip
import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest
from sample_inputs import json_lines
from watch_story import Story, said

import pipeline.growing_build
import pipeline.rounds
from pipeline.arrivals import Arrivals
from pipeline.cli import main
from pipeline.commands.build import build
from pipeline.commands.watch import WatchResult
from pipeline.rounds import Round, Rounds
from tokenizer import ConfigurationError
from transforms.passes.tokenize import TokenizePass
from transforms.passes.work_pass import WorkUnit
from transforms.reading import ReadSettings
from transforms.settings import TokenizeSettings
from transforms.shards.build import Build
from transforms.shards.version import read_versions


def test_files_are_committed_as_they_arrive_with_the_bytes_of_one_build(story: Story) -> None:
    story.add("a.jsonl")
    story.add("b.jsonl")
    result: WatchResult = story.watch(
        lambda: story.add("c.jsonl"), lambda: None, lambda: story.add("d.jsonl")
    )
    assert result.is_interrupted
    assert result.exit_code == 0
    assert story.names() == [("a.jsonl", "b.jsonl"), ("c.jsonl",), ("d.jsonl",)]
    assert [new.manifest.totals.inputs for new in story.versions] == [2, 3, 4]
    story.check_like_a_build("a.jsonl", "b.jsonl", "c.jsonl", "d.jsonl")
    assert main(["verify", str(story.output), "--retokenize", "1"]) == 0


def test_a_file_is_finished_when_it_has_stayed_the_same_for_long_enough(story: Story) -> None:
    growing = story.add("a.jsonl")

    def grow() -> None:
        with growing.open("ab") as file:
            file.write(json_lines("more", 1))

    story.watch(grow, grow, lambda: None, settle_seconds=2.0, poll_seconds=1.0)
    assert story.versions == []  # the same for 1 s
    story.watch(lambda: None, lambda: None, settle_seconds=2.0, poll_seconds=1.0)
    assert [new.manifest.totals.records for new in story.versions] == [5]


def test_time_begins_anew_with_each_change_and_objects_of_a_store_appear_whole() -> None:
    arrivals = Arrivals(10)

    def look(now: float, *sizes: tuple[str, int]) -> list[str]:
        inputs = [WorkUnit(name, name, size, "v") for name, size in sizes]
        return [one.name for one in arrivals.finished(inputs, now)]

    assert look(0, ("a", 1), ("s3://bucket/b", 1)) == ["s3://bucket/b"]
    assert look(9, ("a", 2)) == []
    assert look(18, ("a", 2)) == []
    assert look(19, ("a", 2)) == ["a"]
    assert look(20, ("a", 2), ("c", 1)) == ["a"]
    assert [one.name for one in arrivals.unfinished(20)] == ["c"]
    assert look(21) == []
    assert look(40, ("a", 2)) == [], "it was away: it begins anew"


def test_once_looks_twice_ends_and_names_what_it_leaves(
    story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    story.add("a.jsonl")
    result = story.watch(lambda: story.add("b.jsonl"), once=True, settle_seconds=5.0)
    assert story.names() == [("a.jsonl",)], "b.jsonl has just come"
    assert "1 input may still be written, left to the next run: b.jsonl\n" in said(capsys)
    assert (result.exit_code, result.is_interrupted) == (0, False)
    assert story.now == 5.0


def test_once_waits_for_what_was_not_finished_when_a_round_began(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the round took."""
    do = Rounds.do

    def slow(self: Rounds, now: float) -> Round:
        story.now += 100.0
        return do(self, now)

    monkeypatch.setattr(Rounds, "do", slow)
    story.add("a.jsonl")
    story.watch(lambda: None, once=True, settle_seconds=60.0)
    assert story.names() == [("a.jsonl",)]


def test_that_nothing_has_arrived_yet_is_no_error(story: Story) -> None:
    result = story.watch(once=True)
    assert (result.exit_code, result.version) == (0, None)
    assert not (story.output / "manifest.json").exists()
    story.watch(lambda: story.add("a.jsonl"))
    assert story.names() == [("a.jsonl",)]


def test_inputs_that_vanish_stay_in_the_build(story: Story) -> None:
    story.add("a.jsonl")

    def rotate() -> None:
        (story.inputs / "a.jsonl").unlink()
        story.add("b.jsonl")

    story.watch(rotate)
    (story.inputs / "b.jsonl").unlink()
    story.add("c.jsonl")
    story.watch(once=True)
    assert story.names() == [("a.jsonl",), ("b.jsonl",), ("c.jsonl",)]
    story.check_like_a_build("a.jsonl", "b.jsonl", "c.jsonl")
    assert main(["verify", str(story.output)]) == 0


def test_an_input_that_vanishes_between_its_receipt_and_its_version_is_kept(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    story.add("a.jsonl")
    with monkeypatch.context() as patched:
        patched.setattr(pipeline.growing_build, "write_version", interrupt)
        story.watch()
    assert story.versions == []
    (story.inputs / "a.jsonl").unlink()
    story.watch(once=True)
    assert story.names() == [("a.jsonl",)]


@pytest.mark.parametrize("settle_seconds", [0.0, 5.0])
@pytest.mark.parametrize("vanishes", [True, False])
def test_what_was_done_before_a_restart_is_committed_whenever_its_input_settles_or_vanishes(
    vanishes: bool, settle_seconds: float, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = story.add("a.jsonl")
    with monkeypatch.context() as patched:
        patched.setattr(pipeline.growing_build, "write_version", interrupt)
        story.watch()
    steps = [path.unlink if vanishes else lambda: None]
    steps += [lambda: None, lambda: None]
    story.watch(*steps, settle_seconds=settle_seconds, poll_seconds=5.0)
    assert story.names() == [("a.jsonl",)]
    assert main(["verify", str(story.output)]) == 0


def test_a_complete_build_is_the_first_version_of_a_watch_that_settles(story: Story) -> None:
    story.add("a.jsonl")
    assert build(story.config()).is_complete
    story.watch(lambda: None, once=True, settle_seconds=5.0)
    assert story.names() == [("a.jsonl",)]


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def parted(story: Story) -> list[tuple[str, Any]]:
    """Settings with which an input of 40 lines is read in several parts."""
    settings = TokenizeSettings(read=ReadSettings(max_unit_bytes=4_000))
    return [("settings", settings), ("inputs", (f"{story.inputs}/*",))]


@pytest.mark.parametrize("is_all_done", [True, False])
def test_of_a_vanished_input_all_parts_are_kept_or_none(
    is_all_done: bool, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    story.add("a.jsonl", 40)
    run = TokenizePass.run
    done = []

    def run_some(self: TokenizePass, unit: WorkUnit, target: Build) -> Any:
        if done and not is_all_done:
            raise KeyboardInterrupt
        done.append(unit.name)
        return run(self, unit, target)

    with monkeypatch.context() as patched:
        patched.setattr(TokenizePass, "run", run_some)
        patched.setattr(pipeline.growing_build, "write_version", interrupt)
        story.watch(build=parted(story))
    assert len(done) == (3 if is_all_done else 1)
    assert not story.versions
    (story.inputs / "a.jsonl").unlink()
    story.add("b.jsonl")
    story.watch(once=True, build=parted(story))
    assert story.names() == [("a.jsonl", "b.jsonl") if is_all_done else ("b.jsonl",)]
    assert main(["verify", str(story.output)]) == 0


def test_an_input_replaced_by_other_bytes_is_named_and_the_build_keeps_what_it_was(
    story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    path = story.add("a.jsonl")
    content = path.read_bytes()

    def rewrite(content: bytes, nanoseconds: int) -> None:
        path.write_bytes(content)
        os.utime(path, ns=(nanoseconds, nanoseconds))

    story.watch(lambda: rewrite(content, 10**18))
    assert "replaced" not in said(capsys), "the same bytes, written again"
    story.watch(lambda: rewrite(content.replace(b"Hello", b"Hallo"), 2 * 10**18), lambda: None)
    assert said(capsys).count("a.jsonl was replaced by other bytes") == 1
    story.watch(lambda: path.write_bytes(b"{}\n"), lambda: None)
    assert said(capsys).count("a.jsonl was replaced by other bytes") == 2, "said again on a restart"
    assert story.names() == [("a.jsonl",)]
    story.check_like_a_build("a.jsonl")


def test_a_version_does_not_wait_until_inputs_that_were_touched_are_read(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = story.add("a.jsonl")
    was_replaced = pipeline.growing_build.GrowingBuild.was_replaced
    looks = []

    def look(self: Any, found: WorkUnit) -> bool:
        looks.append((found.name, len(read_versions(Build.at(str(story.output))))))
        return was_replaced(self, found)

    def touch() -> None:
        os.utime(path, ns=(10**18, 10**18))
        story.add("b.jsonl")

    monkeypatch.setattr(pipeline.growing_build.GrowingBuild, "was_replaced", look)
    story.watch(touch)
    assert looks == [("a.jsonl", 2)]


def test_each_round_notes_the_inputs_that_are_new_in_it_and_a_restart_puts_them_together(
    story: Story,
) -> None:
    story.add("a.jsonl")
    story.watch(lambda: story.add("b.jsonl"), lambda: story.add("c.jsonl"))

    def noted() -> list[list[str]]:
        files = sorted(story.output.glob("runs/*/inputs*.json"))
        return [sorted(json.loads(path.read_bytes())["versions"]) for path in files]

    assert noted() == [["a.jsonl"], ["b.jsonl"], ["c.jsonl"]]
    story.watch(lambda: story.add("d.jsonl"))
    assert noted() == [["d.jsonl"], ["a.jsonl", "b.jsonl", "c.jsonl"]]


def test_a_truncated_input_is_left_out_until_it_is_whole(
    story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    story.add("a.jsonl")
    whole = gzip.compress(json_lines("b.jsonl", 3), mtime=0)
    path = story.inputs / "b.jsonl.gz"
    path.write_bytes(whole[:-20])
    result = story.watch(once=True)
    assert story.names() == [("a.jsonl",)]
    assert result.exit_code == 3
    told = said(capsys)
    assert "left out for now: b.jsonl.gz is truncated" in told
    assert "(--allow-truncated accepts it)" in told
    assert main(["verify", str(story.output)]) == 0, "what waits is no stray"
    story.watch(lambda: path.write_bytes(whole))
    assert story.names() == [("a.jsonl",), ("b.jsonl.gz",)]
    assert main(["verify", str(story.output)]) == 0


def test_limits_that_are_wider_take_what_waited(story: Story) -> None:
    (story.inputs / "a.jsonl").write_bytes(json_lines("a", 3) + b"broken\n")
    assert story.watch(once=True).exit_code == 3
    assert story.versions == []
    assert story.watch(once=True, build=[("max_rejects", 0.5)]).exit_code == 0
    assert story.names() == [("a.jsonl",)]


def test_a_unit_that_fails_is_tried_again_later_and_the_others_are_committed(
    story: Story, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    story.add("a.jsonl")
    story.add("b.jsonl")
    run = TokenizePass.run
    tries = []

    def fail(self: TokenizePass, unit: WorkUnit, target: Build) -> Any:
        if unit.name == "a.jsonl":
            tries.append(story.now)
            if len(tries) < 3:
                raise OSError("no answer")
        return run(self, unit, target)

    monkeypatch.setattr(TokenizePass, "run", fail)
    assert story.watch(once=True).exit_code == 1
    assert "a.jsonl: no answer" in said(capsys)
    story.watch(lambda: None, lambda: None, lambda: None, poll_seconds=400.0)
    assert tries == [0.0, 0.0, 800.0]
    assert story.names() == [("b.jsonl",), ("a.jsonl",)]


def test_a_part_that_failed_is_forgotten_when_its_input_has_it_no_more(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    story.add("a.jsonl", 40)
    run = TokenizePass.run

    def fail(self: TokenizePass, unit: WorkUnit, target: Build) -> Any:
        if unit.part is not None and unit.part[0] > 0:
            raise OSError("no answer")
        return run(self, unit, target)

    monkeypatch.setattr(TokenizePass, "run", fail)
    rounds = []
    do = pipeline.rounds.Rounds.do

    def do_noted(self: Any, now: float) -> Any:
        done = do(self, now)
        rounds.append(done.failed)
        return done

    monkeypatch.setattr(pipeline.rounds.Rounds, "do", do_noted)
    story.watch(lambda: story.add("a.jsonl", 3), build=parted(story))
    assert rounds == [2, 0]


def test_what_can_not_be_listed_or_read_does_not_end_the_watch(
    story: Story, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    story.add("a.jsonl")
    story.add("readme.unknown")
    (story.inputs / "folder").mkdir()
    os.mkfifo(story.inputs / "pipe.jsonl")
    calls = []
    list_arrived = pipeline.rounds.list_arrived

    def list_later(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 1:
            raise OSError("the store does not answer")
        return list_arrived(*arguments)

    monkeypatch.setattr(pipeline.rounds, "list_arrived", list_later)
    story.watch(lambda: None, lambda: None)
    assert story.names() == [("a.jsonl",)]
    told = said(capsys)
    assert told.count("the store does not answer") == 1
    assert told.count("readme.unknown") == 1
    calls.clear()
    with pytest.raises(OSError, match="store"):
        story.watch(once=True)


def test_a_link_to_nothing_or_into_the_output_is_named_and_stops_no_other(
    story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    (story.inputs / "lost.jsonl").symlink_to(story.inputs / "nowhere")
    (story.inputs / "round.jsonl").symlink_to(story.inputs / "round.jsonl")
    story.add("a.jsonl")

    def link_into_output() -> None:
        (story.inputs / "inside.json").symlink_to(story.output / "manifest.json")
        story.add("b.jsonl")

    story.watch(link_into_output, lambda: story.add("c.jsonl"))
    assert story.names() == [("a.jsonl",), ("b.jsonl",), ("c.jsonl",)]
    told = said(capsys)
    for name in ("lost.jsonl", "round.jsonl", "inside.json"):
        assert told.count(name) == 1


def test_an_input_that_goes_before_its_fields_are_looked_at_stops_no_other(
    story: Story, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = story.add("a.jsonl")
    story.add("b.jsonl")
    check_fields = pipeline.rounds.check_fields

    def check_late(*arguments: Any) -> None:
        gone.unlink()
        check_fields(*arguments)

    monkeypatch.setattr(pipeline.rounds, "check_fields", check_late)
    story.watch()
    assert story.names() == [("b.jsonl",)]
    assert "a.jsonl: " in said(capsys)


def test_what_comes_back_is_said_again(
    story: Story, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    unknown, lost = story.inputs / "readme.unknown", story.inputs / "lost.jsonl"
    list_arrived = pipeline.rounds.list_arrived
    is_down = [True]

    def list_some(*arguments: Any) -> Any:
        if is_down[0]:
            raise OSError("the store does not answer")
        return list_arrived(*arguments)

    def come() -> None:
        is_down[0] = False
        unknown.write_text("?")
        lost.symlink_to("nowhere")

    def go() -> None:
        unknown.unlink()
        lost.unlink()

    def fall() -> None:
        is_down[0] = True

    monkeypatch.setattr(pipeline.rounds, "list_arrived", list_some)
    nothing = [lambda: None]
    story.watch(*nothing, come, *nothing, go, come, *nothing, fall, *nothing)
    told = said(capsys)
    for message in ("the store does not answer", "readme.unknown: ", "lost.jsonl"):
        assert told.count(message) == 2


def test_a_round_takes_so_many_bytes_and_then_comes_a_version(story: Story) -> None:
    for name in "abc":
        story.add(f"{name}.jsonl")
    story.watch(once=True, max_round_bytes=1)
    assert story.names() == [("a.jsonl",), ("b.jsonl",), ("c.jsonl",)]
    story.check_like_a_build("a.jsonl", "b.jsonl", "c.jsonl")


def test_a_build_goes_on_as_a_watch_and_not_the_other_way_round(story: Story) -> None:
    story.add("a.jsonl")
    assert build(story.config()).is_complete
    story.watch(lambda: story.add("b.jsonl"))
    assert story.names() == [("a.jsonl",), ("b.jsonl",)]
    with pytest.raises(ConfigurationError, match="has versions: go on with `tokenmill watch`"):
        build(story.config())
    assert build(story.config(overwrite=True)).is_complete
    assert not list(story.output.glob("versions/*"))
    assert main(["verify", str(story.output)]) == 0


# -- the command -----------------------------------------------------------------------------------


def test_the_command_prints_a_line_a_version(
    story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    story.add("a.jsonl")
    arguments = ["--input", f"{story.inputs}/*", "--output", str(story.output), "--once"]
    assert main(["watch", *arguments, "--settle-seconds", "0", "--json"]) == 0
    (version,) = read_versions(Build.at(str(story.output)))
    line = json.loads(capsys.readouterr().out)
    assert (line["version"], line["sha256"]) == (1, version.sha256)
    assert line["manifest_sha256"] == version.manifest
    story.add("b.jsonl")
    assert main(["watch", *arguments, "--settle-seconds", "0"]) == 0
    assert capsys.readouterr().out.startswith("version 2: 1 input more, 2 inputs and ")


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ("-", "standard input can not be watched"),
        ("hf://datasets/owner/name/*", "can not be watched"),
        ("{in}", "is a folder: try {in}/*"),
        ("{in}/../out/**", "would match"),
    ],
)
def test_what_can_not_be_watched_is_refused_before_anything_is_written(
    inputs: str, message: str, story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    given = inputs.replace("{in}", str(story.inputs))
    assert main(["watch", "--input", given, "--output", str(story.output), "--once"]) == 2
    assert message.replace("{in}", str(story.inputs)) in said(capsys)
    assert not story.output.exists()


@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupt_waits_for_the_manifest_of_a_version_and_a_second_one_does_not(
    times: int, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    story.add("a.jsonl")
    write = pipeline.growing_build.write_version

    def write_and_interrupt(*arguments: Any) -> None:
        write(*arguments)
        for _ in range(times):
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(pipeline.growing_build, "write_version", write_and_interrupt)
        result = story.watch()
    assert result.is_interrupted
    assert main(["verify", str(story.output)]) == (0 if times == 1 else 1)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    story.watch(once=True)
    assert main(["verify", str(story.output)]) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_one_line_and_exit_code_0(
    number: signal.Signals, story: Story
) -> None:
    story.add("a.jsonl")
    arguments = ["--input", f"{story.inputs}/*", "--output", str(story.output)]
    process = subprocess.Popen(
        [sys.executable, "-m", "tokenmill", "watch", *arguments, "--settle-seconds", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("version 1: ")
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert err.splitlines()[-1] == (
        "tokenmill: watch ended after version 1, 1 unit; the same command goes on"
    )
    assert not list(story.output.glob("runs/*/owner.json"))


def test_rounds_on_another_runner_each_have_a_queue_of_their_own(story: Story) -> None:
    story.add("a.jsonl")
    flags = ("--runner=BundleBasedDirectRunner",)
    story.watch(lambda: story.add("b.jsonl"), build=[("beam_flags", flags)])
    assert story.names() == [("a.jsonl",), ("b.jsonl",)]
    story.check_like_a_build("a.jsonl", "b.jsonl")
