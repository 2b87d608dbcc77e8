"""Starts one Python SDK worker for an engine with `--environment_type=PROCESS`.

    command --id=1-1 --provision_endpoint=localhost:4711

The provision service is asked for the rest, as the entry point of Beam's container images asks it:
where to be controlled from, where to log, the pipeline's options, and files to install.
"""

import argparse
import os
import runpy
import subprocess
import sys
import tempfile
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import grpc
from apache_beam.portability.api import (
    beam_artifact_api_pb2,
    beam_artifact_api_pb2_grpc,
    beam_provision_api_pb2,
    beam_provision_api_pb2_grpc,
    beam_runner_api_pb2,
)
from google.protobuf import json_format, text_format


class TokenmillOnlyIn:
    """Finds our packages in some folders alone: an environment without an installation of ours."""

    def __init__(self, folders: list[str]) -> None:
        self._folders = folders

    def find_spec(self, name: str, path: Any = None, target: object = None) -> Any:
        if name.partition(".")[0] not in ("pipeline", "tokenizer", "tokenmill", "transforms"):
            return None
        found = PathFinder.find_spec(name, self._folders if path is None else path)
        if found is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--id", required=True)
    parser.add_argument("--provision_endpoint", required=True)
    options, _ = parser.parse_known_args()
    for name, value in vars(options).items():
        setattr(options, name, value.strip("'"))  # Prism quotes them as for a shell
    with grpc.insecure_channel(options.provision_endpoint) as channel:
        service = beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
        request = beam_provision_api_pb2.GetProvisionInfoRequest()
        info = service.GetProvisionInfo(request, metadata=[("worker_id", options.id)]).info
    packages = _fetch_packages(info, options.id)
    sent = [_install(packages)] if packages else []
    os.environ.update(
        WORKER_ID=options.id,
        CONTROL_API_SERVICE_DESCRIPTOR=text_format.MessageToString(info.control_endpoint),
        LOGGING_API_SERVICE_DESCRIPTOR=text_format.MessageToString(info.logging_endpoint),
        PIPELINE_OPTIONS=json_format.MessageToJson(info.pipeline_options),
        RUNNER_CAPABILITIES=" ".join(info.runner_capabilities),
        SEMI_PERSISTENT_DIRECTORY="",
    )
    sys.argv = [sys.argv[0]]
    if "TOKENMILL_FAULTS" in os.environ:
        folder = Path(os.environ["TOKENMILL_FAULTS"])
        if (folder / "hide/all").exists():
            sys.meta_path.insert(0, TokenmillOnlyIn(sent))  # type: ignore[arg-type]
        else:
            import worker_faults

            worker_faults.install(folder)
    runpy.run_module("apache_beam.runners.worker.sdk_worker_main", run_name="__main__")


def _fetch_packages(info: Any, worker: str) -> list[Path]:
    """The files that --extra_package and --setup_file sent along."""
    if not info.dependencies:
        return []
    folder = Path(tempfile.mkdtemp(prefix="tokenmill-packages-"))
    files = []
    with grpc.insecure_channel(info.artifact_endpoint.url) as channel:
        service = beam_artifact_api_pb2_grpc.ArtifactRetrievalServiceStub(channel)
        for artifact in info.dependencies:
            payload = beam_runner_api_pb2.ArtifactStagingToRolePayload()
            payload.ParseFromString(artifact.role_payload)
            if not payload.staged_name.endswith((".whl", ".tar.gz")):
                continue  # what Beam notes of the submitter's environment
            path = folder / payload.staged_name
            request = beam_artifact_api_pb2.GetArtifactRequest(artifact=artifact)
            with path.open("wb") as file:
                for chunk in service.GetArtifact(request, metadata=[("worker_id", worker)]):
                    file.write(chunk.data)
            files.append(path)
    return files


def _install(packages: list[Path]) -> str:
    """Puts packages where this worker, and no other, finds them; returns the folder."""
    target = tempfile.mkdtemp(prefix="tokenmill-site-")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", target, *map(str, packages)], check=True)
    sys.path.insert(0, target)
    return target


if __name__ == "__main__":
    main()
