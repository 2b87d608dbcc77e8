"""What small units cost on an object store: `python -m bench.stores`, requests and seconds.

    150 one-line files       built, on the store and on this disk: the same bytes, asserted
    10,000 finished units    the same command again: nothing to do
    a request of 1 KB        what the server itself takes for it, one and 16 at a time

The server runs on 127.0.0.1 and logs each request: its log is what is counted. moto comes by pip;
`--server versitygw=PATH` is one that is not written in Python (make versitygw).
A run is a fresh process that has done a small build on disk: imports and vocabulary are warm.
"""

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from bench.report import RESULTS, print_table, write_results
from tokenmill import build
from transforms import filesystem
from transforms.filesystem import list_files, put_file, read_whole, write_whole

_BUCKET = "s3://bucket"
_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "benchmark",
    "AWS_SECRET_ACCESS_KEY": "benchmark-secret",
    "AWS_REGION": "us-east-1",
}
_THREADS = 16
_SAMPLE = 300
_START_SECONDS = 60.0


class Server(NamedTuple):
    """One that runs: its log grows by a line a request."""

    name: str
    log: Path

    def requests(self) -> int:
        """How many it has answered so far."""
        with self.log.open("rb") as log:
            return sum(b"HTTP/1." in line or b" s3_" in line for line in log)


def main() -> int:
    """The command; returns its exit code."""
    options = _parser().parse_args()
    if options.run:
        print(json.dumps(_run(*options.run)))
        return 0
    found = []
    for server in options.server:
        name, _, command = server.partition("=")
        with (
            tempfile.TemporaryDirectory(prefix="tokenmill-stores-") as folder,
            _serving(name, command, Path(folder)) as running,
        ):
            found.append(_measure(running, Path(folder), options.units, options.finished))
            write_results(RESULTS, "stores", {"servers": found})
    rows = [
        [one["server"], what, one[what]["requests"], one[what]["seconds"]]
        for one in found
        for what in ("build", "resume")
    ]
    print_table(["server", "what", "requests", "seconds"], rows)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--server", nargs="+", default=["moto"], help="moto, versitygw=PATH")
    parser.add_argument("--units", type=int, default=150, help="one-line files that are built")
    parser.add_argument("--finished", type=int, default=10_000, help="units that are done already")
    parser.add_argument("--run", nargs=2, metavar=("INPUTS", "OUTPUT"), help=argparse.SUPPRESS)
    return parser


def _measure(server: Server, folder: Path, units: int, finished: int) -> dict[str, Any]:
    """All figures of one server, which is empty."""
    os.environ.update(_ENVIRONMENT)
    lines = {
        f"{number:05}.jsonl": json.dumps({"text": f"Document number {number}."}).encode() + b"\n"
        for number in range(max(units, finished))
    }
    with ThreadPoolExecutor(_THREADS) as threads:
        list(threads.map(lambda name: write_whole(f"{_BUCKET}/all/{name}", lines[name]), lines))
        few = list(lines)[:units]
        list(threads.map(lambda name: write_whole(f"{_BUCKET}/few/{name}", lines[name]), few))
    request = _request_milliseconds()
    built = _counted(server, f"{_BUCKET}/few/*", f"{_BUCKET}/out")
    local = _run_alone(f"{_BUCKET}/few/*", f"{folder}/out")
    if _content(f"{folder}/out") != _content(f"{_BUCKET}/out"):
        raise SystemExit("the build on the store has other bytes than the one on disk")
    _run_alone(f"{_BUCKET}/all/*", f"{folder}/finished")
    with ThreadPoolExecutor(_THREADS) as threads:
        uploads = [
            (file.path, file.path.replace(str(folder), _BUCKET, 1))
            for file in list_files(f"{folder}/finished")
        ]
        list(threads.map(lambda pair: put_file(*pair), uploads))
    resumed = _counted(server, f"{_BUCKET}/all/*", f"{_BUCKET}/finished")
    if (resumed["units_done"], resumed["units_kept"]) != (0, finished):
        raise SystemExit(f"the resume found work to do: {resumed}")
    return {
        "server": server.name,
        "request_milliseconds": request,
        "build": {**built, "requests_a_unit": round(built["requests"] / units, 2)},
        "build_to_disk_seconds": local["seconds"],
        "resume": resumed,
    }


def _request_milliseconds() -> dict[str, float]:
    """What a request takes, by what it is and how many are sent at a time."""
    places = [f"{_BUCKET}/requests/{number}" for number in range(_SAMPLE)]
    kinds: dict[str, Callable[[str], object]] = {
        "put": lambda path: write_whole(path, bytes(1024)),
        "get": read_whole,
    }
    found = {}
    for kind, request in kinds.items():
        for at_once in (1, _THREADS):
            with ThreadPoolExecutor(at_once) as threads:
                begun = time.perf_counter()
                list(threads.map(request, places))
                milliseconds = (time.perf_counter() - begun) * 1000 / len(places)
            found[f"{kind}_{at_once}_at_once"] = round(milliseconds, 2)
    return found


def _counted(server: Server, inputs: str, output: str) -> dict[str, Any]:
    before = server.requests()
    result = _run_alone(inputs, output)
    return {"requests": server.requests() - before, **result}


def _run_alone(inputs: str, output: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.stores", "--run", inputs, output]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _run(inputs: str, output: str) -> dict[str, Any]:
    """A build in this process, after a small one on disk."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.jsonl").write_text('{"text": "a"}\n', encoding="utf-8")
        build(f"{folder}/a.jsonl", f"{folder}/out", workers=2)
    begun = time.perf_counter()
    result = build(inputs, output, workers=2)
    return {
        "seconds": round(time.perf_counter() - begun, 2),
        "units_done": result.units_done,
        "units_kept": result.units_kept,
    }


def _content(folder: str) -> dict[str, bytes]:
    """All files of a build but the records of its runs."""
    files = {
        file.path.removeprefix(f"{folder}/"): read_whole(file.path) for file in list_files(folder)
    }
    return {name: content for name, content in files.items() if not name.startswith("runs/")}


@contextlib.contextmanager
def _serving(name: str, command: str, folder: Path) -> Iterator[Server]:
    """A server with an empty bucket, in that folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / "requests.log"
    log.touch()
    environment = {**os.environ, **_ENVIRONMENT, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    if name == "moto":
        full = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    else:
        (folder / "root").mkdir()
        keys = list(_ENVIRONMENT.values())[:2]
        full = [command, "--port", f"127.0.0.1:{port}", "--access", keys[0], "--secret", keys[1]]
        full += ["--access-log", str(log), "--quiet", "posix", str(folder / "root")]
    with (log if name == "moto" else folder / "server.log").open("ab") as output:
        process = subprocess.Popen(full, stdout=output, stderr=output, env=environment)
    try:
        _wait_for(port)
        os.environ.update(environment)
        filesystem._open_store.cache_clear()  # it knows the endpoint of the server before
        if name == "moto":
            asked = urllib.request.Request(f"http://127.0.0.1:{port}/bucket", method="PUT")
            urllib.request.urlopen(asked).close()
        else:
            (folder / "root" / "bucket").mkdir()
        yield Server(name, log)
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.1)
    raise SystemExit("the server did not start")


if __name__ == "__main__":
    sys.exit(main())
