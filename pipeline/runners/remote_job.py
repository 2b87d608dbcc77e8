"""A Beam job that runs elsewhere: waited for in a thread that nothing waits for, and cancelled.

RemoteJob(result, job)   .wait(seconds) -> has it ended?    .outcome() -> its state, or its error
    │
    └ .cancel()     1. the runner's own way, within a bound
                    2. the engine's own: Beam's cancel of an uber jar on Flink is answered 404
                    3. neither: a sentence that says that the job goes on, and how to stop it
"""

import threading
from typing import Any

from pipeline.runners.engines import EngineJob

_CANCEL_SECONDS = 3.0


class RemoteJob:
    """A submitted job.

    Args:
        result: what `pipeline.run()` gave. job: the same job, as its engine knows it.
    """

    def __init__(self, result: Any, job: EngineJob) -> None:
        self._result = result
        self._job = job
        self._ended = threading.Event()
        self._state: str | None = None
        self._error: Exception | None = None
        # A daemon: when it hangs in a runner's client, the command ends all the same.
        threading.Thread(target=self._wait_for_result, name="remote-job", daemon=True).start()

    def __str__(self) -> str:
        return str(self._job)

    def wait(self, seconds: float) -> bool:
        """Waits so long at most; True when the job has ended."""
        return self._ended.wait(seconds)

    def outcome(self) -> str:
        """The state of a job that has ended: DONE, FAILED, CANCELLED. Raises what it ended with."""
        if self._error is not None:
            raise self._error
        return str(self._state)

    def engine_state(self) -> str:
        """What its engine says of it now; "" where it says nothing."""
        return self._job.state()

    def cancel(self) -> str:
        """Stops the job, within a few seconds; returns a sentence that says what became of it."""
        job = self._job
        if self._ended.is_set():
            return f"{job} has ended"
        if job.ends_with_command:
            return f"{job} ends with this command"
        errors: list[str] = []
        asked = threading.Thread(target=self._ask_runner, args=(errors,), daemon=True)
        asked.start()
        asked.join(_CANCEL_SECONDS)
        if not asked.is_alive() and not errors:
            return f"{job} was cancelled"
        if job.cancel():
            return f"{job} was cancelled"
        why = errors[0] if errors else "its runner did not answer"
        return f"{job} GOES ON ({why}): stop it {_by(job.how_to_stop)}"

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


def _by(command: str | None) -> str:
    return "by its runner's own tools" if command is None else f"with {command}"
