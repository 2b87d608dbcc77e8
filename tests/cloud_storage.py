"""Cloud Storage's XML interface, as far as obstore speaks it, before servers that lack it.

obstore ──XML──► FakeGcsProxy  ──JSON──►  fake-gcs-server   generations are the server's own
                 MotoProxy     ──S3───►   moto              without Go: ETags stand for them
"""

import hashlib
import itertools
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode
from xml.sax.saxutils import escape

from fault_proxy import Answer, FaultProxy, Headers, Send

_JSON = [("Content-Type", "application/json")]
_BYTES = [("Content-Type", "application/octet-stream")]


class MotoProxy(FaultProxy):
    """Makes an S3-compatible server speak the XML interface.

    The two differ in the names of headers, and in generations, which are numbers, for ETags.
    """

    def __init__(self, server_port: int) -> None:
        super().__init__(server_port)
        self._etags: dict[str, str] = {}

    def exchange(
        self, send: Send, method: str, target: str, headers: Headers, body: bytes
    ) -> Answer:
        status, answered, content = send(method, target, self._there(headers), body)
        etag = next((value for name, value in answered if name.lower() == "etag"), '"0"')
        generation = str(int(hashlib.sha256(etag.encode()).hexdigest()[:12], 16))
        self._etags[generation] = etag
        return status, [*answered, ("x-goog-generation", generation)], content

    def _there(self, headers: Headers) -> Headers:
        given = {name.lower(): value for name, value in headers}
        # Of a signature the server looks at the name alone.
        scope = "id/20260101/us-east-1/s3/aws4_request"
        given["authorization"] = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=, Signature="
        if source := given.pop("x-goog-copy-source", None):
            given["x-amz-copy-source"] = source
        match given.pop("x-goog-if-generation-match", None):
            case None:
                pass
            case "0":
                given["if-none-match"] = "*"
            case generation:
                given["if-match"] = self._etags.get(generation, '"none"')
        return list(given.items())


@dataclass
class _Upload:
    """One in parts: its key, and the parts that have arrived, by number."""

    key: str
    parts: dict[int, bytes] = field(default_factory=dict)


class FakeGcsProxy(FaultProxy):
    """Turns requests of the XML interface into those of the JSON one, and the answers back.

    Objects, generations, conditions, listings and their pages are the server's. It has no uploads
    in parts: these are kept here until they are complete, and are then one upload of the server's.
    """

    def __init__(self, server_port: int) -> None:
        super().__init__(server_port)
        self._uploads: dict[str, _Upload] = {}
        self._names = itertools.count(1)
        self._uploads_lock = threading.Lock()

    def exchange(
        self, send: Send, method: str, target: str, headers: Headers, body: bytes
    ) -> Answer:
        path, _, query_text = target.partition("?")
        query = dict(parse_qsl(query_text, keep_blank_values=True))
        bucket, _, key = unquote(path[1:]).partition("/")
        given = {name.lower(): value for name, value in headers}
        if not key:
            return self._uploads_of(query) if "uploads" in query else _list(send, bucket, query)
        if "uploads" in query or "uploadId" in query:
            return self._upload(send, method, bucket, key, query, body)
        if method == "PUT" and "x-goog-copy-source" in given:
            return _copy(send, unquote(given["x-goog-copy-source"]), bucket, key, given)
        if method == "PUT":
            return _insert(send, bucket, key, body, given)
        if method == "DELETE":
            status, _, content = send("DELETE", _object(bucket, key), [], b"")
            return (204, [], b"") if status == 200 else (status, [], content)
        # It routes by the host's name, and does not know If-Match.
        asked = [one for one in headers if one[0].lower() != "host"]
        status, answered, content = send(method, target, asked, body)
        found = next((value for name, value in answered if name.lower() == "etag"), None)
        if status < 300 and given.get("if-match", found) != found:
            return 412, [], b"<Error><Code>PreconditionFailed</Code></Error>"
        return status, answered, content

    def _upload(
        self, send: Send, method: str, bucket: str, key: str, query: Mapping[str, str], body: bytes
    ) -> Answer:
        with self._uploads_lock:
            if method == "POST" and "uploads" in query:
                name = f"upload-{next(self._names)}"
                self._uploads[name] = _Upload(key)
                return _xml("InitiateMultipartUploadResult", f"<UploadId>{name}</UploadId>")
            upload = self._uploads.get(query["uploadId"])
            if upload is None or upload.key != key:
                return 404, [], b"<Error><Code>NoSuchUpload</Code></Error>"
            if method == "PUT":
                upload.parts[int(query["partNumber"])] = body
                return 200, [("ETag", f'"{hashlib.md5(body).hexdigest()}"')], b""
            if method == "DELETE":
                del self._uploads[query["uploadId"]]
                return 204, [], b""
            named = map(int, re.findall(rb"<PartNumber>(\d+)</", body))
            status, answered, content = _insert(
                send, bucket, key, b"".join(upload.parts[number] for number in named), {}
            )
            if status != 200:
                return status, answered, content
            del self._uploads[query["uploadId"]]
            etag = dict(answered)["ETag"]
            return _xml("CompleteMultipartUploadResult", f"<ETag>{escape(etag)}</ETag>", answered)

    def _uploads_of(self, query: Mapping[str, str]) -> Answer:
        with self._uploads_lock:
            found = [
                f"<Upload><Key>{escape(upload.key)}</Key><UploadId>{name}</UploadId></Upload>"
                for name, upload in self._uploads.items()
                if upload.key.startswith(query.get("prefix", ""))
            ]
        return _xml("ListMultipartUploadsResult", "".join(found))


