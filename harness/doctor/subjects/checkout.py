"""Somebody's own checkout of the copilot: the runbook's four edits, found by reading its files.

Comments are not code: an edit that stands in one is missing.
"""

import ast
import json
import operator
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from harness.doctor.check import Finding, bad, good, unused
from harness.doctor.sight import Sight

LONGEST_BYTES = 256 << 10
NO_CHECKOUT = "copilot.dir is not set: the stack's own copilot needs no edits"
_TIMES = re.compile(r"\b(bodyTimeout|headersTimeout)\s*:\s*([\w\s*+()./]{1,120}?)[,}\n;]")
_CONNECT = re.compile(r"\bconnect\s*:\s*\{[^}]{0,200}?\btimeout\s*:\s*([\w\s*+()./]{1,120}?)[,}\n;]")
_CONSTANT = re.compile(r"\b(?:const|let|var)\s+(\w+)\s*(?::\s*number\s*)?=\s*([\w\s*+()./]{1,120}?)[;\n]")
_TOKENS = re.compile(
    r"'(?:\\.|[^'\\\n])*+(?:'|$)|\"(?:\\.|[^\"\\\n])*+(?:\"|$)|`(?:\\.|[^`\\])*+(?:`|\Z)|//[^\n]*|/\*.*?(?:\*/|\Z)",
    re.DOTALL | re.MULTILINE,
)
_OPERATORS: dict[type, Callable[[float, float], float]] = {
    ast.Mult: operator.mul,
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Div: operator.truediv,
}


def directory(sight: Sight) -> Finding:
    """Whether copilot.dir is a checkout that `npm run dev` can start."""
    path = sight.settings.values.copilot.dir
    if path is None:
        return unused(NO_CHECKOUT)
    package = path / "package.json"
    try:
        scripts = json.loads(package.read_text(encoding="utf-8")).get("scripts", {})
    except (OSError, ValueError, AttributeError) as error:
        return bad("NO_CHECKOUT", f"{package} cannot be read: {error}", "set copilot.dir to the copilot's checkout")
    if "dev" not in scripts:
        return bad(
            "NO_DEV_SCRIPT", f"{package} has no script dev", 'add "dev" to its scripts: npm run dev is what starts it'
        )
    return good(f"{path}, npm run dev: {scripts['dev']}")


def edit(sight: Sight, *, file: str, wants: tuple[tuple[str, str], ...], fix: str) -> Finding:
    """Whether one of the four edits is there.

    Args:
        wants: (pattern, what it is) for all that has to stand in the file
    """
    path = sight.settings.values.copilot.dir
    if path is None:
        return unused(NO_CHECKOUT)
    text = code(path / file)
    if text is None:
        return bad("MISSING", f"there is no {file}", fix)
    missing = [what for pattern, what in wants if not re.search(pattern, text)]
    if missing:
        return bad("MISSING", f"{file} has no {', no '.join(missing)}", fix, missing=missing)
    return good(f"{file} has the edit")


def timeouts_ms(path: Path) -> dict[str, float]:
    """undici's time-outs as server/index.ts sets them; nothing for what it does not set or computes at run time."""
    text = code(path / "server" / "index.ts") or ""
    names: dict[str, str] = dict(_CONSTANT.findall(text))
    found = {name.removesuffix("Timeout"): _number(value, names) for name, value in _TIMES.findall(text)}
    if connect := _CONNECT.search(text):
        found["connect"] = _number(connect[1], names)
    return {name: value for name, value in found.items() if value is not None}


def code(path: Path) -> str | None:
    """A file's text without its comments (TypeScript's or a shell's), None when it cannot be read."""
    try:
        with path.open("rb") as file:
            text = file.read(LONGEST_BYTES).decode(errors="replace")
    except OSError:
        return None
    if path.suffix == ".sh":
        return re.sub(r"(?m)(^|\s)#.*$", r"\1", text)
    # Strings are taken first, so that the // of an address begins no comment.
    return _TOKENS.sub(lambda found: "" if found[0].startswith(("//", "/*")) else found[0], text)


def _number(text: str, names: dict[str, str], depth: int = 5) -> float | None:
    """The value of a product such as `10 * 60 * 1000` or `10 * MINUTE`, None for all else."""
    for name, value in names.items():
        if depth and re.search(rf"\b{name}\b", text) and (known := _number(value, names, depth - 1)) is not None:
            text = re.sub(rf"\b{name}\b", repr(known), text)
    try:
        return _computed(ast.parse(text.replace("_", "").strip(), mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError):
        return None


def _computed(node: ast.expr) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return float(node.value)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_computed(node.left), _computed(node.right))
    raise ValueError("no plain arithmetic")


client = partial(
    edit,
    file="agent/mcp-client.ts",
    wants=(
        (r"\bgetMixpanelDataMCPTools\b", "getMixpanelDataMCPTools"),
        (r"\bMIXPANEL_DATA_MCP_URL\b", "MIXPANEL_DATA_MCP_URL"),
    ),
    fix="export getMixpanelDataMCPTools() there, which connects to process.env.MIXPANEL_DATA_MCP_URL;"
    " fixtures/copilot/agent/mcp-client.ts shows how",
)
app = partial(
    edit,
    file="server/app.ts",
    wants=((r"\bgetMixpanelDataMCPTools\s*\(", "call of getMixpanelDataMCPTools()"),),
    fix="call getMixpanelDataMCPTools() there and give its tools to the model beside the others",
)
index = partial(
    edit,
    file="server/index.ts",
    wants=(
        (r"\bsetGlobalDispatcher\s*\(", "setGlobalDispatcher()"),
        (r"\bbodyTimeout\b", "bodyTimeout"),
        (r"\bheadersTimeout\b", "headersTimeout"),
    ),
    fix="setGlobalDispatcher(new Agent({bodyTimeout: 600_000, headersTimeout: 600_000, connect: {timeout: 30_000}}))"
    " from undici, before anything else is imported",
)
env = partial(
    edit,
    file="generate-env.sh",
    wants=((r"\bMIXPANEL_DATA_MCP_URL=", "MIXPANEL_DATA_MCP_URL=…"),),
    fix="have it write the line that harness env prints: MIXPANEL_DATA_MCP_URL=…",
)
