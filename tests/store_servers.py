"""Servers of stores on 127.0.0.1, where they speak HTTP behind a proxy that spoils requests."""

import base64
import email.utils
import hashlib
import hmac
import json
import os
import re
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cloud_storage import FakeGcsProxy, MotoProxy
from fault_proxy import FaultProxy

# The account that Azurite, Azure's emulator, always has.
_ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

_HADOOP_SECONDS = 120.0
_START_SECONDS = 30.0

# For tests that neither count nor spoil requests.
on_hdfs_too = pytest.mark.parametrize(
    "store_server", ["s3", "gs", "az", "hdfs"], indirect=True, scope="module"
)


@dataclass
class RunningStore:
    """A server: what paths on it begin with, the environment it is reached by, and its proxy.

    Of HDFS, which does not speak HTTP, nothing passes the proxy.
    """

    root: str
    environment: dict[str, str]
    proxy: FaultProxy

    def uploads(self) -> list[str]:
        """The objects below the root whose uploads in parts have not ended; Azure tells none."""
        if not self.root.startswith(("s3:", "gs:")):
            return []
        with urllib.request.urlopen(f"{self.proxy.url}/bucket?uploads") as answer:
            keys = re.findall("<Key>(.*?)</Key>", answer.read().decode())
        prefix = self.root.partition("://bucket/")[2] + "/"
        return sorted(key.removeprefix(prefix) for key in keys if key.startswith(prefix))

    def begin_upload(self, name: str) -> None:
        """An upload of an object below the root, of which one part has arrived; of s3, gs."""
        url = f"{self.proxy.url}/bucket/{self.root.partition('://bucket/')[2]}/{name}"
        begin = urllib.request.Request(f"{url}?uploads", method="POST")
        with urllib.request.urlopen(begin) as answer:
            (upload,) = re.findall("<UploadId>(.*?)</UploadId>", answer.read().decode())
        part = urllib.request.Request(
            f"{url}?partNumber=1&uploadId={upload}",
            method="PUT",
            data=b"part",
            headers={"Content-Type": "application/octet-stream"},  # else moto takes it for a form
        )
        urllib.request.urlopen(part).close()


@contextmanager
def running_server(scheme: str) -> Iterator[RunningStore]:
    """The server for a scheme; skips the test where it is not installed."""
    if scheme == "hdfs":
        home = Path(os.environ.get("TOKENMILL_HDFS", "none"))
        if not (home / "libhdfs.so").exists():
            pytest.skip("no HDFS: `make test-stores` installs it where its tools are")
        with hadoop_server(home) as running:
            yield running
        return
    pytest.importorskip("obstore")
    if scheme == "az":
        command = os.environ.get("TOKENMILL_AZURITE")
        if not command:
            pytest.skip("no Azurite: `make test-stores` installs it where npm is")
        with azurite_server(command) as running:
            yield running
        return
    pytest.importorskip("moto.server")
    with {"s3": moto_server, "gs": cloud_storage_server}[scheme]() as running:
        yield running


@contextmanager
def _moto(proxy_class: type[FaultProxy]) -> Iterator[FaultProxy]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    port = server.get_host_and_port()[1]
    bucket = f"http://127.0.0.1:{port}/bucket"
    urllib.request.urlopen(urllib.request.Request(bucket, method="PUT")).close()
    with proxy_class(port) as proxy:
        yield proxy
    server.stop()


@contextmanager
def moto_server() -> Iterator[RunningStore]:
    """An S3-compatible server with an empty bucket."""
    with _moto(FaultProxy) as proxy:
        environment = {
            "AWS_ACCESS_KEY_ID": "id",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": proxy.url,
        }
        yield RunningStore("s3://bucket", environment, proxy)


@contextmanager
def cloud_storage_server() -> Iterator[RunningStore]:
    """A server of Cloud Storage with an empty bucket: fake-gcs-server where it is installed."""
    command = os.environ.get("TOKENMILL_FAKE_GCS", "none")
    if Path(command).is_file():
        with _fake_gcs_server(command) as proxy:
            yield RunningStore("gs://bucket", {"STORAGE_EMULATOR_HOST": proxy.url}, proxy)
        return
    with _moto(MotoProxy) as proxy:
        yield RunningStore("gs://bucket", {"STORAGE_EMULATOR_HOST": proxy.url}, proxy)


