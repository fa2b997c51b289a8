"""An engine that runs containers, and an image with the machine's own nginx in it: no registry is asked."""

import importlib
import io
import json
import os
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.support.real_nginx import BINARY

HOW = (
    "start one and name it: podman system service --time=0 unix:///run/podman.sock; DOCKER_HOST=unix:///run/podman.sock"
)


def _absent(why: str) -> NoReturn:
    """Skip, in one line; whoever runs this in CI has promised an engine, so there it is red."""
    if os.environ.get("CI"):
        pytest.fail(why, pytrace=False)
    pytest.skip(why)


@pytest.fixture(scope="session")
def engine() -> Iterator[Any]:
    """A client of the engine; without one the test is skipped, and in CI it is red."""
    try:
        docker = importlib.import_module("docker")
    except ModuleNotFoundError:
        _absent("the package testcontainers is not installed: make setup")
    try:
        client = docker.from_env(timeout=120)
        client.ping()
    except docker.errors.DockerException as error:
        _absent(f"no engine runs containers here ({type(error).__name__}): {HOW}")
    yield client
    client.close()


@pytest.fixture(scope="session")
def image(engine: Any) -> Iterator[str]:
    """nginx and the libraries that it loads, and nothing else."""
    # By its id, so that two runs at once do not take each other's away.
    told = engine.api.import_image_from_data(_packed(), repository=None)
    name = json.loads(told.splitlines()[-1])["status"]
    yield name
    engine.images.remove(name, force=True)


def _packed() -> bytes:
    """A root file system as a tar."""
    loaded = subprocess.run(["ldd", str(BINARY)], capture_output=True, text=True, check=True, timeout=60).stdout
    libraries = [Path(found) for found in re.findall(r"(/\S+) \(0x", loaded)]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path in (BINARY, *libraries):
            archive.add(path.resolve(), arcname=str(path).lstrip("/"))
        for name, text in {
            "etc/passwd": "root:x:0:0:root:/root:/bin/false\nnobody:x:65534:65534::/:/bin/false\n",
            "etc/group": "root:x:0:\nnogroup:x:65534:\n",
        }.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
        for name in ("dev", "proc", "sys", "tmp", "run", "var/log/nginx"):
            directory = tarfile.TarInfo(name)
            directory.type, directory.mode = tarfile.DIRTYPE, 0o1777
            archive.addfile(directory)
    return packed.getvalue()
