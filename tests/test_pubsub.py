"""A stream from a real broker: Pub/Sub's messages through `TokenizeWindows` into a build."""

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tokenmill
from transforms.errors import MismatchError

pytestmark = pytest.mark.brokers
SUBSCRIPTION = "projects/project-one/subscriptions/documents"
TOPIC = "projects/project-one/topics/documents"
DOCUMENTS = {f"d{n}": f"The text of document {n}, naïve 🧵. " * (n % 7 + 1) for n in range(300)}
FIRST_SECOND = 1_700_000_000
_PATIENCE_SECONDS = 180.0


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The client of a server that runs, with a topic and a subscription."""
    command = os.environ.get("TOKENMILL_PUBSUB", "none")
    if not Path(command).is_file():
        pytest.skip("no Pub/Sub server: `make test-pubsub` builds it where Go is")
    pubsub = pytest.importorskip("google.cloud.pubsub")
    with subprocess.Popen(
        [command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", server.stdout.readline().strip())
        publisher, subscriber = pubsub.PublisherClient(), pubsub.SubscriberClient()
        publisher.create_topic(name=TOPIC)
        subscriber.create_subscription(name=SUBSCRIPTION, topic=TOPIC)
        yield publisher
        subscriber.close()
        publisher.stop()
        server.stdin.close()  # it ends by that


def publish(publisher: Any, documents: dict[str, str]) -> None:
    """One every other second, by the time that they say they are of: ten minutes in all."""
    sent = [
        publisher.publish(
            TOPIC,
            json.dumps({"id": name, "text": text}).encode(),
            time=str((FIRST_SECOND + 2 * number) * 1000),
        )
        for number, (name, text) in enumerate(documents.items())
    ]
    for message in sent:
        message.result(_PATIENCE_SECONDS)


def committed_when_all_are_there(output: Path) -> list[tuple[str, str, list[int]]]:
    """Id, unit and tokens of every document, once as many as were sent are there."""
    until = time.monotonic() + _PATIENCE_SECONDS
    found: list[tuple[str, str, list[int]]] = []
    while time.monotonic() < until:
        time.sleep(0.5)
        try:
            tokenmill.commit(output)
        except MismatchError:
            continue  # nothing has come yet
        found = [(str(one.id), one.unit, one.tokens.tolist()) for one in tokenmill.open(output)]
        if len(found) >= len(DOCUMENTS):
            return found
    raise AssertionError(f"{len(found)} of {len(DOCUMENTS)} documents arrived")


def test_messages_of_a_broker_become_a_build_of_the_same_ids_as_their_files(
    broker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the pipeline as it stands in docs/cluster.md."""
    page = Path(__file__).resolve().parent.parent / "docs" / "cluster.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    (code,) = (block for block in blocks if "ReadFromPubSub" in block)
    assert "projects/PROJECT/subscriptions/NAME" in code
    publish(broker, DOCUMENTS)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    code = code.replace("projects/PROJECT/subscriptions/NAME", SUBSCRIPTION)
    exec(compile(code, "cluster.md", "exec"), names)
    try:
        found = committed_when_all_are_there(tmp_path / "stream")
    finally:
        names["running"].cancel()

    assert tokenmill.verify(tmp_path / "stream").is_sound
    assert sorted(name for name, _, _ in found) == sorted(DOCUMENTS), "each message once"
    (tmp_path / "in").mkdir()
    (tmp_path / "in/documents.jsonl").write_text(
        "".join(json.dumps({"id": name, "text": text}) + "\n" for name, text in DOCUMENTS.items()),
        encoding="utf-8",
    )
    tokenmill.build(f"{tmp_path}/in/*", tmp_path / "out")
    local = {one.id: one.tokens.tolist() for one in tokenmill.open(tmp_path / "out")}
    assert {name: tokens for name, _, tokens in found} == local
    for name, unit, _ in found:
        second = FIRST_SECOND + 2 * list(DOCUMENTS).index(name)
        start = time.strftime("%Y%m%dT%H%M%S", time.gmtime(second // 60 * 60))
        assert unit.startswith(start), "it is in the window of its own time"
