"""A run of a command: its name, and its record of what is not reproducible (`run.json`)."""

import datetime
import json
import platform
import uuid
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from transforms.shards.build import Build
from transforms.shards.layout import run_record_path

_PACKAGES = ("tokenmill", "apache-beam", "pyarrow", "resiliparse")


def new_run_name() -> str:
    """A name for a run: later runs sort after earlier ones, and no two are equal."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return f"{now.strftime('%Y%m%dT%H%M%S.%fZ')}-{uuid.uuid4().hex[:8]}"


def write_run_record(target: Build, seconds: float, facts: Mapping[str, Any]) -> None:
    """Writes clock, machine and versions, and what the command says of itself.

    Args:
        target: The build or export that the run worked on.
        seconds: That it took.
        facts: What the command adds, as plain JSON values.
    """
    record = {
        "finished": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "wall_seconds": round(seconds, 3),
        **facts,
        "host": platform.node(),
        "platform": f"{platform.system()}-{platform.release()}-{platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in _PACKAGES},
    }
    target.write(run_record_path(target.run), json.dumps(record, indent=2).encode() + b"\n")
