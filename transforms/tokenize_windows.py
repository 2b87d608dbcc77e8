"""`TokenizeWindows`: documents of a stream in, units of a build out: one for each pane of a window.

    12:00:03 doc-1 ┐                         window 12:00 to 12:01
    12:00:41 doc-2 ┼─ key: hash of the id ─┬─ shard 0  doc-2         .../shard-00000/pane-00000
    12:00:59 doc-3 ┘  into `shards` keys   └─ shard 1  doc-1, doc-3  .../shard-00001/pane-00000
    12:00:07 doc-4, late                      shard 1  doc-4         .../shard-00001/pane-00001

A pane is an input like any other: its documents as JSON lines, in the order of their bytes. So it
has the files, receipt and rejects of a unit, and `verify`, `export` and `tokenmill.open` read it.

What a runner grouped it gives again when a bundle is tried again: the same name, the same bytes,
and where the receipt is there already nothing is done. A pane of that name with other documents,
as from a stream that was begun anew from another place, is refused: nothing is written over. So it
is where a runner goes back to a checkpoint and fires a pane with other documents than before, which
Beam allows where nothing asks for stable input, as no DoFn of Python can. That is looked at before
a pane is tokenized and again before its files appear. Not seen are two attempts of other documents
that publish in the same moment: no store can put several files in place at once.
"""

import dataclasses
import hashlib
import json
import uuid
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any, Union

import apache_beam as beam
from apache_beam.coders.coders import GlobalWindowCoder, IntervalWindowCoder
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.trigger import AccumulationMode
from apache_beam.transforms.window import GlobalWindow

from tokenizer.errors import ConfigurationError
from transforms.encoding_do_fns import Document
from transforms.errors import UnitFailedError
from transforms.passes.tokenize import TokenizePass
from transforms.passes.work_pass import WorkUnit
from transforms.reading import InputFormat
from transforms.run_pass import RunUnit
from transforms.settings import TokenizeSettings
from transforms.shards.build import Build
from transforms.shards.layout import receipt_path
from transforms.shards.mark import Mark, settle
from transforms.shards.receipt import Receipt
from transforms.stores.scratch import scratch_folder

_Element = Union[str, Document]  # noqa: UP007 (a run-time value for Beam's hints)
_WINDOW_CODERS = (IntervalWindowCoder, GlobalWindowCoder)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class _KeyLine(beam.DoFn):  # type: ignore[misc]
    """A document as a line of JSON, under the shard that its id, or its text, belongs to."""

    def __init__(self, shards: int) -> None:
        self._shards = shards

    def process(self, element: _Element) -> Iterator[tuple[int, bytes]]:
        line = json_line(element)
        name = element
        if isinstance(element, Document):
            name = element.text if element.id is None else element.id
        digest = hashlib.sha256(str(name).encode(errors="surrogatepass")).digest()
        yield int.from_bytes(digest[:8], "little") % self._shards, line


class _TokenizePane(beam.DoFn):  # type: ignore[misc]
    """Makes the unit of one pane."""

    def __init__(self, work: TokenizePass, build: Build) -> None:
        self._work = work
        self._build = build
        self._run_unit = RunUnit(work, build)

    def setup(self) -> None:
        settle(self._build, Mark(self._work.fingerprint, self._work.described()))
        self._run_unit.setup()

    def process(
        self,
        element: tuple[int, Iterable[bytes]],
        window: Any = beam.DoFn.WindowParam,
        pane: Any = beam.DoFn.PaneInfoParam,
    ) -> Iterator[Receipt]:
        shard, lines = element
        content = b"".join(sorted(lines))
        name = pane_name(window, shard, pane.index)
        self._check_same(name, content)
        with scratch_folder() as folder:
            file = folder / "pane.jsonl"
            file.write_bytes(content)
            for done in self._run_unit.process(WorkUnit(name, str(file), len(content))):
                self._check_same(name, content)  # another attempt may have been faster
                if isinstance(done, TaggedOutput):
                    raise UnitFailedError(done.value)
                yield done

    def _check_same(self, name: str, content: bytes) -> None:
        """A receipt that is there already must be of these documents."""
        if not self._build.exists(receipt_path(name)):
            return
        found = self._build.receipt(name).input.sha256
        if found != hashlib.sha256(content).hexdigest():
            raise UnitFailedError(
                f"{name}: {self._build.root} has this pane already, of other documents: a stream "
                "that begins anew from another place needs an output of its own"
            )


