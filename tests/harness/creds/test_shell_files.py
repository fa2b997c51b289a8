"""What a start file exports is what bash itself would export, found without running anything."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.creds import shell_files
from harness.creds.shell_files import Export, exports, unloaded
from harness.creds.shell_words import commands

LINES = [
    ("export MP_SECRET=plain", "plain"),
    ("export MP_SECRET='se#cret;x'", "se#cret;x"),
    ('export MP_SECRET="with blanks and \\" quotes"', 'with blanks and " quotes'),
    ("export MP_SECRET=a\\ b", "a b"),
    ("export MP_SECRET='a'\"b\"c", "abc"),
    ("export MP_REGION=us MP_SECRET=second # a comment", "second"),
    ("MP_SECRET=set\nexport MP_SECRET", "set"),
    ("export MP_SECRET\nMP_SECRET=later", "later"),
    ("declare -x MP_SECRET=declared", "declared"),
    ("export MP_SECRET=one; export MP_SECRET=two", "two"),
    ("export MP_SECRET='two\nlines'", "two\nlines"),
    ("export \\\n  MP_SECRET=continued", "continued"),
    ("cat > /dev/null <<EOF\nexport MP_SECRET=inside\nEOF\nexport MP_SECRET=after", "after"),
    ("cat > /dev/null <<-'END'\n\texport MP_SECRET=inside\n\tEND\nexport MP_SECRET=after", "after"),
    ("true $(echo ')' \"a)\") ; export MP_SECRET=behind", "behind"),
    ("# export MP_SECRET=commented\nexport MP_SECRET=x", "x"),
    ("MP_SECRET=for-one-command true\nexport MP_SECRET=x", "x"),
]


def one(tmp_path: Path, text: str) -> Export:
    path = tmp_path / ".bashrc"
    path.write_text(text)
    return [found for found in exports(path) if found.variable == "MP_SECRET"][-1]


@pytest.mark.parametrize(("text", "value"), LINES, ids=[text.splitlines()[0] for text, _ in LINES])
def test_a_value_is_read_as_bash_reads_it(tmp_path: Path, text: str, value: str) -> None:
    found = one(tmp_path, text)
    assert (found.value, found.exported, found.always) == (value, True, True)
    bash = shutil.which("bash")
    if bash:
        said = subprocess.run(
            [bash, "--norc", "-c", f"{text}\nprintf %s \"$(printenv MP_SECRET)\""],
            capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        assert said.stdout == value


@pytest.mark.parametrize(
    "text",
    [
        "export MP_SECRET=$(pass show mixpanel)",
        "export MP_SECRET=`cat x`",
        'export MP_SECRET="$OTHER"',
        "export MP_SECRET=~/x",
    ],
)
def test_a_value_that_the_shell_would_compute_is_not_known(tmp_path: Path, text: str) -> None:
    assert one(tmp_path, text).value is None


@pytest.mark.parametrize(
    "text",
    [
        "if [ -f x ]; then\n  export MP_SECRET=x\nfi",
        "load() {\n  export MP_SECRET=x\n}",
        "[ -f x ] && export MP_SECRET=x",
        "for i in 1 2; do export MP_SECRET=x; done",
        "(export MP_SECRET=x)",
        "case $- in *i*) export MP_SECRET=x ;; esac",
    ],
)
def test_where_the_shell_may_not_come_by_is_not_sure(tmp_path: Path, text: str) -> None:
    assert one(tmp_path, text).always is False
    assert unloaded(tmp_path, {"MP_SECRET": "y"}) == ()
    assert [each.how for each in unloaded(tmp_path, {})] == ["not loaded"]


def test_what_is_behind_a_condition_is_sure_again(tmp_path: Path) -> None:
    assert one(tmp_path, "if true; then\n  echo\nfi\nexport MP_SECRET=x").always is True


def test_set_without_export_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / ".bashrc").write_text("MP_SECRET=x\n")
    (found,) = unloaded(tmp_path, {})
    assert (found.how, found.line) == ("not exported", 1)


def test_what_the_shell_has_so_is_not_told(tmp_path: Path) -> None:
    (tmp_path / ".bashrc").write_text("export MP_SECRET=x\n")
    assert unloaded(tmp_path, {"MP_SECRET": "x"}) == ()
    assert [each.how for each in unloaded(tmp_path, {"MP_SECRET": "y"})] == ["another value"]
    assert unloaded(tmp_path / "nowhere", {}) == ()


def test_a_value_stands_in_no_repr(tmp_path: Path) -> None:
    assert "hidden" not in repr(one(tmp_path, "export MP_SECRET=hidden"))


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("a=MP_ \n\t'\"\\$()`{};&|<#-if fi do done export"), max_size=200))
def test_no_text_is_too_strange_to_be_read(text: str) -> None:
    found = list(commands(text))
    assert all(command.words and 1 <= command.line <= text.count("\n") + 1 for command in found)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("piece", ["'", '"$(', "<<a\n", "a=(", "\\\n", "`$", "${x#", "((", "if ", "a "])
def test_a_text_made_to_take_for_ever_is_read_to_its_end(piece: str) -> None:
    # Quadratic reading of so much would take minutes.
    assert len(list(commands(piece * 60_000))) <= 60_000


def test_no_more_of_a_file_is_read_than_is_sane(tmp_path: Path) -> None:
    path = tmp_path / ".bashrc"
    path.write_text("#" * shell_files.LONGEST_BYTES + "\nexport MP_SECRET=x\n")
    assert exports(path) == ()