def _object(bucket: str, key: str) -> str:
    return f"/storage/v1/b/{bucket}/o/{quote(key, safe='')}"


def _xml(kind: str, content: str, headers: Headers | None = None) -> Answer:
    return 200, headers or [], f'<?xml version="1.0"?><{kind}>{content}</{kind}>'.encode()


def _condition(given: Mapping[str, str]) -> dict[str, str]:
    generation = given.get("x-goog-if-generation-match")
    return {} if generation is None else {"ifGenerationMatch": generation}


def _headers_of(found: Mapping[str, Any]) -> Headers:
    return [("ETag", f'"{found["etag"]}"'), ("x-goog-generation", str(found["generation"]))]


def _insert(send: Send, bucket: str, key: str, body: bytes, given: Mapping[str, str]) -> Answer:
    query = urlencode({"uploadType": "media", "name": key, **_condition(given)})
    target = f"/upload/storage/v1/b/{bucket}/o?{query}"
    status, _, content = send("POST", target, _BYTES, body)
    return (200, _headers_of(json.loads(content)), b"") if status == 200 else (status, [], content)


def _copy(send: Send, source: str, bucket: str, key: str, given: Mapping[str, str]) -> Answer:
    source_bucket, _, source_key = source.lstrip("/").partition("/")
    target = f"{_object(source_bucket, source_key)}/rewriteTo{_object(bucket, key)[11:]}"
    target += f"?{urlencode(_condition(given))}"
    status, _, content = send("POST", target, _JSON, b"{}")
    if status != 200:
        return status, [], content
    return _xml("CopyObjectResult", "", _headers_of(json.loads(content)["resource"]))


def _list(send: Send, bucket: str, query: Mapping[str, str]) -> Answer:
    names = {"prefix": "prefix", "delimiter": "delimiter", "max-keys": "maxResults"}
    names |= {"continuation-token": "pageToken", "start-after": "startOffset"}
    asked = {names[name]: value for name, value in query.items() if name in names}
    status, _, content = send("GET", f"/storage/v1/b/{bucket}/o?{urlencode(asked)}", [], b"")
    if status != 200:
        return status, [], content
    page = json.loads(content)
    found = [
        f"<Contents><Key>{escape(one['name'])}</Key><Size>{one['size']}</Size>"
        f'<LastModified>{one["updated"]}</LastModified><ETag>"{one["etag"]}"</ETag></Contents>'
        for one in page.get("items") or ()
        if one["name"] != query.get("start-after")
    ]
    found += [
        f"<CommonPrefixes><Prefix>{escape(prefix)}</Prefix></CommonPrefixes>"
        for prefix in page.get("prefixes") or ()
    ]
    if token := page.get("nextPageToken"):
        found.append(f"<NextContinuationToken>{escape(token)}</NextContinuationToken>")
    return _xml("ListBucketResult", "".join(found))
