"""A proxy before a store's server that counts requests and answers some of them badly.

    client ──► FaultProxy (127.0.0.1) ──► the server
                 └ every request is given to `faults`, which says what becomes of it

Faults are a function of the request's number and the seed, not of the clock.
"""

import http.client
import random
import socket
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Fault(Enum):
    """What becomes of a request."""

    NONE = "it is answered"
    ERROR_500 = "the server does not see it; answered with status 500"
    ERROR_503 = "the server does not see it; answered with status 503"
    REFUSED = "the server does not see it; answered with status 403"
    ERROR_400 = "the server does not see it; answered with status 400"
    ERROR_404 = "the server does not see it; answered with status 404"
    ERROR_405 = "the server does not see it; answered with status 405"
    ERROR_501 = "the server does not see it; answered with status 501"
    STALL = "the server does not see it; never answered"
    LOST_ANSWER = "the server does it; the connection ends without an answer"
    HALF_ANSWER = "the server does it; the connection ends within the answer's body"


# How a store answers requests that it does not grant, or does not have.
LASTING = {
    Fault.REFUSED: 403,
    Fault.ERROR_400: 400,
    Fault.ERROR_404: 404,
    Fault.ERROR_405: 405,
    Fault.ERROR_501: 501,
}
# Faults that another attempt mends, if it is not spoiled as well.
TRANSIENT = [fault for fault in Fault if fault is not Fault.NONE and fault not in LASTING]

_STATUS = {Fault.ERROR_500: 500, Fault.ERROR_503: 503, **LASTING}


@dataclass(frozen=True)
class Request:
    """A request that passed: its number from 0 on, and what was asked for."""

    number: int
    method: str
    target: str


Faults = Callable[[Request], Fault]
Headers = list[tuple[str, str]]
Answer = tuple[int, Headers, bytes]  # the status, and what comes with it
Send = Callable[[str, str, Headers, bytes], Answer]


def no_faults(request: Request) -> Fault:
    """Everything is answered."""
    return Fault.NONE


def share_of(share: float, *kinds: Fault, seed: int = 1) -> Faults:
    """A share of the requests has one of these faults."""

    def fault(request: Request) -> Fault:
        chance = random.Random(f"{seed} {request.number}")
        return chance.choice(kinds) if chance.random() < share else Fault.NONE

    return fault


class FaultProxy:
    """A context manager; `url` is what clients are given in place of the server's."""

    def __init__(self, server_port: int) -> None:
        self.faults: Faults = no_faults
        self.requests: list[Request] = []
        self.server_port = server_port
        self.ended = threading.Event()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def methods(self) -> Counter[str]:
        """How many requests of each method there were."""
        return Counter(request.method for request in self.requests)

    def exchange(
        self, send: Send, method: str, target: str, headers: Headers, body: bytes
    ) -> Answer:
        """What the client is answered; `send` asks the server, which may speak otherwise."""
        return send(method, target, headers, body)

    def forget(self) -> None:
        """Counts requests from 0 again."""
        with self._lock:
            self.requests = []

    def note(self, method: str, target: str) -> Fault:
        with self._lock:
            request = Request(len(self.requests), method, target)
            self.requests.append(request)
        return self.faults(request)

    def __enter__(self) -> "FaultProxy":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._server.shutdown()
        self.close()
        self._thread.join()

    def close(self) -> None:
        """Gives the port back: for a proxy that was never entered."""
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    proxy: FaultProxy
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave are what is tested here."""


_OF_THE_CONNECTION = {"connection", "content-length", "expect", "keep-alive", "transfer-encoding"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    disable_nagle_algorithm = True
    wbufsize = -1
    _upstream: http.client.HTTPConnection | None = None

    def _handle(self) -> None:
        proxy = self.server.proxy
        fault = proxy.note(self.command, self.path)
        body = self._read_body()
        if fault in _STATUS:
            self._answer(_STATUS[fault], [], b"")
        elif fault is Fault.STALL:
            proxy.ended.wait()
            self.close_connection = True
        else:
            self._forward(body, fault)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_PATCH = _handle

    def handle_expect_100(self) -> bool:
        going_on = super().handle_expect_100()
        self.wfile.flush()
        return going_on

    def _read_body(self) -> bytes:
        if "chunked" not in (self.headers.get("transfer-encoding") or ""):
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def _forward(self, body: bytes, fault: Fault) -> None:
        status, headers, content = self.server.proxy.exchange(
            self._ask, self.command, self.path, self.headers.items(), body
        )
        if fault is Fault.LOST_ANSWER:
            self.close_connection = True
            return
        if fault is Fault.HALF_ANSWER and self.command == "GET":
            self._answer(status, headers, content, len(content) // 2)
            self.close_connection = True
            return
        self._answer(status, headers, content)

    def _ask(self, method: str, target: str, headers: Headers, body: bytes) -> Answer:
        """What the server answers."""
        if self._upstream is None:
            self._upstream = http.client.HTTPConnection("127.0.0.1", self.server.proxy.server_port)
            self._upstream.connect()
            self._upstream.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._upstream.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        names = {name.lower() for name, _ in headers}
        if "host" not in names:
            self._upstream.putheader("Host", f"127.0.0.1:{self.server.proxy.server_port}")
        for name, value in headers:
            if name.lower() not in _OF_THE_CONNECTION:
                self._upstream.putheader(name, value)
        if body or method in ("POST", "PUT"):
            self._upstream.putheader("Content-Length", str(len(body)))
        self._upstream.endheaders(body)
        response = self._upstream.getresponse()
        return response.status, response.getheaders(), response.read()

    def _answer(
        self, status: int, headers: list[tuple[str, str]], content: bytes, sent: int | None = None
    ) -> None:
        self.send_response_only(status)
        length = str(len(content))
        for name, value in headers:
            if name.lower() == "content-length":
                length = value if self.command == "HEAD" else length
            elif name.lower() not in _OF_THE_CONNECTION:
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(content[:sent])
        self.wfile.flush()

    def finish(self) -> None:
        if self._upstream is not None:
            self._upstream.close()
        super().finish()
