"""The catalogue as data: every row explains itself, and reading it costs nobody a server."""

import subprocess
import sys

import pytest

from mp_mcp_server.catalogue import TOOLS, ToolSpec
from mp_mcp_server.docstrings import take_apart

every_tool = pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)


@every_tool
def test_every_tool_explains_itself(tool: ToolSpec) -> None:
    doc = tool.run.__doc__ or ""
    assert len(tool.purpose) > 40
    assert "\n" not in tool.purpose
    assert "Returns: " in tool.description
    assert all(f"{parameter.name}:" in doc for parameter in tool.parameters)
    # "first day" is enough, and each byte is paid for by every client
    assert all(len(text) >= len("first day") for text in tool.parameter_texts.values())


@every_tool
def test_every_tool_takes_the_workspace_or_the_call_first_and_keywords_then(tool: ToolSpec) -> None:
    import inspect

    first, *others = inspect.signature(tool.run).parameters.values()
    assert first.name in {"workspace", "call"}
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in others)


@every_tool
def test_every_example_fits_the_parameters(tool: ToolSpec) -> None:
    names = {parameter.name for parameter in tool.parameters}
    required = {parameter.name for parameter in tool.parameters if parameter.default is parameter.empty}
    assert required <= set(tool.example) <= names


@every_tool
def test_every_endpoint_is_one_of_the_library(tool: ToolSpec) -> None:
    from mixpanel_data.endpoints import ENDPOINTS

    assert set(tool.endpoints) <= set(ENDPOINTS)


@every_tool
def test_what_only_reads_destroys_nothing(tool: ToolSpec) -> None:
    assert not (tool.read_only and tool.destructive)
    assert tool.destructive == tool.name.startswith("drop_")


def test_names_are_unique() -> None:
    assert len({tool.name for tool in TOOLS}) == len(TOOLS)


def loaded_by(statement: str) -> set[str]:
    """The top-level modules that a statement brings into a fresh interpreter."""
    script = f"import sys\n{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    return set(ended.stdout.split())


def test_reading_the_catalogue_needs_no_server_no_database_and_no_network() -> None:
    loaded = loaded_by("import mp_mcp_server.catalogue")
    assert "pydantic" in loaded  # the probe sees what is loaded
    assert not loaded & {"fastmcp", "mcp", "duckdb", "pandas", "numpy", "httpx", "uvicorn", "starlette"}


def test_a_server_that_nobody_has_called_has_loaded_neither_duckdb_nor_pandas() -> None:
    loaded = loaded_by(
        "from mp_mcp_server.server import application, build, Settings\napplication(build(Settings()), 'http')"
    )
    assert "fastmcp" in loaded
    assert not loaded & {"duckdb", "pandas", "numpy", "griffe"}


def test_the_command_line_answers_usage_questions_without_loading_a_server() -> None:
    loaded = loaded_by("from mp_mcp_server import cli\ncli._parser().format_help()")
    assert not loaded & {"fastmcp", "uvicorn", "pydantic", "httpx", "duckdb"}


def test_a_docstring_is_taken_apart_at_its_headings() -> None:
    def sample() -> None:
        """Do it, when
        it must be done.

        Second paragraph: with a colon.

        Args:
            first: what it is
            second: a long text,
                continued here: with a colon

        Returns:
            The thing,
            in days.

        Source: somewhere, section 1
        """

    doc = take_apart(sample)
    assert doc.opening == "Do it, when it must be done.\n\nSecond paragraph: with a colon."
    assert doc.arguments == {"first": "what it is", "second": "a long text, continued here: with a colon"}
    assert doc.returns == "The thing, in days."


def test_a_server_loads_little_that_fastmcp_does_not() -> None:
    """By count, which a busy machine does not change; how long it takes is a row of the benchmark."""
    count = "import sys; print(len(sys.modules))"
    floor, ours = (
        int(
            subprocess.run(
                [sys.executable, "-c", f"{statement}\n{count}"], capture_output=True, text=True, timeout=60, check=True
            ).stdout
        )
        for statement in (
            "from fastmcp import FastMCP",
            "from mp_mcp_server.server import application, build\napplication(build(), 'http')",
        )
    )
    assert floor < ours < floor + 120
