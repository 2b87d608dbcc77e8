"""Bytes that a command moves: `python -m bench.moved_bytes COMMAND...` prints how many.

    this process ── adopts ──► command ─► fork server ─► workers
       └ has waited for all of them: its own counters in /proc/self/io now hold theirs

Those that read and write calls asked for, the page cache included. Linux adds the counters of a
process to those of whoever waits for it, so that counters which are looked at while processes live,
and added up, count the bytes of one that has ended twice.
"""

import ctypes
import os
import sys
from collections.abc import Sequence

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def main(command: Sequence[str]) -> int:
    """Runs the command; its exit code."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "can not adopt what the command leaves")
    before = _counted()
    child = os.posix_spawnp(command[0], command, os.environ, file_actions=[_quietly()])
    codes = dict(_ended())
    print(_counted() - before)
    return codes[child]


def _quietly() -> tuple[int, int, str, int, int]:
    return (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)


def _ended() -> list[tuple[int, int]]:
    """Waits for the command and for all that it leaves; the exit code of each."""
    found = []
    while True:
        try:
            process, status = os.wait()
        except ChildProcessError:
            return found
        found.append((process, os.waitstatus_to_exitcode(status)))


def _counted() -> int:
    with open("/proc/self/io", encoding="ascii") as file:
        fields = dict(line.split(": ") for line in file)
    return int(fields["rchar"]) + int(fields["wchar"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
