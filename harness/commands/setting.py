"""`settings`, `env`: what holds and where it came from, and what the copilot has to be told."""

import shlex

import typer

from harness.commands import begin
from harness.errors import Exit, HarnessError

app = typer.Typer()


@app.command()
def settings(json: begin.Json = False) -> None:
    """Print every setting and where it came from."""
    from harness import output

    found = begin.running_settings()
    stack = begin.state(found).read()
    rows = found.told(stack.launch if stack else {})
    width = max(len(row["name"]) for row in rows)
    text = "\n".join(f"{row['name']:<{width}}  {row['shown']}  ({row['source']})" for row in rows)
    output.show({"state_dir": str(found.state_dir), "settings": rows}, text, json=json)


@app.command()
def env(json: begin.Json = False) -> None:
    """Print the exports that the copilot's generate-env.sh needs."""
    from harness import output
    from harness.stack.service import HOST

    found = begin.running_settings()
    if found.chooses_ports and begin.state(found).read() is None:
        raise HarnessError(
            "NOT_RUNNING",
            "this stack chooses its ports when it comes up, and it is not up",
            fix="start it first: harness up",
            exit_code=Exit.NOT_RUNNING,
        )
    url = found.values.mcp.url or f"http://{HOST}:{found.values.mcp.port}/mcp"
    exports = {"MIXPANEL_DATA_MCP_URL": url}
    output.show(exports, "\n".join(f"export {name}={shlex.quote(value)}" for name, value in exports.items()), json=json)
