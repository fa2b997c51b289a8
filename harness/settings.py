"""harness.toml, the environment and the command line, read once into one frozen value.

What is said later wins: default, harness.toml, environment, option.
"""

import os
import re
import tomllib
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal, Self

import pydantic

from harness.errors import Exit, HarnessError, nearest

DISTRIBUTION = "mixpanel-data"
FILE = "harness.toml"
PREFIX = "HARNESS_"
ACCOUNT = re.compile(r"//.*@")
"""What stands before a host: nobody is told a password, not even that it has no place there."""
DATA_SET = (
    "emulator.seed",
    "emulator.users",
    "emulator.days",
    "emulator.last_day",
    "emulator.timezone",
    "emulator.stories",
)


OPTIONS = {"stack.name": "--stack", "copilot.dir": "--copilot-dir"}
"""Options that are not called by the last part of their setting's name."""


class _Table(pydantic.BaseModel):
    """A table of harness.toml."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


class StackTable(_Table):
    """The stack as a whole."""

    name: str | None = pydantic.Field(
        default=None,
        pattern=r"^[a-z0-9][a-z0-9-]{0,31}$",
        description="which of several stacks beside each other, each with its own state; the nameless one when unset",
    )
    ports: Literal["fixed", "auto"] | None = pydantic.Field(
        default=None,
        description="`fixed`: the ports of these settings; `auto`: free ones, chosen by `up` and kept while the stack"
        " runs; `auto` for a stack with a name, else `fixed` when unset",
    )
    services: tuple[str, ...] = pydantic.Field(
        default=(), description="the services that `up` starts when none is named, separated by commas; all when unset"
    )
    target: Literal["emulator", "live", "replay"] = pydantic.Field(
        default="emulator",
        description="what stands behind the server: the local `emulator`, `live` Mixpanel, or tapes: `replay`",
    )
    deadline_s: float | None = pydantic.Field(
        default=None, gt=0, description="seconds that `up` may take as a whole; each service's own deadline when unset"
    )
    grace_s: float = pydantic.Field(
        default=5.0, ge=0, description="seconds between SIGTERM and SIGKILL when a service is taken down"
    )

    @pydantic.field_validator("services", mode="before")
    @classmethod
    def _separated_by_commas(cls, value: Any) -> Any:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class EmulatorTable(_Table):
    """The emulator and its data set."""

    port: int = pydantic.Field(default=8201, ge=1, le=65535, description="the emulator's port")
    seed: int = pydantic.Field(default=1, ge=0, description="the data set's seed")
    users: int = pydantic.Field(default=10_000, ge=1, description="users in the data set")
    days: int = pydantic.Field(default=120, ge=1, description="days in the data set")
    last_day: date | None = pydantic.Field(
        default=None, description="the last full day of the data set; yesterday when unset"
    )
    timezone: str | None = pydantic.Field(default=None, description="the project's time zone; UTC when unset")
    stories: bool = pydantic.Field(default=True, description="whether the data set tells its planted stories")
    data: Path | None = pydantic.Field(
        default=None, description="a raw Mixpanel export (JSONL or .gz) in place of the data set"
    )
    now: str | None = pydantic.Field(
        default=None, description="the instant at which the clock stands, ISO 8601; the wall clock rules when unset"
    )
    cache_dir: Path | None = pydantic.Field(
        default=None, description="where built data sets are kept; the user's cache directory when unset"
    )

    @pydantic.field_validator("now")
    @classmethod
    def _is_an_instant(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                datetime.fromisoformat(value)
            except ValueError:
                raise ValueError("should be an ISO 8601 instant or day such as 2025-06-30T12:00:00Z") from None
        return value


class McpTable(_Table):
    """The MCP server."""

    port: int = pydantic.Field(default=8200, ge=1, le=65535, description="the MCP server's port")
    url: str | None = pydantic.Field(
        default=None,
        description="an mp-mcp-server elsewhere, such as `http://10.0.0.5:8200/mcp`: asked, never started or ended",
    )

    @pydantic.field_validator("url")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urllib.parse.urlsplit(value)
        try:
            _ = parts.port
        except ValueError:
            raise ValueError("should be an address such as http://10.0.0.5:8200/mcp") from None
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("should be an address such as http://10.0.0.5:8200/mcp")
        if parts.username or parts.password:
            raise ValueError("should hold no account: an address is shown and written down")
        return value if parts.path.strip("/") else f"{parts.scheme}://{parts.netloc}/mcp"


class CopilotTable(_Table):
    """The copilot."""

    port: int = pydantic.Field(default=8082, ge=1, le=65535, description="the copilot's port")
    dir: Path | None = pydantic.Field(
        default=None, description="a checkout of the Spark AI Copilot, run by its `npm run dev`; ours when unset"
    )


class NginxTable(_Table):
    """The front door."""

    port: int = pydantic.Field(default=8080, ge=1, le=65535, description="the front door's port")
    site: Path | None = pydantic.Field(
        default=None, description="the system's own site file, for `harness nginx switch`"
    )
    binary: Path | None = pydantic.Field(default=None, description="the nginx to run; the one in PATH when unset")


class LogsTable(_Table):
    """Logs of services that somebody else started."""

    emulator: Path | None = pydantic.Field(default=None, description="a log of an emulator that we did not start")
    mcp: Path | None = pydantic.Field(default=None, description="a log of an MCP server that we did not start")
    copilot: Path | None = pydantic.Field(default=None, description="a log of a copilot that we did not start")
    nginx: Path | None = pydantic.Field(default=None, description="a log of an nginx that we did not start")


class Values(_Table):
    """All settings, one table for each subject."""

    stack: StackTable = StackTable()
    emulator: EmulatorTable = EmulatorTable()
    mcp: McpTable = McpTable()
    copilot: CopilotTable = CopilotTable()
    nginx: NginxTable = NginxTable()
    logs: LogsTable = LogsTable()

    @pydantic.model_validator(mode="after")
    def _ports_differ(self) -> Self:
        seen: dict[int, str] = {}
        for table in type(self).model_fields:
            port = getattr(getattr(self, table), "port", None)
            if port in seen:
                raise ValueError(f"{seen[port]}.port and {table}.port should differ, both are {port}")
            if port is not None:
                seen[port] = table
        return self


VARIABLES: tuple[tuple[str, str], ...] = (
    ("MP_USERNAME, MP_SECRET, MP_PROJECT_ID, MP_REGION", "the service account for `--target live`; all or none"),
    ("HARNESS_STATE_DIR", "where the stack keeps its state; `.harness/` at the checkout's root when unset"),
    ("HARNESS_FAULT_POINT", "for tests: the moment at which a command kills itself, one of `harness/faultpoints.py`"),
)
"""What is read from the environment beside the settings: variable, meaning."""


@dataclass(frozen=True)
class Settings:
    """Everything that a command goes by.

    explicit: the dotted names that somebody set, with where: harness.toml, a variable or an option
    environment: the caller's, as it was at the start; kept out of every repr, since it may hold secrets
    root: the checkout's root, or None outside of one
    """

    values: Values
    explicit: Mapping[str, str]
    state_dir: Path
    root: Path | None
    environment: Mapping[str, str] = field(repr=False)

    @property
    def chooses_ports(self) -> bool:
        """Whether `up` chooses free ports instead of those that stand here."""
        return (self.values.stack.ports or ("auto" if self.values.stack.name else "fixed")) == "auto"

    def with_ports(self, ports: Mapping[str, int]) -> "Settings":
        """The same with these ports, by table."""
        values = self.values.model_dump(mode="json")
        for table, port in ports.items():
            values[table]["port"] = port
        return replace(self, values=Values.model_validate(values))

    def told(self, launch: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Every setting with its value, where it came from and what it means; of secrets only whether they are there.

        Args:
            launch: of the running stack, whose values stand here where nobody set any
        """
        rows = []
        values = self.values.model_dump(mode="json")
        for name, meaning in keys().items():
            table, _, key = name.partition(".")
            value = values[table][key]
            source = self.explicit.get(name) or ("the running stack" if name in launch else "default")
            rows.append({"name": name, "value": value, "shown": _told(value), "source": source, "meaning": meaning})
        for name in VARIABLES[0][0].split(", "):
            there = bool(self.environment.get(name))
            shown, source = ("set", name) if there else ("not set", "default")
            rows.append({"name": name, "value": there, "shown": shown, "source": source, "meaning": VARIABLES[0][1]})
        return rows

    def launch(self) -> dict[str, Any]:
        """What a running stack was started with, as JSON values by dotted name: all that another `up` may differ in."""
        target = self.values.stack.target
        launch: dict[str, Any] = {
            "stack.target": target,
            "stack.ports": "auto" if self.chooses_ports else "fixed",
            "mcp.port": self.values.mcp.port,
            "mcp.url": self.values.mcp.url,
            "copilot.port": self.values.copilot.port,
            "copilot.dir": str(self.values.copilot.dir) if self.values.copilot.dir else None,
            "nginx.port": self.values.nginx.port,
        }
        if target == "replay":
            return launch
        if target == "live":
            return launch | {name: self.environment.get(name) for name in ("MP_USERNAME", "MP_PROJECT_ID", "MP_REGION")}
        emulator = self.values.emulator.model_dump(mode="json", exclude={"cache_dir", "data"})
        launch |= {f"emulator.{name}": value for name, value in emulator.items()}
        return launch | {"emulator.data": self._data_version()}

    def relaunch(self, launch: Mapping[str, Any]) -> "Settings":
        """These settings with a running stack's own in place of whatever nobody set now."""
        values: dict[str, dict[str, Any]] = {}
        explicit = self.explicit
        if launch.get("stack.ports") == "auto" and "stack.ports" not in explicit:
            # Who had the stack choose its ports meant those that stand here no more.
            explicit = {name: source for name, source in explicit.items() if not name.endswith(".port")}
        for name, value in launch.items():
            table, _, key = name.partition(".")
            if key:
                values.setdefault(table, {})[key] = value["path"] if name == "emulator.data" and value else value
        for table, keys in self.values.model_dump(mode="json").items():
            for key, value in keys.items():
                if f"{table}.{key}" in explicit or f"{table}.{key}" not in launch:
                    values.setdefault(table, {})[key] = value
        return replace(self, values=Values.model_validate(values), explicit=explicit)

    def differences(self, launch: Mapping[str, Any]) -> list[str]:
        """What was set now and differs from a stack's launch, one sentence each; to be asked of `relaunch`'s result."""
        wanted = self.launch()
        if wanted["stack.target"] != launch["stack.target"]:
            return [f"stack.target: {launch['stack.target']} runs, {wanted['stack.target']} is asked for"]
        found = []
        for name, value in wanted.items():
            said = name in self.explicit or (name.startswith("MP_") and value is not None)
            if said and value != launch.get(name):
                running, asked = _shown(launch.get(name)), _shown(value)
                same = "the file has changed since" if running == asked else f"{running} runs, {asked} is asked for"
                found.append(f"{name}: {same}")
        return found

    def _data_version(self) -> dict[str, Any] | None:
        path = self.values.emulator.data
        if path is None:
            return None
        try:
            found = path.stat()
        except OSError:
            return {"path": str(path), "bytes": None, "changed_ns": None}
        return {"path": str(path), "bytes": found.st_size, "changed_ns": found.st_mtime_ns}


