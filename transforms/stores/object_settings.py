"""How object stores are reached: the settings that their own tools read from the environment.

    s3://bucket/key       AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION,
                          AWS_ENDPOINT_URL, AWS_PROFILE, ~/.aws, roles of machines and containers
    gs://bucket/key       GOOGLE_APPLICATION_CREDENTIALS, STORAGE_EMULATOR_HOST, roles
    az://container/key    AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY, ..., or
                          AZURE_STORAGE_CONNECTION_STRING

What is read without credentials: AWS_SKIP_SIGNATURE=true, GOOGLE_SKIP_SIGNATURE=true,
AZURE_SKIP_SIGNATURE=true.
"""

import json
import os
from pathlib import Path
from typing import Any

from transforms.stores.packages import needed_package

HINTS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SKIP_SIGNATURE=true for "
    "a public bucket",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS, or GOOGLE_SKIP_SIGNATURE=true for a public bucket",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or "
    "AZURE_SKIP_SIGNATURE=true for a public container",
}

Options = dict[str, Any]


def of_scheme(scheme: str) -> tuple[Options, Options]:
    """Options of an obstore store, and of its HTTP client; obstore reads the others itself."""
    options = {"s3": _s3, "gs": _gs, "az": _az}[scheme]()
    endpoint = str(options.get("endpoint") or options.get("base_url") or "")
    return options, {"allow_http": True} if endpoint.startswith("http://") else {}


def s3_endpoint() -> str | None:
    """Where an S3-compatible store of one's own is; None: Amazon's."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None


def google_emulator() -> str | None:
    """Where a server in place of Cloud Storage is; it asks for no credentials."""
    emulator = os.environ.get("STORAGE_EMULATOR_HOST")
    return f"http://{emulator}" if emulator and "://" not in emulator else emulator or None


def _s3() -> Options:
    options: Options = {}
    if endpoint := s3_endpoint():
        options["endpoint"] = endpoint
    if _has_aws_files():
        # A profile, single sign-on, a process: boto3 knows them all, obstore none of them.
        boto3 = needed_package("boto3", "credentials from ~/.aws", "aws")
        auth = needed_package("obstore.auth.boto3", "credentials from ~/.aws", "aws")
        session = boto3.Session()
        if session.get_credentials() is not None:
            options["credential_provider"] = auth.Boto3CredentialProvider(session)
        if session.region_name:
            options["region"] = session.region_name
    return options


def _has_aws_files() -> bool:
    if os.environ.get("AWS_ACCESS_KEY_ID") or os.environ.get("AWS_SKIP_SIGNATURE"):
        return False
    files = (
        Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")),
        Path(os.environ.get("AWS_CONFIG_FILE", "~/.aws/config")),
    )
    return any(file.expanduser().exists() for file in files)


def _gs() -> Options:
    url = google_emulator()
    if url is None:
        return {}
    # skip_signature would hold for reading alone.
    account = {"gcs_base_url": url, "disable_oauth": True, "client_email": "", "private_key": ""}
    return {
        "base_url": url,
        "service_account_key": json.dumps({**account, "private_key_id": ""}),
    }


def _az() -> Options:
    parts = dict(
        part.partition("=")[::2]
        for part in os.environ.get("AZURE_STORAGE_CONNECTION_STRING", "").split(";")
        if "=" in part
    )
    names = {"AccountName": "account_name", "AccountKey": "account_key"}
    options: Options = {names[key]: value for key, value in parts.items() if key in names}
    if endpoint := parts.get("BlobEndpoint") or os.environ.get("AZURE_STORAGE_ENDPOINT"):
        options["endpoint"] = endpoint
    if token := parts.get("SharedAccessSignature"):
        options["sas_key"] = token
    return options
