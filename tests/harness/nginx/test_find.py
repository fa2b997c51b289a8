"""Where a configuration sends requests on, and the bytes that say so."""

from pathlib import Path

import pytest

from harness.errors import Exit, HarnessError
from harness.nginx import find
from harness.nginx.find import Address, confirm, edits, led_from, sources_for, spots
from harness.nginx.splice import splice
from harness.nginx.tree import read_tree

M = b"192.168.49.2:30082"
T = "127.0.0.1:9"

CHANGED = [
    b"server { location / { proxy_pass http://@; } }",
    b"server { location / { proxy_pass http://@/; } }",
    b"server { location / { proxy_pass http://@/a/b?c=192.168.49.2:30082; } }",
    b"server { location / { proxy_pass http://@$request_uri; } }",
    b'server { location / { proxy_pass\t"http://@/x y" ; } }',
    b"server { location / { proxy_pass\r\n 'HTTPS://@'\r\n; } }",
    b"server{location /{proxy_pass http://@;}}",
    b"server { # proxy_pass http://192.168.49.2:30082;\n proxy_pass http://@; # 192.168.49.2:30082\n}",
    b"upstream a { server @; server @ weight=2 max_fails=0; server 10.0.0.1:30082 backup; }",
    b"upstream a{server @;}upstream b{server\n@\n;keepalive 8;}server{location /{proxy_pass http://b;}}",
    b"server { set $b @; location / { proxy_pass http://$b; } }",
    b'server { set $h "http://@"; set $b $h; location / { proxy_pass ${b}/x; } }',
    b"map $host $b { default @; else.where 10.1.1.1:80; }\nserver { location / { proxy_pass http://$b$uri; } }",
    b"stream { server { proxy_pass @; } }",
    b'server { if ($a = "192.168.49.2:30082") { proxy_pass http://@; } location ~ "^/a{2}" { proxy_pass http://@; } }',
    b'server { add_header X "192.168.49.2:30082"; return 200 192.168.49.2:30082; proxy_pass http://@; }',
    b"server { set $unused 192.168.49.2:30082; proxy_pass http://@; }",
    b"# caf\xe9 \xc3\xa9\nserver { server_name caf\xc3\xa9.example; proxy_pass http://@; }",
    b'server { content_by_lua_block { local a = "http://192.168.49.2:30082" } proxy_pass http://@; }',
]
LEFT_ALONE = [
    b"server { proxy_pass http://192.168.49.2:300820; }",
    b"server { proxy_pass http://192.168.49.2:3008; }",
    b"server { proxy_pass http://1192.168.49.2:30082; }",
    b"server { proxy_pass http://192.168.49.2; }",
    b"server { proxy_pass http://10.0.0.1:80/192.168.49.2:30082; }",
    b"server { proxy_pass http://unix:/tmp/192.168.49.2:30082; }",
    b"server { listen 192.168.49.2:30082; fastcgi_pass 192.168.49.2:30082; }",
    b"server { proxy_pass http://user@192.168.49.2:30082; }",
]


def write(directory: Path, content: bytes, name: str = "site.conf") -> Path:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def switched(directory: Path, content: bytes) -> bytes:
    path = write(directory, content)
    tree = read_tree(path)
    found = edits(spots(tree), [Address.parse(M.decode())], Address.parse(T))
    for file in found:
        confirm(tree, file)
    return splice(content, found.get(path, ()))


@pytest.mark.parametrize("template", CHANGED)
def test_exactly_the_addresses_that_requests_go_to_are_changed(tmp_path: Path, template: bytes) -> None:
    # An @ stands where the address is one that requests go to.
    assert switched(tmp_path, template.replace(b"@", M)) == template.replace(b"@", T.encode())


@pytest.mark.parametrize("content", LEFT_ALONE)
def test_what_only_looks_like_it_is_left_alone(tmp_path: Path, content: bytes) -> None:
    assert switched(tmp_path, content) == content


