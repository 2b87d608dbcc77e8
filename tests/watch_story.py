"""`Story`: a watch of a small folder, told step by step under a clock of its own."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from sample_inputs import json_lines, output_bytes

from pipeline.commands.build import build
from pipeline.commands.watch import watch
from pipeline.config import BuildConfig
from pipeline.growing_build import NewVersion
from pipeline.rounds import WatchConfig

Step = Callable[[], object]


class Story:
    """A watch of a folder under a clock of its own: each step happens in a pause between rounds."""

    def __init__(self, folder: Path) -> None:
        self.inputs = folder / "in"
        self.output = folder / "out"
        self.inputs.mkdir()
        self.versions: list[NewVersion] = []
        self.now = 0.0

    def add(self, name: str, count: int = 3) -> Path:
        path = self.inputs / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(json_lines(name, count))
        return path

    def config(self, **changes: Any) -> BuildConfig:
        chosen = {"inputs": (f"{self.inputs}/*",), **changes}
        return BuildConfig(output=str(self.output), **chosen)

    def watch(self, *steps: Step, build: Sequence[tuple[str, Any]] = (), **watching: Any) -> Any:
        """Watches; after the last step it is interrupted, unless `once`."""
        left = list(steps)

        def pause(seconds: float) -> None:
            self.now += seconds
            if not left:
                raise KeyboardInterrupt
            left.pop(0)()

        chosen = {"settle_seconds": 0.0, "poll_seconds": 1.0, **watching}
        config = WatchConfig(build=self.config(**dict(build)), **chosen)
        result = watch(config, self.versions.append, clock=lambda: self.now, pause=pause)
        assert not left, "it ended before its last step"
        return result

    def names(self) -> list[tuple[str, ...]]:
        """The inputs that each version added."""
        return [new.inputs for new in self.versions]

    def check_like_a_build(self, *names: str) -> None:
        """The bytes are those of one build of these files, made anew."""
        folder = self.output.with_name("once")
        folder.mkdir()
        for name in names:
            (folder / name).write_bytes(json_lines(name, 3))
        expected = folder.with_name("expected")
        config = BuildConfig(inputs=(f"{folder}/*",), output=str(expected))
        assert build(config).is_complete
        found = output_bytes(self.output)
        assert {n: c for n, c in found.items() if not n.startswith("versions/")} == output_bytes(
            expected
        )


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err
