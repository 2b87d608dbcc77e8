"""A Beam job that runs elsewhere: waited for in a thread that nothing waits for, and cancelled.

RemoteJob(result)   .wait(seconds) -> has it ended?    .outcome() -> its state, or its error
    │
    └ .cancel()     1. the runner's own way, within a bound
                    2. Flink's REST interface: Beam's cancel of an uber jar is answered 404
                    3. neither: a sentence that says that the job goes on, and how to stop it
"""

import json
import logging
import threading
import urllib.error
import urllib.request
from typing import Any

_CANCEL_SECONDS = 4.0
_REQUEST_SECONDS = 3.0
# What Flink says of a job that is still there.
_ALIVE = {"INITIALIZING", "CREATED", "RUNNING", "RESTARTING", "FAILING", "RECONCILING", "SUSPENDED"}


class RemoteJob:
    """A submitted job.

    Args:
        result: what `pipeline.run()` gave. name: the job's name, as its runner shows it.
        flink_master: host and port of Flink's REST interface, where there is one.
    """

    def __init__(self, result: Any, name: str, flink_master: str | None) -> None:
        self._result = result
        self._name = name
        self._flink_url = _url(flink_master)
        self._ended = threading.Event()
        self._state: str | None = None
        self._error: Exception | None = None
        # A daemon: when it hangs in a runner's client, the command ends all the same.
        threading.Thread(target=self._wait_for_result, name="remote-job", daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Waits so long at most; True when the job has ended."""
        return self._ended.wait(seconds)

    def outcome(self) -> str:
        """The state of a job that has ended: DONE, FAILED, CANCELLED. Raises what it ended with."""
        if self._error is not None:
            raise self._error
        return str(self._state)

    def cancel(self) -> str:
        """Stops the job, within a few seconds; returns a sentence that says what became of it."""
        if self._ended.is_set():
            return f"the job {self._name} has ended"
        errors: list[str] = []
        asked = threading.Thread(target=self._ask_runner, args=(errors,), daemon=True)
        asked.start()
        asked.join(_CANCEL_SECONDS)
        if not asked.is_alive() and not errors:
            return f"the job {self._name} was cancelled"
        if self._flink_url is not None and (cancelled := self._ask_flink()):
            return f"the Flink job {cancelled} was cancelled"
        why = errors[0] if errors else "its runner did not answer"
        how = (
            f"curl -X PATCH '{self._flink_url}/v1/jobs/<id>?mode=cancel'"
            if self._flink_url
            else "stop it by its runner's own tools"
        )
        return f"the job {self._name} GOES ON ({why}): {how}"

    def _wait_for_result(self) -> None:
        try:
            self._state = self._result.wait_until_finish()
        except Exception as error:  # noqa: BLE001 (kept, and raised by `outcome`)
            self._error = error
        self._ended.set()

    def _ask_runner(self, errors: list[str]) -> None:
        try:
            self._result.cancel()
        except Exception as error:  # noqa: BLE001 (kept, and told by `cancel`)
            errors.append(" ".join(str(error).split())[:200])

    def _ask_flink(self) -> str | None:
        """The id of the job that was cancelled by Flink's REST interface, or None."""
        try:
            with urllib.request.urlopen(
                f"{self._flink_url}/v1/jobs/overview", timeout=_REQUEST_SECONDS
            ) as answer:
                jobs = json.load(answer)["jobs"]
            for job in jobs:
                if job["name"] == self._name and job["state"] in _ALIVE:
                    request = urllib.request.Request(
                        f"{self._flink_url}/v1/jobs/{job['jid']}?mode=cancel", method="PATCH"
                    )
                    with urllib.request.urlopen(request, timeout=_REQUEST_SECONDS):
                        return str(job["jid"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            logging.getLogger(__name__).info("Flink did not cancel: %s", error)
        return None


def _url(flink_master: str | None) -> str | None:
    if not flink_master or flink_master in ("[auto]", "[local]"):
        return None
    return flink_master if "://" in flink_master else f"http://{flink_master}"