def test_a_file_in_which_two_parsers_see_different_things_is_not_changed(tmp_path: Path) -> None:
    # To nginx a no-break space is part of the word, to crossplane it ends it.
    path = write(tmp_path, "server { proxy_pass http://192.168.49.2:30082; server_name a; listen\u00a080; }".encode())
    with pytest.raises(HarnessError) as refused:
        confirm(read_tree(path), path)
    assert (refused.value.code, refused.value.exit_code) == ("READINGS_DIFFER", Exit.CONFLICT)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("localhost:8082", "127.0.0.1:8082", True),
        ("[::1]:8082", "127.0.0.1:8082", True),
        ("LOCALHOST:8082", "127.1.2.3:8082", True),
        ("localhost:8082", "localhost:8083", False),
        ("192.168.49.2:30082", "192.168.49.2:30082", True),
        ("192.168.49.2:30082", "192.168.49.3:30082", False),
    ],
)
def test_the_names_of_this_machine_are_one_place(one: str, other: str, same: bool) -> None:
    assert Address.parse(one).same(Address.parse(other)) is same


@pytest.mark.parametrize(
    "text", ["", "localhost", "localhost:", ":80", "a b:80", "host:0", "host:65536", "host:8o", "h:1/"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(HarnessError) as refused:
        Address.parse(text)
    assert (refused.value.code, refused.value.exit_code) == ("BAD_ADDRESS", Exit.USAGE)
    assert "host:port" in refused.value.fix


def test_minikube_and_the_local_stack_change_places() -> None:
    here, there = Address.parse("127.0.0.1:18082"), Address.parse(find.MINIKUBE)
    assert [str(each) for each in sources_for(here, 18082)] == [find.MINIKUBE, "127.0.0.1:8082"]
    assert [str(each) for each in sources_for(there, 18082)] == ["127.0.0.1:18082", "127.0.0.1:8082"]
    assert [str(each) for each in sources_for(Address.parse("localhost:8082"), 8082)] == [find.MINIKUBE]


def test_includes_are_followed_as_nginx_follows_them(tmp_path: Path) -> None:
    root = write(tmp_path, b"http { include upstreams/*.conf; include sites/*; }", "nginx.conf")
    upstream = write(tmp_path, b"upstream spark { server 192.168.49.2:30082; }", "upstreams/deep/../a.conf")
    write(tmp_path, b"upstream no { server 192.168.49.2:30082; }", "upstreams/.hidden.conf")
    write(tmp_path, b"upstream no { server 192.168.49.2:30082; }", "upstreams/b.txt")
    site = write(tmp_path, b"server { include snippets/pass.conf; }", "available/spark")
    snippet = write(tmp_path, b"location / { proxy_pass http://spark; }", "snippets/pass.conf")
    other = write(tmp_path, b"server { proxy_pass http://192.168.49.2:30082; }", "sites/other")
    (tmp_path / "sites" / "spark").symlink_to(site)
    tree = read_tree(root)
    assert set(tree.sources) == {root, upstream.resolve(), site, snippet, other}
    assert {spot.file for spot in spots(tree)} == {upstream.resolve(), other}
    # The site is asked by its link; its upstream stands in another file, and the other site is none of its business.
    assert [spot.file for spot in spots(tree, tmp_path / "sites" / "spark")] == [upstream.resolve()]
    assert tree.names[site] == tmp_path / "sites" / "spark"


def test_a_file_that_includes_itself_is_read_once(tmp_path: Path) -> None:
    root = write(tmp_path, b"include site.conf; server { proxy_pass http://192.168.49.2:30082; }")
    tree = read_tree(root)
    assert len(spots(tree)) == 1
    assert tree.notes == [f"{root} includes itself"]


def test_a_snippet_of_two_servers_is_changed_once_and_leads_from_both(tmp_path: Path) -> None:
    server = b"server { listen %d; location /%d { include pass.conf; } }"
    root = write(tmp_path, server % (1, 1) + server % (2, 2))
    snippet = write(tmp_path, b"proxy_pass http://192.168.49.2:30082;", "pass.conf")
    tree = read_tree(root)
    (spot,) = spots(tree)
    assert spot.file == snippet
    confirm(tree, snippet)
    servers = [placed.inside("server") for placed in led_from(tree, spot)]
    assert [each.block[0].arguments[0].text for each in servers if each and each.block] == ["1", "2"]


def test_an_include_that_is_missing_is_told(tmp_path: Path) -> None:
    tree = read_tree(write(tmp_path, b"include gone.conf;"))
    assert "gone.conf" in tree.notes[0]


def test_a_site_that_nothing_includes_is_refused(tmp_path: Path) -> None:
    tree = read_tree(write(tmp_path, b"server {}", "nginx.conf"))
    with pytest.raises(HarnessError) as refused:
        spots(tree, write(tmp_path, b"server {}", "other"))
    assert (refused.value.code, refused.value.exit_code) == ("SITE_NOT_READ", Exit.USAGE)
