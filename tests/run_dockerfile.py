"""Runs the steps of the Dockerfile without a container engine: `python tests/run_dockerfile.py`.

Each stage is a clean virtual environment with Beam of the image's version, and a folder that stands
for the image's `/opt/tokenmill`; COPY and RUN do there what they would do in the image.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
_IMAGE = re.compile(r"apache/beam_python(?P<python>[\d.]+)_sdk:(?P<beam>[\d.]+)")


class Stage:
    """One FROM, until the next.

    Args:
        image: of Beam's. folder: new; everything of the stage is in it.
    """

    def __init__(self, image: str, folder: Path) -> None:
        found = _IMAGE.fullmatch(image)
        assert found is not None, f"expected an image of Beam's for Python, found {image}"
        self.root = folder / "opt"
        self._bin = folder / "environment" / "bin"
        self.root.mkdir(parents=True)
        venv.create(folder / "environment", with_pip=True)
        self.run(f"python -m pip install --quiet apache-beam=={found['beam']}", {})

    def run(self, command: str, variables: dict[str, str]) -> None:
        """Runs a shell command as the image's user would."""
        outside = {name: value for name, value in os.environ.items() if "PYTHON" not in name}
        path = os.pathsep.join([str(self._bin), os.environ["PATH"]])
        environment = {**outside, **variables, "PATH": path, "ROOT": str(self.root)}
        subprocess.run(["/bin/sh", "-c", command], env=environment, cwd=self.root, check=True)

    def copy(self, source: Path, target: str) -> None:
        """Copies a folder into the stage; of the checkout, what .dockerignore lets through."""
        names = _sent() if source == REPOSITORY else [path.name for path in source.iterdir()]
        ignored = shutil.ignore_patterns("__pycache__", "*.so")
        for name in names:
            there = self.resolve(target) / name
            there.parent.mkdir(parents=True, exist_ok=True)
            if (source / name).is_dir():
                shutil.copytree(source / name, there, ignore=ignored)
            else:
                shutil.copy(source / name, there)

    def resolve(self, path: str) -> Path:
        """A path of the Dockerfile, here."""
        return Path(path.replace("${ROOT}", str(self.root)))


def _sent() -> list[str]:
    lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
    return [line[1:] for line in lines if line.startswith("!")]


def _instructions(dockerfile: str) -> list[tuple[str, str]]:
    lines = [line for line in dockerfile.replace("\\\n", " ").splitlines() if line.strip()]
    return [
        (name, rest) for name, _, rest in (line.partition(" ") for line in lines) if name != "#"
    ]


def run_dockerfile(folder: Path) -> None:
    """Runs all steps below a folder. Raises subprocess.CalledProcessError where one fails."""
    variables = {"PYTHON": f"{sys.version_info.major}.{sys.version_info.minor}"}
    stages: dict[str, Stage] = {}
    stage: Stage | None = None
    for name, rest in _instructions((REPOSITORY / "Dockerfile").read_text()):
        print(f"{name} {rest}", flush=True)
        if name == "ARG":
            variable, _, value = rest.partition("=")
            variables.setdefault(variable, value.strip('"'))
        elif name == "FROM":
            image, _, alias = rest.partition(" AS ")
            for variable, value in variables.items():
                image = image.replace(f"${{{variable}}}", value)
            stage = stages[alias] = Stage(image, folder / str(len(stages)))
        elif stage is not None and name == "COPY":
            *options, source, target = shlex.split(rest)
            if options:
                origin = stages[options[0].removeprefix("--from=")]
                stage.copy(origin.resolve(source), target)
            else:
                stage.copy(REPOSITORY, target)
        elif stage is not None and name == "RUN":
            stage.run(rest, variables)
        else:
            assert name == "ENV", f"no rule for {name}"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="tokenmill-image-") as temporary:
        run_dockerfile(Path(temporary))
