"""Uploads in parts that have not ended: what Cloud Storage is asked, and in whose name."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from transforms.filesystem import abort_upload, list_uploads
from transforms.stores import unfinished_uploads

pytestmark = pytest.mark.stores


class _Answers(BaseHTTPRequestHandler):
    """A place where tokens are given, and Cloud Storage with two pages of uploads.

    pages: what it answers instead, one after the other.
    """

    asked: list[tuple[str, str, str | None]]
    pages: list[bytes]
    tokens: list[str]

    def do_POST(self) -> None:
        self.tokens.append(self.path)
        self.rfile.read(int(self.headers["Content-Length"]))
        self._send(json.dumps({"access_token": "secret", "expires_in": 3600}).encode())

    def do_GET(self) -> None:
        self.asked.append((self.command, self.path, self.headers["Authorization"]))
        if self.pages:
            self._send(self.pages.pop(0))
            return
        query = parse_qs(self.path.partition("?")[2])
        is_last = "key-marker" in query
        number = 2 if is_last else 1
        more = "" if is_last else "<NextKeyMarker>out/a&amp;1</NextKeyMarker>"
        self._send(
            '<ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<IsTruncated>{str(not is_last).lower()}</IsTruncated>{more}<Upload>"
            f"<Key>out/a&amp;{number}</Key><UploadId>{number}+</UploadId></Upload>"
            "</ListMultipartUploadsResult>".encode()
        )

    def do_DELETE(self) -> None:
        self.asked.append((self.command, self.path, self.headers["Authorization"]))
        self.send_response(404 if "2" in self.path else 204)
        self.end_headers()

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server_url() -> Iterator[str]:
    _Answers.asked, _Answers.pages, _Answers.tokens = [], [], []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_cloud_storage_is_asked_page_by_page_with_the_token_of_a_service_account(
    server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    account = {"type": "service_account", "client_email": "a@b", "project_id": "p"}
    account |= {"token_uri": f"{server_url}/token", "private_key": key.decode()}
    (tmp_path / "account.json").write_text(json.dumps(account), encoding="utf-8")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", f"{tmp_path}/account.json")
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setattr(unfinished_uploads, "_GOOGLE", server_url)
    unfinished_uploads._credentials.cache_clear()
    found = list(list_uploads("gs://bucket/out"))
    assert found == [("gs://bucket/out/a&1", "1+"), ("gs://bucket/out/a&2", "2+")]
    for upload_there in found:
        abort_upload(upload_there)
    unfinished_uploads._credentials.cache_clear()
    assert _Answers.tokens == ["/token"], "one token serves for all requests"
    first = "/bucket?uploads&prefix=out%2F"
    assert _Answers.asked == [
        ("GET", first, "Bearer secret"),
        ("GET", f"{first}&key-marker=out%2Fa%261&upload-id-marker=", "Bearer secret"),
        ("DELETE", "/bucket/out/a%261?uploadId=1%2B", "Bearer secret"),
        ("DELETE", "/bucket/out/a%262?uploadId=2%2B", "Bearer secret"),  # it has ended meanwhile
    ]


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (b"OK", "gs://bucket/out/: found no list of uploads"),
        (b"", "gs://bucket/out/: found no list of uploads"),
        (b"<R><IsTruncated>true</IsTruncated></R>", "the list of uploads has no end"),
        (
            b"<R><IsTruncated>true</IsTruncated><NextKeyMarker>a</NextKeyMarker></R>",
            "the list of uploads has no end",
        ),
    ],
)
def test_what_is_no_list_of_uploads_or_has_no_end_is_an_error_of_the_store(
    page: bytes, message: str, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server_url)
    _Answers.pages = [page] * 4
    with pytest.raises(OSError, match=message):
        list(list_uploads("gs://bucket/out"))
    assert len(_Answers.pages) >= 2, "it was asked on and on"


@pytest.mark.parametrize("folder", ["az://container/out", "hdfs://host:1/out", "hf://a/b/out"])
def test_stores_without_uploads_in_parts_have_none(folder: str) -> None:
    """To there a build of another store may have been copied, with the notes of a dead run."""
    assert list(list_uploads(folder)) == []


def test_a_profile_that_is_gone_is_an_error_of_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """obstore does not look at it where keys are in the environment: the build itself works."""
    boto3 = pytest.importorskip("boto3")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "key")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_PROFILE", "gone")
    with pytest.raises(OSError, match=r"s3://bucket/out/: .*gone"):
        list(list_uploads("s3://bucket/out"))
