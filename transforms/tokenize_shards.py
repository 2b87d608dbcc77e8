"""`TokenizeShards`: inputs in, receipts out; the files of a build are written on the way."""

import uuid
from collections.abc import Iterator
from typing import Any, Union

import apache_beam as beam
from apache_beam.io.filesystem import FileMetadata

from transforms.errors import UnitFailedError
from transforms.passes.tokenize import TokenizePass
from transforms.passes.unit_parts import split_unit
from transforms.passes.work_pass import WorkUnit
from transforms.run_pass import RunPass
from transforms.settings import TokenizeSettings
from transforms.shards.build import Build
from transforms.shards.mark import Mark, settle
from transforms.shards.receipt import Receipt
from transforms.shards.unit_names import unit_name

_Input = Union[WorkUnit, FileMetadata]  # noqa: UP007 (a run-time value for Beam's hints)


class _NameUnit(beam.DoFn):  # type: ignore[misc]
    """Makes the output folder ours, once a process, and gives the units of each input."""

    def __init__(self, work: TokenizePass, build: Build, input_root: str | None) -> None:
        self._work = work
        self._build = build
        self._input_root = input_root

    def setup(self) -> None:
        settle(self._build, Mark(self._work.fingerprint, self._work.described()))

    def process(self, element: _Input) -> Iterator[WorkUnit]:
        if isinstance(element, WorkUnit) and element.part is not None:
            yield element
            return
        if isinstance(element, FileMetadata):
            name = unit_name(self._below_root(element.path))
            element = WorkUnit(name, element.path, element.size_in_bytes)
        yield from split_unit(element, self._work.settings.read)

    def _below_root(self, path: str) -> str:
        if self._input_root is not None:
            prefix = self._input_root.rstrip("/") + "/"
            if not path.startswith(prefix):
                raise UnitFailedError(f"{path} does not lie in the input_root {self._input_root}")
            return path.removeprefix(prefix)
        return path.replace("://", "/").lstrip("/")  # with its scheme: two stores are two inputs


def _raise_failure(message: str) -> None:
    raise UnitFailedError(message)


class TokenizeShards(beam.PTransform):  # type: ignore[misc]
    """Tokenizes inputs into files of a build below `output`; gives a `Receipt` for each unit.

    Takes what `beam.io.fileio.MatchFiles` gives, or `WorkUnit`s. The bytes written depend on inputs
    and settings alone. A unit that can not be read fails the pipeline, once its runner has tried
    it as often as it does. No manifest is written: that is for whoever knows that all is there.

    Each input comes once. A unit that has a receipt is never written over, since `tokenmill.commit`
    may have made a version of it: one whose input was replaced fails, where the size tells; the
    command notes versions of inputs, and tells always. A pipeline that dies leaves
    `runs/pipeline-*` below `output`, which may be removed when none works there.

        with beam.Pipeline() as pipeline:
            receipts = (
                pipeline
                | MatchFiles("gs://bucket/web/*.jsonl.zst")
                | TokenizeShards("gs://bucket/tokens", TokenizeSettings(), input_root="gs://bucket/web")
            )
    """

    def __init__(
        self, output: str, settings: TokenizeSettings, *, input_root: str | None = None
    ) -> None:
        """Makes the transform.

        Args:
            output: the build's folder: new, empty, or a build of the same settings.
            settings: how documents become shards.
            input_root: the folder that units are named relative to; None: they are named by their
                whole path.
        """
        super().__init__()
        self._work = TokenizePass(settings)
        self._build = Build.at(output, f"pipeline-{uuid.uuid4().hex}", is_shared=True)
        self._input_root = input_root

    def expand(self, inputs: Any) -> Any:
        name_unit = _NameUnit(self._work, self._build, self._input_root)
        done = (
            inputs
            | "NameUnit" >> beam.ParDo(name_unit).with_output_types(WorkUnit)
            | "Spread" >> beam.Reshuffle()  # parts of one input, and what MatchFiles gives
            | "RunPass" >> RunPass(self._work, self._build)
        )
        _ = done.failures | "RaiseFailure" >> beam.Map(_raise_failure)
        return done.receipts | "Receipt" >> beam.Map(lambda receipt: receipt).with_output_types(
            Receipt
        )

    def display_data(self) -> dict[str, Any]:
        return {"output": self._build.root, "input_root": self._input_root or "(whole paths)"}
