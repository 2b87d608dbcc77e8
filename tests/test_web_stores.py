"""Inputs from web servers and from the Hugging Face Hub, by servers on 127.0.0.1."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fault_proxy import TRANSIENT, Fault, FaultProxy, share_of

from tokenizer import ConfigurationError
from transforms.filesystem import (
    exists,
    find_files,
    list_files,
    look_up,
    open_raw,
    pin_pattern,
    read_whole,
    write_whole,
)
from transforms.stores import web_client

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = bytes(range(251)) * 20_000
FILES = {"README.md": b"text", "en/a.json.gz": b"abc", "en/b.json.gz": LARGE, "en/x/c.txt": b""}


class _Handler(BaseHTTPRequestHandler):
    """Files below /files/ with ranges, below /whole/ without; and what of the Hub is used."""

    protocol_version = "HTTP/1.1"
    seen_tokens: set[str | None]
    seen_ranges: list[str | None]

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/api/datasets/org/name/revision/"):
            self._send(json.dumps({"sha": COMMIT}).encode())
        elif path.startswith("/api/datasets/org/name/tree/"):
            self._send_tree(path)
        elif path.startswith("/datasets/org/name/resolve/"):
            type(self).seen_tokens.add(self.headers.get("Authorization"))
            self.send_response(302)
            self.send_header("Location", "/files/" + path.split("/", 6)[6])
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._send_file(path)

    do_HEAD = do_GET

    def _send_file(self, path: str) -> None:
        type(self).seen_tokens.add(self.headers.get("Authorization"))
        if self.command == "GET":
            type(self).seen_ranges.append(self.headers.get("Range"))
        kind, _, name = path[1:].partition("/")
        content = FILES.get(name)
        ranges = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or "")
        if content is None:
            self._send(b"", 404)
        elif kind == "files" and ranges:
            start, stop = int(ranges[1]), min(int(ranges[2]) + 1, len(content))
            if start >= len(content):
                self._send(b"", 416)
            else:
                place = f"bytes {start}-{stop - 1}/{len(content)}"
                self._send(content[start:stop], 206, {"Content-Range": place})
        else:
            self._send(content)

    def _send_tree(self, path: str) -> None:
        folder = path.split("/", 7)[7] if path.count("/") > 6 else ""
        is_deep = "recursive=true" in self.path
        files = [
            {"type": "file", "oid": f"o{len(content)}", "size": len(content), "path": name}
            for name, content in FILES.items()
            if name.startswith(f"{folder}/" if folder else "")
            and (is_deep or "/" not in name.removeprefix(f"{folder}/" if folder else ""))
        ]
        # Two pages, as the Hub cuts long listings.
        half = len(files) // 2
        if "cursor" in self.path:
            self._send(json.dumps(files[half:]).encode())
        else:
            host = self.headers["Host"]
            link = f'<http://{host}{self.path}&cursor=1>; rel="next"'
            self._send(json.dumps(files[:half]).encode(), 200, {"Link": link})

    def _send(self, content: bytes, status: int = 200, headers: Any = None) -> None:
        self.send_response(status)
        for name, value in {"ETag": '"v1"', **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    _Handler.seen_tokens, _Handler.seen_ranges = set(), []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    monkeypatch.setattr(web_client, "_FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(web_client, "STALL_SECONDS", 0.5)
    monkeypatch.setenv("HF_TOKEN", "secret")
    with FaultProxy(server.server_address[1]) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running
    server.shutdown()
    server.server_close()
    thread.join()


def test_no_more_is_asked_for_than_is_read(proxy: FaultProxy) -> None:
    with open_raw(f"{proxy.url}/files/en/b.json.gz") as file:
        file.seek(len(LARGE) - 100)
        assert file.read(10) == LARGE[-100:-90]
    *first, last = _Handler.seen_ranges
    assert all(first)  # one byte tells the size, where HEAD does not
    assert last is not None
    assert last.startswith(f"bytes={len(LARGE) - 100}-")


@pytest.mark.parametrize("kind", ["files", "whole"])
@pytest.mark.parametrize("name", FILES)
def test_a_file_on_a_web_server_is_read(proxy: FaultProxy, kind: str, name: str) -> None:
    path = f"{proxy.url}/{kind}/{name}"
    with open_raw(path) as file:
        assert file.read() == FILES[name]
        file.seek(len(FILES[name]) // 2)
        assert file.read() == FILES[name][len(FILES[name]) // 2 :]
    assert read_whole(path) == FILES[name]
    found = look_up(path)
    assert found is not None
    assert (found.size_bytes, found.version) == (len(FILES[name]), "v1")
    assert find_files(path) == [found]


def test_a_missing_file_on_a_web_server_is_said_to_be_missing(proxy: FaultProxy) -> None:
    assert not exists(f"{proxy.url}/files/none")
    assert find_files(f"{proxy.url}/files/none") == []
    with pytest.raises(FileNotFoundError, match="files/none: no such file"):
        open_raw(f"{proxy.url}/files/none")


def test_a_web_server_gives_no_listing_and_takes_nothing(proxy: FaultProxy) -> None:
    with pytest.raises(ConfigurationError, match="name each file"):
        find_files(f"{proxy.url}/files/*.gz")
    with pytest.raises(ConfigurationError, match="takes no output"):
        write_whole(f"{proxy.url}/files/new", b"")
    with pytest.raises(ConfigurationError, match="takes no output"):
        write_whole("hf://datasets/org/name/new", b"")


def test_faults_of_a_web_server_change_no_byte(proxy: FaultProxy) -> None:
    proxy.faults = share_of(0.3, *TRANSIENT)
    for _ in range(5):
        with open_raw(f"{proxy.url}/files/en/b.json.gz") as file:
            assert file.read() == LARGE
        assert len(find_files("hf://datasets/org/name/**")) == len(FILES)


def test_an_outage_of_a_web_server_ends_within_the_bound(
    proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_client, "RETRY_SECONDS", 0.1)
    proxy.faults = lambda request: Fault.ERROR_503
    with pytest.raises(OSError, match=r"files/README.md: .*503.*; tried for 0.1 s"):
        open_raw(f"{proxy.url}/files/README.md")


def test_a_data_set_of_the_hub_is_listed_and_read(proxy: FaultProxy) -> None:
    root = "hf://datasets/org/name"
    names = [file.path.removeprefix(f"{root}/") for file in find_files(f"{root}/en/*.gz")]
    assert names == ["en/a.json.gz", "en/b.json.gz"]
    assert [file.path for file in find_files(f"{root}/*")] == [f"{root}/README.md"]
    assert len(list(list_files(root))) == len(FILES)
    found = look_up(f"{root}@main/en/a.json.gz")
    assert found == (f"{root}@main/en/a.json.gz", 3, "o3")
    assert read_whole(f"{root}/en/b.json.gz") == LARGE


def test_a_token_of_the_hub_is_not_sent_where_a_redirect_leads(proxy: FaultProxy) -> None:
    assert read_whole("hf://datasets/org/name/en/a.json.gz") == b"abc"
    assert _Handler.seen_tokens == {"Bearer secret", None}


def test_a_pattern_of_the_hub_is_pinned_to_a_commit(proxy: FaultProxy) -> None:
    pinned = f"hf://datasets/org/name@{COMMIT}/en/*.gz"
    assert pin_pattern("hf://datasets/org/name/en/*.gz") == pinned
    assert pin_pattern("hf://datasets/org/name@main/en/*.gz") == pinned
    assert pin_pattern(pinned) == pinned
    assert pin_pattern("s3://bucket/*") == "s3://bucket/*"
    assert next(file.path for file in find_files(pinned)) == pinned.replace("*.gz", "a.json.gz")
    with pytest.raises(ConfigurationError, match="check its name"):
        pin_pattern("hf://datasets/org/other/*")


def test_a_build_from_the_hub_reads_one_commit(
    proxy: FaultProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = {"en/a.jsonl": b'{"text": "One."}\n', "en/b.jsonl": b'{"text": "Two."}\n'}
    monkeypatch.setattr(f"{__name__}.FILES", lines)
    command = [sys.executable, "-m", "pipeline", "build", "--input"]
    command += ["hf://datasets/org/name/en/*", "--output", f"{tmp_path}/out"]
    subprocess.run(command, check=True, capture_output=True)
    read = [request.target for request in proxy.requests if "/resolve/" in request.target]
    assert read
    assert all(f"/resolve/{COMMIT}/en/" in target for target in read)
    manifest = json.loads((tmp_path / "out/manifest.json").read_bytes())
    assert [entry["path"] for entry in manifest["inputs"]] == ["a.jsonl", "b.jsonl"]
