"""One owner at a time: who works on a build, on local disks and object stores alike.

    1. write  runs/<my run>/owner.json     a claim: I want to work here. It is never written again
    2. write  runs/<my run>/beat.json      a number that I raise every ten seconds
    3. list   runs/*/owner.json            who else does?
         a live one:  my claim goes, and I am refused; two that begin together may both be refused,
                      and try again, but never are both let in
         none:        the build is mine
    4. dead ones are cleared away: what they were writing or uploading, files not committed

A claim is written before claims are listed, so of two that begin together at least one sees the
other. That needs a listing that shows what was written, which disks, S3 (since 2020), GCS, Azure
and HDFS have, and no conditional put.

An owner on this machine is alive when its process is. One on another machine is alive when its beat
changes while one looks: clocks are compared with nobody's. To look takes longer than a store may be
out of reach of its owner. Should one be cleared away all the same, its claim is gone: it sees that
at its next beat, its workers see it before they publish anything (`Build.check_owned`), and the
command before it writes the manifest.
"""

import getpass
import os
import platform
import random
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import BuildInUseError
from pipeline.terminal import escaped
from transforms.errors import BuildLostError, MismatchError
from transforms.filesystem import create_exclusive, naming_place
from transforms.shards.build import Build
from transforms.shards.json_records import FORMAT, Count, canonical_json, parse_record
from transforms.shards.layout import RUNS, beat_path, owner_path, run_of_owner
from transforms.shards.noted_uploads import may_be_left
from transforms.shards.recovery import clear_run

BEAT_SECONDS = 10.0
# Longer than a store repeats one request: an owner whose store is out of reach is not dead.
STALE_SECONDS = 200.0
_LOOK_SECONDS = 3.0
_ATTEMPTS = 5
_PAUSE_SECONDS = (0.1, 0.2)
_JOIN_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Owner:
    """Who works on a build.

    Attributes:
        run: the folder below `runs/` that is its own.
        host, boot, pid: the process. boot: of the system, and its namespace of process numbers.
        process_start: tells a process from a later one that got its number.
        user, started: for people.
    """

    run: str
    host: str
    boot: str
    pid: Count
    process_start: str
    user: str
    started: str

    def __str__(self) -> str:
        return escaped(f"{self.user} on {self.host}, process {self.pid}, since {self.started}")


@dataclass(frozen=True, slots=True)
class _Beat:
    """Raised every BEAT_SECONDS; holds: it has looked for others and found none."""

    beat: Count
    holds: bool