class TokenizeWindows(beam.PTransform):  # type: ignore[misc]
    """Tokenizes documents, `str` or `Document`, into units of a build; gives a `Receipt` for each.

    Works on unbounded input, in windows of any kind; each pane that fires is a unit. So panes must
    be discarding: an accumulating one would write its documents a second time. What is late and
    allowed is a pane of its own, what is dropped for being too late is Beam's to count. A document
    that its source delivers twice is written twice.

    A record that is no document is a reject of its pane. A pane that can not be done, as where the
    disk is full or its name has other documents, raises: a batch fails once its runner has tried
    it as often as it does. A streaming runner may try for ever, while its watermark stands still
    and its logs say why: nothing is lost, and nothing more is done until somebody looks.

    A pane of one key is in memory as text, and is a file: choose windows and `shards` so that it
    has some 100 MB. `tokenmill.commit` makes a version of what is there, also while the stream goes
    on.

        receipts = (
            messages
            | beam.WindowInto(FixedWindows(600), allowed_lateness=3600)
            | TokenizeWindows("gs://bucket/tokens", TokenizeSettings(), shards=8)
        )
    """

    def __init__(self, output: str, settings: TokenizeSettings, *, shards: int = 1) -> None:
        """Makes the transform, when the pipeline is built.

        Args:
            output: the build's folder: new, empty, or a build of the same settings.
            settings: how documents become ids; of `read` only the limits count.
            shards: units of each window; a document's is told by the hash of its id, or of its
                text where it has none.

        Raises:
            ConfigurationError: impossible arguments; also when it is applied to windows that
                accumulate, or have no start and end.
        """
        super().__init__()
        if shards < 1:
            raise ConfigurationError(f"expected 1 or more, found {shards}", setting="shards")
        read = dataclasses.replace(
            settings.read, input_format=InputFormat.JSONL, text_field="text", id_field="id"
        )
        self._work = TokenizePass(dataclasses.replace(settings, read=read).pinned())
        self._build = Build.at(output, f"pipeline-{uuid.uuid4().hex}", is_shared=True)
        self._shards = shards

    def expand(self, documents: Any) -> Any:
        if documents.windowing.accumulation_mode == AccumulationMode.ACCUMULATING:
            raise ConfigurationError(
                "panes that accumulate would write documents again: window with "
                "accumulation_mode=AccumulationMode.DISCARDING"
            )
        if not isinstance(documents.windowing.windowfn.get_window_coder(), _WINDOW_CODERS):
            raise ConfigurationError(
                "units are named by the time of their window: expected windows with a start and "
                f"an end, or the global one, found those of {documents.windowing.windowfn}"
            )
        return (
            documents
            | "KeyLine" >> beam.ParDo(_KeyLine(self._shards)).with_output_types(tuple[int, bytes])
            | "Panes" >> beam.GroupByKey()
            | "TokenizePane"
            >> beam.ParDo(_TokenizePane(self._work, self._build)).with_output_types(Receipt)
        )

    def display_data(self) -> dict[str, Any]:
        return {"output": self._build.root, "shards": self._shards}


def json_line(element: _Element) -> bytes:
    r"""A document as a line of JSON: equal documents, equal bytes.

    What is no text stays none, so that the reader makes a reject of it with its reason.

    >>> json_line(Document("a", "naïve")), json_line("\udc00")
    (b'{"id": "a", "text": "na\xc3\xafve"}\n', b'{"text": "\\udc00"}\n')
    """
    value = element._asdict() if isinstance(element, Document) else {"text": element}
    try:
        return json.dumps(value, ensure_ascii=False, default=lambda _: {}).encode() + b"\n"
    except UnicodeEncodeError:  # a lone surrogate can only be written escaped
        return json.dumps(value, default=lambda _: {}).encode() + b"\n"


def pane_name(window: Any, shard: int, pane: int) -> str:
    """The unit of one pane; in the order of names, windows stand in that of time.

    >>> from apache_beam.transforms.window import IntervalWindow
    >>> pane_name(IntervalWindow(0, 60), 3, 1)
    '19700101T000000.000000Z-19700101T000100.000000Z/shard-00003/pane-00001.jsonl'

    Raises:
        UnitFailedError: the window lies before the year 1, as that of documents without a time of
            their own, or after 9999.
    """
    is_global = isinstance(window, GlobalWindow)
    span = "global" if is_global else f"{_time(window.start)}-{_time(window.end)}"
    return f"{span}/shard-{shard:05d}/pane-{pane:05d}.jsonl"


def _time(timestamp: Any) -> str:
    try:
        moment = _EPOCH + timedelta(microseconds=timestamp.micros)
    except OverflowError:
        raise UnitFailedError(
            f"a window begins or ends at {timestamp}, which is in no year from 1 to 9999: give "
            "each document the time that it is of, as TimestampedValue does"
        ) from None
    # All digits, or names would stand in another order than times; %Y leaves out zeros.
    return f"{moment.year:04d}{moment:%m%dT%H%M%S.%f}Z"
