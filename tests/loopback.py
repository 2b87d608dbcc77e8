"""Runs a Beam server module with all its ports on 127.0.0.1: `python tests/loopback.py MODULE ...`.

Beam's job service and worker pool listen on every interface and have no option for it.
"""

import runpy
import sys

import grpc._server

_add_insecure_port = grpc._server._Server.add_insecure_port


def _add_loopback_port(self: grpc._server._Server, address: str) -> int:
    port: int = _add_insecure_port(self, address.replace("[::]", "127.0.0.1"))
    return port


if __name__ == "__main__":
    grpc._server._Server.add_insecure_port = _add_loopback_port
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
