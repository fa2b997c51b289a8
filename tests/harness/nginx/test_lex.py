"""An nginx file's words, and where their bytes stand."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.nginx.lex import SiteSyntaxError, Statement, Word, read

PLAIN = st.text("abz019./:_-~^*@=$}\\", min_size=1, max_size=12).filter(
    lambda text: text[0] not in "}\\" and not text.endswith(("\\", "$"))
)
INSIDE = st.text(" \t\r\n;{}#ab9.:'é\xa0", max_size=12)
BLANK = st.sampled_from([b" ", b"\t", b"\r\n", b"\n", b"  \t ", b" # 192.168.49.2:30082; }\n", b"\n#\n"])


@st.composite
def written(draw: st.DrawFn, depth: int = 0) -> tuple[bytes, list[Any]]:
    """A file's bytes, and the statements that they were made from: name, arguments, block."""
    source = draw(st.sampled_from([b"", b"\r\n", b"# first\n"]))
    made: list[Any] = []
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from(["server", "location", "proxy_pass", "x_1"]))
        source += name.encode()
        words = []
        for _ in range(draw(st.integers(0, 3))):
            source += draw(BLANK)
            if draw(st.booleans()):
                word = draw(INSIDE).encode(draw(st.sampled_from(["utf-8", "latin-1"])))
                source += b'"' + word + b'"'
            else:
                word = draw(PLAIN).encode()
                source += word
            words.append(word)
        source += draw(st.sampled_from([b"", b" ", b"\n"])) if words else b""
        if depth < 2 and draw(st.booleans()):
            inner, statements = draw(written(depth + 1))
            source += b"{" + inner + b"}" + draw(st.sampled_from([b"", b" ", b"\r\n"]))
            made.append([name, words, statements])
        else:
            source += b";" + draw(st.sampled_from([b"", b"\n", b"# end\n"]))
            made.append([name, words, None])
    return source, made


def plain(statements: tuple[Statement, ...]) -> list[Any]:
    return [
        [each.name, [word.raw for word in each.arguments], None if each.block is None else plain(each.block)]
        for each in statements
    ]


def words_of(statements: tuple[Statement, ...]) -> list[Word]:
    return [word for each in statements for word in (*each.arguments, *(words_of(each.block) if each.block else ()))]


@given(written())
def test_what_is_written_is_read_and_every_word_stands_where_it_says(made: tuple[bytes, list[Any]]) -> None:
    source, statements = made
    found = read(source)
    assert plain(found) == statements
    for word in words_of(found):
        assert source[word.start : word.start + len(word.raw)] == word.raw


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (rb'a "b\"c" d;', [rb"b\"c", b"d"]),
        (b"a 'it;{' \"x\ny\";", [b"it;{", b"x\ny"]),
        (b"a ${b}c;", [b"${b}c"]),
        (b"a b#c;", [b"b#c"]),
        (rb"a b\ c\;d;", [rb"b\ c\;d"]),
        (b"a b\xa0c \xff;", [b"b\xa0c", b"\xff"]),
        (b'a b"c d";', [b'b"c', b'd"']),
        (b'if ($a = "b") {}', [b"($a", b"=", b"b", b")"]),
    ],
)
def test_words_are_parted_as_nginx_parts_them(source: bytes, words: list[bytes]) -> None:
    assert [word.raw for word in read(source)[0].arguments] == words


def test_a_lua_block_is_one_statement_whatever_stands_in_it() -> None:
    source = b'content_by_lua_block { local s = "}" -- }\n local t = [[ { ]] if s then x{1} end }\nproxy_pass b;'
    assert [each.name for each in read(source)] == ["content_by_lua_block", "proxy_pass"]


@pytest.mark.parametrize(
    ("source", "what", "line"),
    [
        (b"a {\nb;\n", '"}"', 3),
        (b"a b\n", '";" or "}"', 2),
        (b"a;\n}\n", 'unexpected "}"', 2),
        (b"\n\n;", 'unexpected ";"', 3),
        (b"a;\nb 'c;\n", "quote is left open", 2),
        (b"a 'b'c;", "goes on behind its quote", 1),
        (b"a;\nb \\", "backslash", 2),
        (b"a { b }", 'unexpected "}"', 1),
        (b"x_by_lua_block { {", "Lua block is left open", 1),
    ],
)
def test_what_nginx_would_not_read_is_refused_with_its_line(source: bytes, what: str, line: int) -> None:
    with pytest.raises(SiteSyntaxError) as refused:
        read(source)
    assert what in refused.value.what
    assert refused.value.line == line


def test_a_statement_stands_in_the_line_of_its_name() -> None:
    source = b"a\n  b;\n# c\r\nd {\n\n  e 'f\n\n';\n  g;\n}\nh;"
    outer = read(source)
    assert [(each.name, each.line) for each in (*outer, *(outer[1].block or ()))] == [
        ("a", 1), ("d", 4), ("h", 11), ("e", 6), ("g", 9),
    ]  # fmt: skip
