"""A checkout of the copilot with the runbook's layout, in a directory of the test's own: it runs, and it can be broken.

It stands in for the real one, which is somebody else's; `undici` is two names in a file, since nothing is installed.
"""

import json
import shutil
from pathlib import Path

SOURCE = Path(__file__).with_name("standin_copilot")
UNDICI = "8.12.4"


def checkout(directory: Path, mcp_port: int) -> Path:
    """A copy with its packages, whose manifest names this port."""
    shutil.copytree(SOURCE, directory, ignore=shutil.ignore_patterns("node_modules"))
    undici = directory / "node_modules" / "undici"
    undici.mkdir(parents=True)
    (undici / "package.json").write_text(json.dumps({"name": "undici", "version": UNDICI, "type": "module"}))
    (undici / "index.js").write_text("export class Agent {}\nexport function setGlobalDispatcher() {}\n")
    installed = {"packages": {"node_modules/undici": {"version": UNDICI}}}
    (directory / "node_modules" / ".package-lock.json").write_text(json.dumps(installed))
    manifest = directory / "k8s" / "copilot.yaml"
    manifest.write_text(manifest.read_text().replace("8200", str(mcp_port)))
    return directory