@contextmanager
def _fake_gcs_server(command: str) -> Iterator[FaultProxy]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    host = f"127.0.0.1:{port}"
    options = ["-backend", "memory", "-scheme", "http", "-host", "127.0.0.1", "-port", str(port)]
    process = subprocess.Popen(
        [command, *options, "-public-host", host, "-log-level", "error"],
        stderr=subprocess.DEVNULL,
    )
    try:
        make = urllib.request.Request(
            f"http://{host}/storage/v1/b",
            data=b'{"name": "bucket"}',
            headers={"Content-Type": "application/json"},
        )
        until = time.monotonic() + _START_SECONDS
        while True:
            try:
                urllib.request.urlopen(make).close()
                break
            except urllib.error.URLError:  # it does not listen yet
                if process.poll() is not None or time.monotonic() > until:
                    raise
                time.sleep(0.05)
        with FakeGcsProxy(port) as proxy:
            yield proxy
    finally:
        process.kill()  # it holds nothing but memory
        process.wait()


@contextmanager
def azurite_server(command: str) -> Iterator[RunningStore]:
    """Azure's emulator with an empty container. `command`: its JavaScript file of the blob part."""
    options = ["--blobHost", "127.0.0.1", "--blobPort", "0", "--inMemoryPersistence"]
    # Without --silent a line a request fills the pipe, and the server stops.
    options += ["--disableTelemetry", "--skipApiVersionCheck", "--silent"]
    process = subprocess.Popen(["node", command, *options], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = next(line for line in process.stdout if "successfully listens on" in line)
        port = int(line.strip().rsplit(":", 1)[1])
        _make_container(port, "container")
        with FaultProxy(port) as proxy:
            connection = f"AccountName={_ACCOUNT};AccountKey={_KEY};"
            connection += f"BlobEndpoint={proxy.url}/{_ACCOUNT};"
            environment = {"AZURE_STORAGE_CONNECTION_STRING": connection}
            yield RunningStore("az://container", environment, proxy)
    finally:
        process.kill()  # it holds nothing but memory
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def hadoop_server(home: Path) -> Iterator[RunningStore]:
    """HDFS, empty: a name node and a data node. `home`: what `make hdfs` has made."""
    java = (home / "java-home").read_text(encoding="utf-8").strip()
    with tempfile.TemporaryDirectory() as folder:
        details = Path(folder, "details.json")
        command = [f"{java}/bin/java", f"-Dtest.build.data={folder}/data", "-Xmx512m"]
        command += ["-cp", f"{home}/jars/*", "org.apache.hadoop.test.MiniDFSClusterManager"]
        command += ["-format", "-datanodes", "1", "-writeDetails", str(details)]
        client = {"HADOOP_USER_NAME": "tests", "JAVA_HOME": java}
        with Path(folder, "log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=folder, env={**os.environ, **client}, stdout=log, stderr=log
            )
        try:
            port = _port_in(details, process, Path(folder, "log"))
            environment = {
                **client,
                "ARROW_LIBHDFS_DIR": str(home),
                # libhdfs does not know wild cards.
                "CLASSPATH": ":".join(map(str, sorted(home.glob("jars/*.jar")))),
                "LIBHDFS_OPTS": "-Xmx256m",
            }
            unused = FaultProxy(port)
            try:
                yield RunningStore(f"hdfs://127.0.0.1:{port}", environment, unused)
            finally:
                unused.close()
        finally:
            process.kill()
            process.wait()


def _port_in(details: Path, process: subprocess.Popen[bytes], log: Path) -> int:
    """The name node's port, as soon as the server has written it."""
    until = time.monotonic() + _HADOOP_SECONDS
    while time.monotonic() < until and process.poll() is None:
        # Empty at first.
        if details.exists() and (content := details.read_text(encoding="utf-8")):
            return int(json.loads(content)["namenode_port"])
        time.sleep(0.1)
    raise AssertionError(f"HDFS did not start:\n{log.read_text(encoding='utf-8')[-4000:]}")


def _make_container(port: int, name: str) -> None:
    headers = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2021-12-02"}
    signed = "PUT" + "\n" * 12 + "\n".join(f"{key}:{value}" for key, value in headers.items())
    signed += f"\n/{_ACCOUNT}/{_ACCOUNT}/{name}\nrestype:container"
    digest = hmac.new(base64.b64decode(_KEY), signed.encode(), hashlib.sha256).digest()
    headers["Authorization"] = f"SharedKey {_ACCOUNT}:{base64.b64encode(digest).decode()}"
    url = f"http://127.0.0.1:{port}/{_ACCOUNT}/{name}?restype=container"
    urllib.request.urlopen(urllib.request.Request(url, method="PUT", headers=headers)).close()
