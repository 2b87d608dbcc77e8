"""One owner at a time: who works on a build, on local disks and object stores alike.

    1. write  runs/<my run>/owner.json            "I want to work here", with a beat that I raise
    2. list   runs/*/owner.json                    who else does?
    3. a live one     take mine back: refused      two that begin together may both be refused,
       none           the build is mine            but never are both let in
    4. dead ones      cleared away: what they were writing, and files they had not committed

Whoever writes first and lists afterwards is seen by everybody who lists later, so of two that begin
together at least one sees the other. That needs a listing that shows what was written, which disks,
S3 (since 2020), GCS, Azure and HDFS have, and no conditional put.

An owner on this machine is alive when its process is. One on another machine is alive when its beat
changes while one looks: clocks are compared with nobody's.
"""

import getpass
import os
import platform
import random
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from pipeline.errors import BuildInUseError, BuildLostError
from pipeline.terminal import escaped
from transforms.errors import MismatchError
from transforms.filesystem import create_exclusive, naming_place, read_version, replace_version
from transforms.shards.build import Build
from transforms.shards.json_records import FORMAT, Count, canonical_json, parse_record
from transforms.shards.layout import RUNS, owner_path, run_of_owner
from transforms.shards.recovery import clear_run

BEAT_SECONDS = 10.0
STALE_SECONDS = 45.0
_LOOK_SECONDS = 3.0
_ATTEMPTS = 5
_PAUSE_SECONDS = (0.1, 0.2)


@dataclass(frozen=True, slots=True)
class Owner:
    """Who works on a build.

    boot: of the machine, and which processes one sees there: containers on one machine, even of one
    host name, number theirs apart. process_start: of the process, in the system's own unit; tells a
    process from a later one that got its number. beat: raised every BEAT_SECONDS.
    """

    run: str
    host: str
    boot: str
    pid: Count
    process_start: str
    user: str
    started: str
    beat: Count

    def __str__(self) -> str:
        return escaped(f"{self.user} on {self.host}, process {self.pid}, since {self.started}")


class Lease:
    """Held while the block runs: `with Lease(build): ...`."""

    def __init__(self, build: Build) -> None:
        self._build = build
        self._beat = 0
        self._is_lost = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._me = _this_process(build.run)

    def __enter__(self) -> "Lease":
        """Takes the build.

        Raises:
            BuildInUseError: somebody else has it; says who, and since when.
        """
        try:
            with naming_place(self._path):
                self._take()
        except BaseException:  # also an interrupt: a claim that stays would keep us out next time
            clear_run(self._build, self._build.run)
            raise
        self._thread.start()
        return self

    def _take(self) -> None:
        for attempt in range(_ATTEMPTS):
            # Without a name before it is whole: of a run that is killed here nobody would know.
            create_exclusive(self._path, self._claim())
            others = self._others()
            alive = [owner for owner in others if self._is_alive(owner)]
            if not alive:
                break
            self._build.delete([owner_path(self._build.run)])
            # Perhaps two of us began together and saw each other: then try again, not together.
            if attempt == _ATTEMPTS - 1 or not all(_is_beginner(owner) for owner in alive):
                raise BuildInUseError(
                    f"{self._build.root} is being worked on by {alive[0]}: wait until that ends, "
                    "or end it and run the same command again"
                )
            time.sleep(random.uniform(*_PAUSE_SECONDS) * (attempt + 1))
        for owner in others:
            clear_run(self._build, owner.run)
        if not self._raise_beat():
            raise BuildLostError(f"{self._path} has been removed: run the same command again")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        # What this run had under way may be another's by now: then it is not ours to undo.
        if not self._is_lost and self._build.exists(owner_path(self._build.run)):
            clear_run(self._build, self._build.run)

    def check(self) -> None:
        """Raises BuildLostError when somebody has taken the build over."""
        if self._is_lost or not self._build.exists(owner_path(self._build.run)):
            self._is_lost = True
            raise BuildLostError(
                f"{self._build.root} was taken over by another run while this one did not answer: "
                "it is left alone. Run the same command again when that other run has ended"
            )

    def _keep(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            try:
                if not self._raise_beat():
                    self._is_lost = True
                    return
            except OSError:  # noqa: PERF203
                continue  # a store that does not answer for a moment; the next beat will tell

    def _raise_beat(self) -> bool:
        """False when the claim is gone: whoever took the build over has removed it.

        Only the claim that was just read is replaced. To write one where there is none any more
        would take the build back from somebody who does not look again.
        """
        try:
            _, version = read_version(self._path)
        except FileNotFoundError:
            return False
        self._beat += 1
        return replace_version(self._path, self._claim(), version)

    @property
    def _path(self) -> str:
        return self._build.path(owner_path(self._build.run))

    def _claim(self) -> bytes:
        return canonical_json({"format": FORMAT, **asdict(self._me), "beat": self._beat})

    def _others(self) -> list[Owner]:
        owners = []
        for path in sorted(self._build.files_below(RUNS)):
            run = run_of_owner(path)
            if run is not None and run != self._build.run:
                try:
                    owner = parse_record(self._build.read(path), Owner, path, "remove it")
                except MismatchError:
                    continue  # it has just gone, or is no owner's
                if owner.run == run:
                    owners.append(owner)
        return owners

    def _is_alive(self, owner: Owner) -> bool:
        if (owner.host, owner.boot) == (self._me.host, self._me.boot):
            return _start_of(owner.pid) == owner.process_start
        until = time.monotonic() + STALE_SECONDS
        while time.monotonic() < until:
            time.sleep(_LOOK_SECONDS)
            found = {other.run: other.beat for other in self._others()}
            if found.get(owner.run) != owner.beat:
                return owner.run in found
        return False


def _is_beginner(owner: Owner) -> bool:
    return owner.beat == 0


def _this_process(run: str) -> Owner:
    return Owner(
        run=run,
        host=platform.node(),
        boot=f"{_read_line('/proc/sys/kernel/random/boot_id')} {_process_namespace()}".strip(),
        pid=os.getpid(),
        process_start=_start_of(os.getpid()) or "",
        user=_user(),
        started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        beat=0,
    )


def _start_of(pid: int) -> str | None:
    """When a process of this machine started; None when there is none of that number."""
    stat = _read_line(f"/proc/{pid}/stat")
    if stat:
        fields = stat.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    if os.path.isdir("/proc/self"):
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return ""


def _process_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _read_line(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace").strip()
    except OSError:
        return ""


def _user() -> Any:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "somebody"
