"""Generated tables of README files."""

import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from harness import docs, settings
from harness.cli import app
from harness.errors import HarnessError
from harness.fallback import Verdict
from harness.stack.services import SERVICES
from tests.support.repository import ROOT


@pytest.mark.parametrize("block", docs.BLOCKS)
def test_every_block_is_a_table(block: str) -> None:
    lines = docs.BLOCKS[block]().splitlines()
    assert len(lines) > 2
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1
    assert not [line for line in lines if "|  |" in line], "no empty cell"


def test_blocks_are_written_once_and_then_current(tmp_path: Path) -> None:
    readme = tmp_path / "room" / "README.md"
    readme.parent.mkdir()
    readme.write_text(
        "before\n<!-- begin ports -->\n<!-- end ports -->\nbetween\n<!-- begin exit-codes -->x<!-- end exit-codes -->\n"
    )
    hidden = tmp_path / ".venv" / "README.md"
    hidden.parent.mkdir()
    hidden.write_text("<!-- begin nonsense -->")
    stale = docs.write(tmp_path, check=True)
    assert stale.stale == ("room/README.md: ports", "room/README.md: exit-codes")
    assert "8200" not in readme.read_text()
    docs.write(tmp_path, check=False)
    text = readme.read_text()
    assert text.startswith("before\n<!-- begin ports -->\n| port |")
    assert "| 8200 | `mcp` | `mcp.port` | `HARNESS_MCP_PORT` |" in text
    assert "| 124 | a deadline passed |" in text
    assert docs.write(tmp_path, check=True).stale == ()


@pytest.mark.parametrize(
    ("text", "said"), [("<!-- begin prots -->", "did you mean ports?"), ("<!-- begin ports -->", "<!-- end ports -->")]
)
def test_a_wrong_block_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "CONTRIBUTING.md").write_text(text)
    with pytest.raises(HarnessError, match=said):
        docs.write(tmp_path, check=True)


def test_every_block_of_this_repository_is_current() -> None:
    assert docs.write(Path(__file__).parents[2], check=True).stale == (), "run: harness docs"


def test_every_command_and_option_is_in_the_table() -> None:
    table = docs.command_table()
    for word in ("harness up", "--fresh", "--deadline", "harness call", "--json"):
        assert word in table


def test_every_command_of_mp_is_in_its_table() -> None:
    rows = {line.split("`")[1]: line for line in docs.mp_table().splitlines()[2:]}
    assert {"mp auth list", "mp fetch events", "mp query sql", "mp inspect column"} <= set(rows)
    assert "`[NAME]` `--from` `--to`" in rows["mp fetch events"]
    assert "`FUNNEL_ID` `--from`" in rows["mp query funnel"]
    assert rows["mp auth list"].split(" | ")[1] == "nothing"
    assert not [row for row in rows.values() if "--format" in row or "--jq" in row]


PAGES = ("README.md", "CONTRIBUTING.md", "harness/README.md")


@pytest.mark.parametrize("page", PAGES)
def test_every_command_that_a_page_names_is_one_with_these_options(page: str) -> None:
    root: Any = get_command(app)
    text = re.sub(r"<!-- begin .*?<!-- end ", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    named = re.findall(r"(?:^|`|/)harness ([a-z][^`\n#]*)", text, flags=re.MULTILINE)
    assert named
    for words in named:
        command, options = root, []
        for word in words.split():
            if word.startswith("-"):
                options.append(word.partition("=")[0])
            elif word in (within := getattr(command, "commands", {})):
                command = within[word]
        assert not getattr(command, "commands", {}) or command.invoke_without_command, f"{page}: harness {words}"
        known = {opt for parameter in command.params for opt in parameter.opts}
        assert set(options) <= known, f"{page}: harness {words}"


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_links_to_is_there(page: str) -> None:
    links = re.findall(r"\]\(([^):]+)\)", (ROOT / page).read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / page).parent.joinpath(link).exists()] == []


def test_the_readmes_ports_and_verdicts_are_those_of_the_code() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    values = settings.Settings(settings.Values(), {}, Path(), None, environment={})
    assert {f":{service.port(values)}" for service in SERVICES} == set(re.findall(r" (:8\d{3})", text))
    assert set(re.findall(r"127\.0\.0\.1(:\d+)", text)) <= {f":{service.port(values)}" for service in SERVICES} | {
        ":6379"
    }
    assert [verdict for verdict in Verdict if f"`{verdict}`" not in text] == []
