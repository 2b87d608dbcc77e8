"""Uploads in parts that were begun and never ended: no listing of objects shows them.

    s3://   ListMultipartUploads, AbortMultipartUpload   by boto3
    gs://   GET ?uploads&prefix=, DELETE ?uploadId=      the XML interface; google-auth signs in

obstore, which writes them, can do neither. Azure has no such thing: blocks that were never
committed to a blob are gone after a week.
"""

import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from transforms.stores.object_settings import HINTS, google_emulator, s3_endpoint
from transforms.stores.packages import needed_package
from transforms.stores.store import UnfinishedUpload
from transforms.stores.web_client import request

_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
_GOOGLE = "https://storage.googleapis.com"


def list_uploads(folder: str) -> Iterator[UnfinishedUpload]:
    """Those of objects below a folder, a thousand in a request; none where a store has no such.

    Raises:
        OSError: the store refuses, has no such request, or can not be asked.
        ConfigurationError: a package is missing.
    """
    scheme, bucket, prefix = _parts_of(f"{folder}/")
    # A build may be copied to another store together with what a dead run had noted.
    list_keys = {"s3": _list_s3, "gs": _list_gs}.get(scheme)
    for key, name in list_keys(bucket, prefix) if list_keys else ():
        yield UnfinishedUpload(f"{scheme}://{bucket}/{key}", name)


def abort_upload(upload: UnfinishedUpload) -> None:
    """Ends an upload: its parts go. One that has ended meanwhile is none of its business.

    Raises:
        OSError, ConfigurationError: as of list_uploads.
    """
    scheme, bucket, key = _parts_of(upload.path)
    {"s3": _abort_s3, "gs": _abort_gs}[scheme](bucket, key, upload.name)


def _parts_of(path: str) -> tuple[str, str, str]:
    scheme, _, rest = path.partition("://")
    bucket, _, key = rest.partition("/")
    return scheme, bucket, key


# -- s3:// -----------------------------------------------------------------------------------------


def _list_s3(bucket: str, prefix: str) -> Iterator[tuple[str, str]]:
    place = f"s3://{bucket}/{prefix}"

    def pages() -> list[Any]:
        paginator = _s3_client().get_paginator("list_multipart_uploads")
        return list(paginator.paginate(Bucket=bucket, Prefix=prefix))

    for page in _asked(place, pages):
        for upload in page.get("Uploads", ()):
            yield upload["Key"], upload["UploadId"]


def _abort_s3(bucket: str, key: str, name: str) -> None:
    def abort() -> None:
        _s3_client().abort_multipart_upload(Bucket=bucket, Key=key, UploadId=name)

    with suppress(FileNotFoundError):
        _asked(f"s3://{bucket}/{key}", abort)


def _s3_client() -> Any:
    boto3 = needed_package("boto3", "unfinished uploads on s3://", "aws")
    config = needed_package("botocore.config", "unfinished uploads on s3://", "aws")
    endpoint = s3_endpoint()
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        # boto3 reads AWS_DEFAULT_REGION alone.
        region_name=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"),
        config=config.Config(
            retries={"mode": "standard", "max_attempts": 8},
            connect_timeout=5,
            read_timeout=30,
            # As obstore addresses stores of one's own.
            s3={"addressing_style": "path"} if endpoint else None,
        ),
    )


def _asked(place: str, ask: Callable[[], Any]) -> Any:
    """What a call of boto3 gives, its errors as OSErrors that begin with the place."""
    errors = needed_package("botocore.exceptions", "unfinished uploads on s3://", "aws")
    try:
        return ask()
    except errors.ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in ("NoSuchUpload", "404"):
            raise FileNotFoundError(f"{place}: {error}") from error
        raise OSError(f"{place}: {error}") from error
    except errors.NoCredentialsError as error:
        raise PermissionError(f"{place}: {error}; {HINTS['s3']}") from error
    except errors.BotoCoreError as error:
        raise OSError(f"{place}: {error}") from error


# -- gs:// -----------------------------------------------------------------------------------------


def _list_gs(bucket: str, prefix: str) -> Iterator[tuple[str, str]]:
    place = f"gs://{bucket}/{prefix}"
    after = ""
    while True:
        query = f"uploads&prefix={quote(prefix, safe='')}{after}"
        url = f"{google_emulator() or _GOOGLE}/{bucket}?{query}"
        try:
            page = ElementTree.fromstring(request(url, place, secret_headers=_token()).body)
        except ElementTree.ParseError as error:
            raise OSError(f"{place}: found no list of uploads: {error}") from error
        for upload in page.iterfind("{*}Upload"):
            yield upload.findtext("{*}Key", ""), upload.findtext("{*}UploadId", "")
        if page.findtext("{*}IsTruncated") != "true":
            return
        key = quote(page.findtext("{*}NextKeyMarker", ""), safe="")
        name = quote(page.findtext("{*}NextUploadIdMarker", ""), safe="")
        before, after = after, f"&key-marker={key}&upload-id-marker={name}"
        if not key or after == before:
            raise OSError(f"{place}: the list of uploads has no end")


def _abort_gs(bucket: str, key: str, name: str) -> None:
    root = google_emulator() or _GOOGLE
    url = f"{root}/{bucket}/{quote(key)}?uploadId={quote(name, safe='')}"
    with suppress(FileNotFoundError):
        request(url, f"gs://{bucket}/{key}", "DELETE", secret_headers=_token())


def _token() -> dict[str, str]:
    """A header that signs a request; one token serves for all of them until it expires."""
    if google_emulator():
        return {}
    auth = needed_package("google.auth", "unfinished uploads on gs://", "gcs")
    transport = needed_package("google.auth.transport.requests", "unfinished uploads", "gcs")
    errors = needed_package("google.auth.exceptions", "unfinished uploads on gs://", "gcs")
    try:
        credentials = _credentials(auth)
        if not credentials.valid:
            credentials.refresh(transport.Request())
    except errors.DefaultCredentialsError as error:
        raise PermissionError(f"gs://: {error}; {HINTS['gs']}") from error
    except errors.GoogleAuthError as error:
        raise OSError(f"gs://: {error}") from error
    return {"Authorization": f"Bearer {credentials.token}"}


@lru_cache
def _credentials(auth: Any) -> Any:
    credentials, _ = auth.default(scopes=[_SCOPE])
    return credentials
