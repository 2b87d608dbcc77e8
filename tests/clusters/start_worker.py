"""Starts one Python SDK worker for an engine with `--environment_type=PROCESS`.

    command --id=1-1 --provision_endpoint=localhost:4711

The provision service is asked for the rest, as the entry point of Beam's container images asks it:
where to be controlled from, where to log, and the pipeline's options. What was sent along is not
installed: Beam's own entry point, `boot`, does that (test_sent_along.py).
"""

import argparse
import os
import runpy
import sys
from pathlib import Path
from typing import Any

import grpc
from apache_beam.portability.api import (
    beam_provision_api_pb2,
    beam_provision_api_pb2_grpc,
)
from google.protobuf import json_format, text_format


class NoTokenmill:
    """Finds none of our packages: an environment without an installation of ours."""

    def find_spec(self, name: str, path: Any = None, target: object = None) -> None:
        if name.partition(".")[0] in ("pipeline", "tokenizer", "tokenmill", "transforms"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


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
            sys.meta_path.insert(0, NoTokenmill())
        else:
            import worker_faults

            worker_faults.install(folder)
    runpy.run_module("apache_beam.runners.worker.sdk_worker_main", run_name="__main__")


if __name__ == "__main__":
    main()
