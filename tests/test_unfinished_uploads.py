"""Uploads in parts that have not ended: what Cloud Storage is asked, and in whose name."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from transforms.filesystem import abort_upload, list_uploads
from transforms.stores import unfinished_uploads

pytestmark = pytest.mark.stores


class _Answers(BaseHTTPRequestHandler):
    """A place where tokens are given, and Cloud Storage with two pages of uploads."""

    asked: list[tuple[str, str, str | None]]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._send(json.dumps({"access_token": "secret", "expires_in": 3600}).encode())

    def do_GET(self) -> None:
        self.asked.append((self.command, self.path, self.headers["Authorization"]))
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


def test_cloud_storage_is_asked_page_by_page_with_the_token_of_a_service_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    _Answers.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    account = {"type": "service_account", "client_email": "a@b", "project_id": "p"}
    account |= {"token_uri": f"{url}/token", "private_key": key.decode()}
    (tmp_path / "account.json").write_text(json.dumps(account), encoding="utf-8")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", f"{tmp_path}/account.json")
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setattr(unfinished_uploads, "_GOOGLE", url)
    try:
        found = list(list_uploads("gs://bucket/out"))
        assert found == [("gs://bucket/out/a&1", "1+"), ("gs://bucket/out/a&2", "2+")]
        for upload_there in found:
            abort_upload(upload_there)
    finally:
        server.shutdown()
        server.server_close()
    first = "/bucket?uploads&prefix=out%2F"
    assert _Answers.asked == [
        ("GET", first, "Bearer secret"),
        ("GET", f"{first}&key-marker=out%2Fa%261&upload-id-marker=", "Bearer secret"),
        ("DELETE", "/bucket/out/a%261?uploadId=1%2B", "Bearer secret"),
        ("DELETE", "/bucket/out/a%262?uploadId=2%2B", "Bearer secret"),  # it has ended meanwhile
    ]
