"""The sdist, as Beam stages it to a worker: built, installed elsewhere, and used there.

No network: the build requirements come from the environment of the tests, and so do the
dependencies of the clean environment, after its own packages on the path.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
BUILT_FROM = (
    *("pipeline", "tokenizer", "tokenmill", "transforms"),
    *("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "CHANGELOG.md", "LICENSE"),
)
VOCABULARIES = ("r50k_base", "p50k_base", "cl100k_base", "o200k_base")

for requirement in ("pip", "pybind11", "pyarrow", "setuptools"):
    if importlib.util.find_spec(requirement) is None:
        pytest.skip(f"building needs {requirement} here", allow_module_level=True)


def run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a command away from the checkout, which no variable may put on its path."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "COV_", "PIP_"))
    }
    return subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**clean, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def build_with_backend(call: str, source: Path, target: Path) -> Path:
    """Calls the build backend of PEP 517 as pip does; returns the file it made."""
    code = f"from setuptools import build_meta as b; import sys; print(b.{call}(sys.argv[1]))"
    ended = run(sys.executable, "-W", "ignore", "-c", code, target, cwd=source)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return target / ended.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nothing of the build stays in the checkout."""
    source = tmp_path_factory.mktemp("checkout")
    ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.egg-info")
    for name in BUILT_FROM:
        if (REPOSITORY / name).is_dir():
            shutil.copytree(REPOSITORY / name, source / name, ignore=ignored)
        else:
            shutil.copy(REPOSITORY / name, source)
    return build_with_backend("build_sdist", source, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the sdist alone."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extraction_filter = tarfile.data_filter
        archive.extractall(folder)
    (source,) = folder.iterdir()
    return build_with_backend("build_wheel", source, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that holds the wheel, and after it the dependencies."""
    folder = tmp_path_factory.mktemp("clean") / "environment"
    venv.create(folder, with_pip=False, symlinks=True)
    interpreter = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", interpreter, "install", "--no-index"]
    ended = run(*pip, "--no-deps", "--quiet", wheel, cwd=folder)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(run(interpreter, "-c", code, cwd=folder).stdout.strip())
    dependencies = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    # A line of a .pth file adds a folder, but not what the .pth files in it would add: an
    # editable installation of the checkout stays out of reach.
    (site / "dependencies.pth").write_text("\n".join(sorted(dependencies)) + "\n")
    return interpreter


def test_the_sdist_holds_what_a_worker_needs_to_build(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[-1] for name in archive.getnames()}
    folders = (REPOSITORY / "tokenizer" / "native", REPOSITORY / "transforms/reading/native")
    native = [path for folder in folders for path in folder.iterdir() if path.is_file()]
    assert len(native) > 11
    for path in native:
        assert path.relative_to(REPOSITORY).as_posix() in names
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md"):
        assert name in names


def test_an_sdist_is_made_without_what_a_build_requires(sdist: Path, tmp_path: Path) -> None:
    """As Beam makes it of --setup_file, in the submitter's environment."""
    with tarfile.open(sdist) as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extraction_filter = tarfile.data_filter
        archive.extractall(tmp_path)
    (source,) = tmp_path.iterdir()
    code = (
        "import runpy, sys\n"
        "sys.modules['pybind11'] = sys.modules['pyarrow'] = None\n"
        "sys.argv = ['setup.py', 'sdist', '--dist-dir', 'made']\n"
        "runpy.run_path('setup.py', run_name='__main__')\n"
    )
    ended = run(sys.executable, "-W", "ignore", "-c", code, cwd=source)
    assert ended.returncode == 0, ended.stderr
    (made,) = (source / "made").glob("*.tar.gz")
    with tarfile.open(made) as archive, tarfile.open(sdist) as given:
        assert {*archive.getnames()} >= {*given.getnames()}


def test_setuptools_that_can_not_pack_it_are_named(tmp_path: Path) -> None:
    code = (
        "import runpy, sys, setuptools\n"
        "setuptools.__version__ = '65.5.0'\n"
        f"runpy.run_path({str(REPOSITORY / 'setup.py')!r}, run_name='__main__')\n"
    )
    ended = run(sys.executable, "-c", code, "sdist", cwd=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.startswith("tokenmill is packed by setuptools 77 or newer, here is 65.5.0")


@pytest.mark.packaging
def test_the_wheel_holds_vocabularies_stub_and_type_markers(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for vocabulary in VOCABULARIES:
        assert f"tokenizer/bundled/{vocabulary}.tiktoken.zst" in names
    assert {"tokenizer/_native.pyi", "transforms/reading/_page_shape.pyi"} <= names
    for package in ("pipeline", "tokenizer", "tokenmill", "transforms"):
        assert f"{package}/py.typed" in names
    assert not [name for name in names if name.startswith(("tests/", "bench/"))]


@pytest.mark.packaging
def test_an_installation_outside_the_checkout_encodes_a_document(
    python: Path, tmp_path: Path
) -> None:
    code = (
        "import tokenizer, pipeline, transforms.apply_merge_rules\n"
        "print([module.__file__ for module in (tokenizer, pipeline, transforms)])\n"
        f"for name in {VOCABULARIES}: print(tokenizer.Tokenizer.load(name).encode('hi').tolist())\n"
    )
    ended = run(python, "-c", code, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    places, *ids = ended.stdout.splitlines()
    assert places.count(f"{python.parent.parent}{os.sep}") == 3
    assert ids == ["[5303]", "[5303]", "[6151]", "[3686]"]


@pytest.mark.packaging
def test_its_command_runs_the_main_job(python: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "a", "text": "Hello world"}\n')
    tokenmill = python.parent / "tokenmill"
    arguments = ("--input", "a.jsonl", "--output", "out", "--workers", "1")
    ended = run(tokenmill, "build", *arguments, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_bytes())
    assert manifest["totals"]["tokens"] == 3
    verified = run(tokenmill, "verify", "out", "--retokenize", "1", cwd=tmp_path)
    assert verified.returncode == 0, verified.stderr


@pytest.mark.parametrize("package", ["pipeline", "tokenizer", "transforms"])
@pytest.mark.packaging
def test_another_package_of_the_same_name_is_reported_at_once(
    python: Path, tmp_path: Path, package: str
) -> None:
    foreign = tmp_path / "elsewhere" / package / "__init__.py"
    foreign.parent.mkdir(parents=True)
    foreign.write_text('"""A tokenizer of somebody else\'s."""\n')
    arguments = ("build", "--input", "a.jsonl", "--output", "out")
    path = str(foreign.parent.parent)
    ended = run(python.parent / "tokenmill", *arguments, cwd=tmp_path, PYTHONPATH=path)
    assert ended.returncode == 2
    assert f"`{package}` is not tokenmill's" in ended.stderr
    assert str(foreign) in ended.stderr
    assert "Traceback" not in ended.stderr