class Lease:
    """Held while the block runs: `with Lease(build): ...`."""

    def __init__(self, build: Build) -> None:
        self._build = build
        self._beat = 0
        self._holds = False
        self._is_lost = False
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._me = _this_process(build.run)

    def __enter__(self) -> "Lease":
        """Takes the build.

        Raises:
            BuildInUseError: somebody else has it; says who, and since when.
        """
        try:
            with naming_place(self._build.path(owner_path(self._build.run))):
                self._take()
        except BaseException:  # also an interrupt: a claim that stays would keep us out next time
            self._end_beat()
            clear_run(self._build, self._build.run, tell_refused)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end_beat()
        try:
            # What this run had under way may be another's by now: then it is not ours to undo.
            if not self._is_lost and self._build.exists(owner_path(self._build.run)):
                clear_run(self._build, self._build.run, tell_refused)
        except OSError as failed:  # what was to be done is done
            print(f"tokenmill: {failed}: left for the next run to clear", file=sys.stderr)

    def check(self) -> None:
        """Raises BuildLostError when somebody has taken the build over."""
        if self._is_lost:
            raise BuildLostError(f"{self._build.root} was taken over by another run")
        self._build.check_owned()

    def _take(self) -> None:
        for attempt in range(_ATTEMPTS):
            create_exclusive(self._build.path(owner_path(self._build.run)), self._claim())
            self._start_beat()
            others = self._others()
            alive = self._alive(others)
            if not alive:
                break
            self._build.delete([owner_path(self._build.run)])
            # Perhaps two of us began together and saw each other: then try again, not together.
            if attempt == _ATTEMPTS - 1 or any(self._holds_it(owner) for owner in alive):
                raise BuildInUseError(
                    f"{self._build.root} is being worked on by {alive[0]}: wait until that ends, "
                    "or end it and run the same command again"
                )
            time.sleep(random.uniform(*_PAUSE_SECONDS) * (attempt + 1))
        for owner in others:
            clear_run(self._build, owner.run, tell_refused)
        self._holds = True
        self._raise_beat()
        self.check()

    def _start_beat(self) -> None:
        self._raise_beat()
        if self._thread is None:
            self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
            self._thread.start()

    def _end_beat(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_JOIN_SECONDS)  # it may wait for a store; the command does not

    def _keep(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            try:
                if self._holds and not self._build.exists(owner_path(self._build.run)):
                    self._is_lost = True
                    return
                self._raise_beat()
            except OSError:  # noqa: PERF203
                continue  # a store that does not answer for a moment; the next beat will tell

    def _raise_beat(self) -> None:
        self._beat += 1
        value = {"format": FORMAT, **asdict(_Beat(self._beat, self._holds))}
        self._build.write(beat_path(self._build.run), canonical_json(value))

    def _claim(self) -> bytes:
        return canonical_json({"format": FORMAT, **asdict(self._me)})

    def _others(self) -> list[Owner]:
        return [owner for owner in _owners(self._build) if owner.run != self._build.run]

    def _alive(self, owners: list[Owner]) -> list[Owner]:
        """Those of them that work; all that are on other machines are watched at once."""
        here = [owner for owner in owners if self._is_here(owner)]
        alive = [owner for owner in here if _start_of(owner.pid) == owner.process_start]
        watched = {owner: self._beat_of(owner) for owner in owners if owner not in here}
        until = time.monotonic() + STALE_SECONDS
        while watched and not alive and time.monotonic() < until:
            time.sleep(_LOOK_SECONDS)
            for owner, before in list(watched.items()):
                if not self._build.exists(owner_path(owner.run)):
                    del watched[owner]  # it has ended
                elif (beat := self._beat_of(owner)) is not None and beat != before:
                    alive.append(owner)
        return alive

    def _is_here(self, owner: Owner) -> bool:
        return _is_beside(owner, self._me)

    def _holds_it(self, owner: Owner) -> bool:
        beat = self._beat_of(owner)
        return beat is not None and beat.holds

    def _beat_of(self, owner: Owner) -> _Beat | None:
        path = beat_path(owner.run)
        try:
            return parse_record(self._build.read(path), _Beat, path, "remove it")
        except MismatchError:
            return None  # just being written


def is_worked_on(build: Build) -> bool:
    """Whether somebody works on a build, or may: one on another machine is not watched for that."""
    me = _this_process("")
    return any(
        not _is_beside(owner, me) or _start_of(owner.pid) == owner.process_start
        for owner in _owners(build)
    )


def tell_refused(error: Exception) -> None:
    """`on_refused` of clear_run for a command: says on standard error that uploads may be left."""
    print(f"tokenmill: {may_be_left(error, 'processes')}", file=sys.stderr)


def _owners(build: Build) -> Iterator[Owner]:
    """Whoever has claimed a build, and not given it back; they may be dead."""
    for path in sorted(build.files_below(RUNS)):
        if (run := run_of_owner(path)) is None:
            continue
        try:
            owner = parse_record(build.read(path), Owner, path, "remove it")
        except MismatchError:
            continue  # it has just gone, or is no owner's
        if owner.run == run:
            yield owner


def _is_beside(owner: Owner, me: Owner) -> bool:
    """Whether its process is one of the system that we run on."""
    return (owner.host, owner.boot) == (me.host, me.boot)


def _this_process(run: str) -> Owner:
    return Owner(
        run=run,
        host=platform.node(),
        boot=f"{_read_line('/proc/sys/kernel/random/boot_id')} {_process_namespace()}".strip(),
        pid=os.getpid(),
        process_start=_start_of(os.getpid()) or "",
        user=_user(),
        started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
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
