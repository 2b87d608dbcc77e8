"""HTTP requests without a body, with retries, by the standard library alone: proxies, ranges."""

import http.client
import random
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from urllib.parse import quote

RETRY_SECONDS = 180.0
STALL_SECONDS = 30.0
_FIRST_PAUSE_SECONDS = 0.1
_MAX_PAUSE_SECONDS = 15.0
_TRANSIENT = {408, 429, 500, 502, 503, 504}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. status: 200, 204 or 206. body: all of it."""

    status: int
    headers: Message
    body: bytes


def request(
    url: str,
    place: str,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    secret_headers: Mapping[str, str] | None = None,
) -> Answer:
    """Asks until an answer comes whole or RETRY_SECONDS have passed.

    Args:
        url: What to ask for.
        place: What messages call it.
        method: GET, HEAD or DELETE.
        headers: Also sent where a redirect leads.
        secret_headers: Not sent on: a redirect may lead to somebody else.

    Raises:
        FileNotFoundError: Status 404 or 410.
        PermissionError: Status 401 or 403.
        OSError: Every other failure, after the retries where these can help.
    """
    give_up = time.monotonic() + RETRY_SECONDS
    pause = _FIRST_PAUSE_SECONDS
    while True:
        answer = _try(url, place, method, headers or {}, secret_headers or {})
        if isinstance(answer, Answer):
            return answer
        reason = getattr(answer, "reason", None)
        if isinstance(reason, socket.gaierror) and reason.errno == socket.EAI_NONAME:
            raise OSError(f"{place}: {reason.strerror}") from answer
        # Jitter spreads the workers that one outage has stopped; it decides no byte.
        wait = pause * random.uniform(0.5, 1.0)
        if time.monotonic() + wait > give_up:
            raise OSError(f"{place}: {answer}; tried for {RETRY_SECONDS:g} s") from answer
        time.sleep(wait)
        pause = min(2 * pause, _MAX_PAUSE_SECONDS)


def _try(
    url: str, place: str, method: str, headers: Mapping[str, str], secrets: Mapping[str, str]
) -> Answer | Exception:
    """An answer, or an error that another attempt may mend."""
    # What is percent-encoded already stays; a blank or a letter beyond ASCII is encoded.
    asked = urllib.request.Request(quote(url, safe="%/:=&?~#+!$,;'@()*[]"), method=method)
    for name, value in headers.items():
        asked.add_header(name, value)
    for name, value in secrets.items():
        asked.add_unredirected_header(name, value)
    try:
        with urllib.request.urlopen(asked, timeout=STALL_SECONDS) as response:
            return Answer(response.status, response.headers, response.read())
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (404, 410):
            raise FileNotFoundError(f"{place}: no such file (status {error.code})") from error
        if error.code in (401, 403):
            raise PermissionError(f"{place}: access is refused (status {error.code})") from error
        if error.code not in _TRANSIENT:
            raise OSError(f"{place}: status {error.code} {error.reason}") from error
        return error
    except (OSError, http.client.HTTPException) as error:
        return error