def load(
    options: Mapping[str, Any] | None = None,
    *,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Read all settings.

    Args:
        options: what the command line said, by dotted name; None values were not said
        directory: where to look from, the current directory when None
        environment: the process's own when None

    Raises:
        HarnessError: BAD_SETTINGS (exit 2) naming the wrong value, where it stands, and what would be right
    """
    environment = dict(os.environ) if environment is None else environment
    directory = (directory or Path.cwd()).resolve()
    root = checkout_root(directory)
    said: dict[str, tuple[Any, str]] = {}
    if root is not None and (root / FILE).is_file():
        said |= _from_file(root / FILE)
    said |= _from_environment(environment)
    for name, value in (options or {}).items():
        if value is not None:
            said[name] = (value, OPTIONS.get(name, f"--{name.partition('.')[2].replace('_', '-')}"))
    _leave_ports_to_choice(said)
    explicit = {name: source for name, (_, source) in said.items()}
    _data_or_data_set(explicit)
    tables: dict[str, dict[str, Any]] = {}
    for name, (value, source) in said.items():
        table, _, key = name.partition(".")
        base = root if root and source.endswith(FILE) else directory
        is_path = _is_path(name) and isinstance(value, str | Path)
        tables.setdefault(table, {})[key] = (base / Path(value).expanduser()).resolve() if is_path else value
    try:
        values = Values.model_validate(tables)
    except pydantic.ValidationError as error:
        raise _refusal(error, explicit) from None
    kept_in = state_dir(root, environment, directory)
    if values.stack.name is not None:
        kept_in = kept_in / "stacks" / values.stack.name
    return Settings(values, explicit, kept_in, root, environment=environment)


def state_dir(root: Path | None, environment: Mapping[str, str], directory: Path) -> Path:
    """Where the stack keeps its state: HARNESS_STATE_DIR, the checkout's `.harness`, or the user's state directory."""
    if named := environment.get("HARNESS_STATE_DIR"):
        # The last part is not resolved, so that a symbolic link is seen and refused.
        path = directory / Path(named).expanduser()
        return path.parent.resolve() / path.name
    if root is not None:
        return root / ".harness"
    import platformdirs

    return platformdirs.user_state_path("mixpanel-harness")


def fault_point() -> str | None:
    """The point at which this process is to kill itself, for tests."""
    return os.environ.get("HARNESS_FAULT_POINT")


def caller() -> dict[str, str]:
    """The environment of this very command, for whoever must go on without settings."""
    return dict(os.environ)


def checkout_root(directory: Path) -> Path | None:
    """The nearest parent with a harness.toml or with this project's own pyproject.toml."""
    for parent in (directory, *directory.parents):
        if (parent / FILE).is_file():
            return parent
        if (parent / "pyproject.toml").is_file():
            try:
                project = tomllib.loads((parent / "pyproject.toml").read_text(encoding="utf-8")).get("project", {})
            except (OSError, ValueError):
                continue
            if isinstance(project, dict) and project.get("name") == DISTRIBUTION:
                return parent
    return None


def keys() -> dict[str, str]:
    """Every setting by its dotted name, with what it means."""
    return {
        f"{table}.{key}": found.description or ""
        for table, model in Values.model_fields.items()
        if isinstance(model.annotation, type) and issubclass(model.annotation, _Table)
        for key, found in model.annotation.model_fields.items()
    }


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.replace(".", "_").upper()


def _from_file(path: Path) -> dict[str, tuple[Any, str]]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _bad(f"{path} cannot be read: {error}", "mend the file; every key in it is optional") from None
    found: dict[str, tuple[Any, str]] = {}
    for table, entries in content.items():
        if not isinstance(entries, dict) and table in _table_names():
            raise _bad(f"{path}: {table} is a table, and stands there as a value", f"write [{table}], its keys below")
        if not isinstance(entries, dict):
            raise _bad(f"{path}: {table} stands outside of a table", nearest(table, _table_names()))
        if table not in _table_names():
            raise _bad(f"{path}: there is no table [{table}]", nearest(table, _table_names()))
        for key, value in entries.items():
            if f"{table}.{key}" not in keys():
                known = [name.partition(".")[2] for name in keys() if name.startswith(f"{table}.")]
                raise _bad(f"{path}: [{table}] has no key {key}", nearest(key, known))
            found[f"{table}.{key}"] = (value, str(path))
    return found


def _from_environment(environment: Mapping[str, str]) -> dict[str, tuple[Any, str]]:
    names = {variable(name): name for name in keys()}
    tables = tuple(f"{PREFIX}{table.upper()}_" for table in _table_names())
    found: dict[str, tuple[Any, str]] = {}
    for entry, value in environment.items():
        if entry in names:
            # Whoever clears a variable that is exported, or a workflow that has no value for it, leaves it empty.
            found |= {names[entry]: (value, entry)} if value else {}
        elif entry.startswith(tables):
            raise _bad(f"there is no setting for the variable {entry}", nearest(entry, list(names)))
    return found


def _table_names() -> list[str]:
    return list(Values.model_fields)


def _is_path(name: str) -> bool:
    table, _, key = name.partition(".")
    model = Values.model_fields[table].annotation
    return isinstance(model, type) and model.model_fields[key].annotation == Path | None


def _leave_ports_to_choice(said: dict[str, tuple[Any, str]]) -> None:
    """Drop the ports over which a choice of free ones was said later, that is, by something stronger."""
    named = said.get("stack.name")
    value, source = said.get("stack.ports", ("auto" if named else "fixed", named[1] if named else ""))
    if value == "auto":
        for name in [name for name in said if name.endswith(".port") and _rank(said[name][1]) < _rank(source)]:
            del said[name]


def _rank(source: str) -> int:
    return 2 if source.startswith("--") else 1 if source.startswith(PREFIX) else 0


def _data_or_data_set(explicit: Mapping[str, str]) -> None:
    # Only what stands on one command line contradicts itself; a file's value may be overruled by an option.
    if explicit.get("emulator.data", "").startswith("--"):
        for name in DATA_SET:
            if explicit.get(name, "").startswith("--"):
                raise _bad(f"--data brings its own events, so {explicit[name]} means nothing", f"drop {explicit[name]}")


def _refusal(error: pydantic.ValidationError, explicit: Mapping[str, str]) -> HarnessError:
    first = error.errors(include_url=False, include_context=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if not name:
        return _bad(message, "set another port in harness.toml or by HARNESS_MCP_PORT and its like")
    source = explicit.get(name, name)
    return _bad(
        f"{name} cannot be {ACCOUNT.sub('//…@', repr(first['input']))} (from {source})",
        f"{message[0].lower()}{message[1:]}: {keys().get(name, name)}",
    )


def _bad(cause: str, fix: str) -> HarnessError:
    return HarnessError("BAD_SETTINGS", cause, fix=fix, exit_code=Exit.USAGE)


def _told(value: Any) -> str:
    if value is None or value == []:
        return "unset"
    if isinstance(value, list):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    return str(value["path"]) if isinstance(value, dict) else str(value)
