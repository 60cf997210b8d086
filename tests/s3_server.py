"""A real S3 server for tests: SeaweedFS on free loopback ports, with its data in a folder that goes with it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "labkey",
    "AWS_SECRET_ACCESS_KEY": "labsecret",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_DEFAULT_REGION": "us-east-1",
}


class S3Server:
    """A server that can be stopped, killed and started again on the same data.

    Attributes:
        endpoint: its address.
    """

    def __init__(self, folder: Path, niceness: int = 0) -> None:
        self._folder = folder
        self._niceness = niceness
        folder.mkdir(exist_ok=True)
        self._ports = _free_ports(4)
        self._process: subprocess.Popen[bytes] | None = None
        self.endpoint = f"http://127.0.0.1:{self._ports[3]}"

    def __enter__(self) -> S3Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        names = ("-master.port", "-volume.port", "-filer.port", "-s3.port")
        command = [
            *("nice", "-n", str(self._niceness)),
            _weed(),
            "-logtostderr",
            "mini",
            f"-dir={self._folder}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-master.telemetry=false",
            "-admin.ui=false",
            "-webdav=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            *(f"{name}={port}" for name, port in zip(names, self._ports, strict=True)),
        ]
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, env=os.environ | CREDENTIALS, stdout=log, stderr=log)
        for _ in range(200):
            try:
                urllib.request.urlopen(f"{self.endpoint}/healthz", timeout=1)
                return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise RuntimeError(f"The S3 server did not start: {(self._folder / 'server.log').read_text()[-2000:]}")

    def kill(self) -> None:
        """End it at once, as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def _weed() -> str:
    return str(Path(sys.prefix, "bin", "weed"))


def _free_ports(count: int) -> list[int]:
    """Ports that are free together with their gRPC neighbours, 10000 above.

    Processes of tests that run side by side have neighbouring ids and look at one moment, so each has its own range.
    """
    free: list[int] = []
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for port in range(20000 + worker % 4 * 2500 + os.getpid() % 2000, 30000):
        if len(free) == count:
            break
        if _is_free(port) and _is_free(port + 10000):
            free.append(port)
    return free


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
