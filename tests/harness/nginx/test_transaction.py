"""Switch and restore, on real site files with a real nginx, killed at every moment."""

import os
import re
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.faultpoints import POINTS
from tests.support.ports import free_port
from tests.support.real_nginx import BINARY, Configuration, configuration, get_json, upstream
from tests.support.switching import Outcome, Switching, switching

SWITCH_POINTS = [point for point in POINTS if point.startswith("nginx.switch.")]
RESTORE_POINTS = [point for point in POINTS if point.startswith("nginx.restore.")]
SITE = """\
# Spark; minikube is {minikube}
upstream spark {{
    server {minikube} weight=2;   # {minikube}\r
}}
server {{ listen 127.0.0.1:{port}; server_name spark.local;
  location / {{ proxy_pass http://spark; }}
  location /x/ {{ proxy_pass "http://{minikube}/y/"; }} }}"""


@pytest.fixture(scope="module")
def minikube() -> Iterator[int]:
    with upstream("minikube") as port:
        yield port


@pytest.fixture(scope="module")
def copilot() -> Iterator[int]:
    with upstream("copilot") as port:
        yield port


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Configuration]:
    with configuration(tmp_path_factory.mktemp("nginx")) as made:
        yield made


@pytest.fixture(scope="module")
def anew(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Switching]:
    with switching(tmp_path_factory.mktemp("state"), BINARY) as made:
        yield made


class Case:
    """One site, enabled by a link, behind an nginx that runs."""

    def __init__(self, nginx: Configuration, harness: Switching, minikube: int, copilot: int) -> None:
        self.nginx, self.harness, self.port = nginx, harness, free_port()
        self.minikube, self.copilot = f"127.0.0.1:{minikube}", f"127.0.0.1:{copilot}"
        self.file = nginx.directory / "sites-available" / "spark"
        self.link = nginx.directory / "sites-enabled" / "spark"
        self.before = SITE.format(minikube=self.minikube, port=self.port).encode()
        lines = self.before.split(b"\n")
        # By hand: the two places that are no comment.
        lines[2] = lines[2].replace(self.minikube.encode(), self.copilot.encode(), 1)
        lines[6] = lines[6].replace(self.minikube.encode(), self.copilot.encode())
        self.after = b"\n".join(lines)
        self.file.write_bytes(self.before)
        self.file.chmod(0o640)
        self.link.symlink_to(self.file)
        self.mtime = self.file.stat().st_mtime_ns

    def switch(self, fault: str | None = None) -> Outcome:
        return self.harness.switch(self.link, self.copilot, source=self.minikube, fault=fault)

    def answers(self) -> str:
        """Who answers through nginx."""
        return str(get_json(self.port, "/x/1", "spark.local")["name"])

    def is_as_before(self) -> bool:
        """Whether nothing at all is left of a switch."""
        status = self.file.stat()
        return (
            self.file.read_bytes() == self.before
            and stat.S_IMODE(status.st_mode) == 0o640
            and status.st_mtime_ns == self.mtime
            and self.link.is_symlink()
            and [path.name for path in self.file.parent.iterdir()] == ["spark"]
            and [path.name for path in (self.harness.state / "nginx-switch").iterdir()] == ["lock"]
        )


@pytest.fixture
def case(nginx: Configuration, anew: Switching, minikube: int, copilot: int) -> Iterator[Case]:
    made = Case(nginx, anew, minikube, copilot)
    nginx.start()
    yield made
    nginx.stop()
    made.file.write_bytes(made.before)
    anew.restore()
    made.link.unlink()
    made.file.unlink()


def test_a_switch_changes_the_addresses_and_nothing_else_and_restore_undoes_it(case: Case) -> None:
    assert case.answers() == "minikube"
    switched = case.switch()
    assert switched.done, switched.error
    assert switched.done["deed"] == "switched"
    assert switched.done["files"] == [str(case.file)]
    assert switched.done["heard"] == [f"HTTP 200 from http://127.0.0.1:{case.port}/health"]
    assert case.file.read_bytes() == case.after
    assert stat.S_IMODE(case.file.stat().st_mode) == 0o640
    assert case.link.is_symlink()
    assert case.answers() == "copilot"
    again = case.switch()
    assert again.done
    assert again.done["deed"] == "kept"
    restored = case.harness.restore()
    assert restored.done
    assert restored.done["deed"] == "restored"
    assert case.is_as_before()
    assert case.answers() == "minikube"
    nothing = case.harness.restore()
    assert nothing.done
    assert nothing.done["deed"] == "nothing"


@pytest.mark.parametrize("point", SWITCH_POINTS)
def test_a_switch_that_is_killed_anywhere_is_undone_by_restore(case: Case, point: str) -> None:
    assert case.switch(fault=point).killed
    assert case.file.read_bytes() in (case.before, case.after)
    assert case.harness.restore().error is None
    assert case.is_as_before()
    assert case.answers() == "minikube"


@pytest.mark.parametrize("point", RESTORE_POINTS)
def test_a_restore_that_is_killed_anywhere_is_finished_by_the_next(case: Case, point: str) -> None:
    assert case.switch().done
    assert case.harness.restore(fault=point).killed
    assert case.harness.restore().error is None
    assert case.is_as_before()
    assert case.answers() == "minikube"


def test_a_switch_after_a_killed_one_begins_with_what_was_there_first(case: Case) -> None:
    assert case.switch(fault="nginx.switch.put").killed
    switched = case.switch()
    assert switched.done, switched.error
    assert switched.done["deed"] == "switched"
    assert case.file.read_bytes() == case.after
    assert case.harness.restore().done
    assert case.is_as_before()


def test_a_switch_to_another_address_undoes_the_first_one(case: Case) -> None:
    with upstream("second") as port:
        assert case.switch().done
        second = case.harness.switch(case.link, f"127.0.0.1:{port}", source=case.minikube)
        assert second.done, second.error
        assert case.answers() == "second"
        assert case.harness.restore().done
    assert case.is_as_before()


def test_what_somebody_else_changed_meanwhile_is_left_alone(case: Case) -> None:
    assert case.switch().done
    changed = case.after.replace(b"weight=2", b"weight=3")
    case.file.write_bytes(changed)
    for _ in range(2):
        refused = case.harness.restore()
        assert refused.error
        assert (refused.error["code"], refused.error["exit_code"]) == ("CHANGED_MEANWHILE", 5)
        assert f"{case.copilot} becomes {case.minikube}" in refused.error["fix"]
        assert case.file.read_bytes() == changed
    # Whoever takes their change back gets the undo after all.
    case.file.write_bytes(case.after)
    assert case.harness.restore().done
    assert case.file.read_bytes() == case.before


def test_a_file_that_is_gone_is_not_made_again(case: Case) -> None:
    assert case.switch().done
    case.file.unlink()
    refused = case.harness.restore()
    assert refused.error
    assert refused.error["exit_code"] == 5
    assert not case.file.exists()


def test_an_address_that_nobody_listens_on_is_refused_before_anything_changes(case: Case) -> None:
    refused = case.harness.switch(case.link, f"127.0.0.1:{free_port()}", source=case.minikube)
    assert refused.error
    assert (refused.error["code"], refused.error["exit_code"]) == ("TARGET_SILENT", 7)
    assert case.file.read_bytes() == case.before


def test_a_switch_that_nginx_answers_with_bad_gateway_is_put_back(case: Case) -> None:
    # It takes connections and says nothing that nginx could pass on.
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        case.file.write_bytes(case.before.replace(b"http://spark;", b"http://spark; proxy_read_timeout 100ms;"))
        case.before, case.mtime = case.file.read_bytes(), case.file.stat().st_mtime_ns
        refused = case.harness.switch(case.link, f"127.0.0.1:{port}", source=case.minikube)
    assert refused.error
    assert refused.error["code"] == "NOT_FOLLOWED"
    assert "504" in refused.error["cause"]
    assert case.is_as_before()
    assert case.answers() == "minikube"


def test_a_configuration_that_nginx_does_not_take_is_not_touched(case: Case) -> None:
    broken = case.before + b"\nlisten_to_me 1;"
    case.file.write_bytes(broken)
    refused = case.switch()
    assert refused.error
    assert refused.error["code"] == "SITE_BROKEN"
    assert "listen_to_me" in refused.error["cause"]
    assert case.file.read_bytes() == broken


@pytest.mark.parametrize("padding", [0, 400], ids=["no room for the journal", "no room for the new content"])
def test_a_full_disk_leaves_all_as_it_was(case: Case, padding: int) -> None:
    case.before += b"\n" + b"# much more\n" * padding
    case.file.write_bytes(case.before)
    case.mtime = case.file.stat().st_mtime_ns
    # One byte more than 127.0.0.1, and the same place.
    longer = case.copilot.replace("127.0.0.1", "127.00.0.1")
    refused = case.harness.switch(case.link, longer, source=case.minikube, largest=len(case.before))
    assert refused.error
    assert refused.error["code"] == "SYSTEM_REFUSES"
    assert case.harness.restore().done
    assert case.is_as_before()
    assert case.answers() == "minikube"


def test_a_switch_to_where_it_led_first_is_an_undo(case: Case) -> None:
    assert case.switch().done
    back = case.harness.switch(case.link, case.minikube, source=case.copilot)
    assert back.done, back.error
    assert back.done["deed"] == "kept"
    assert case.is_as_before()
    assert case.answers() == "minikube"


def test_without_a_running_nginx_the_file_is_switched_and_told_so(case: Case) -> None:
    case.nginx.stop()
    switched = case.switch()
    assert switched.done, switched.error
    assert switched.done["reloaded"] is False
    assert case.file.read_bytes() == case.after
    assert case.harness.restore().done
    assert case.is_as_before()


def test_owner_attributes_and_hard_links(case: Case) -> None:
    other = case.file.with_name("other-name")
    other.hardlink_to(case.file)
    try:
        os.setxattr(case.file, "user.note", b"kept")
    except OSError:
        pytest.skip("this file system keeps no attributes of users")
    if os.geteuid() == 0:
        os.chown(case.file, 12, 34)
    case.file.chmod(0o2644)
    before = case.file.stat()
    switched = case.switch()
    assert switched.done
    assert "2 names (hard links)" in switched.done["notes"][0]
    for _ in ("switched", "restored"):
        after = case.file.stat()
        assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)
        assert os.getxattr(case.file, "user.note") == b"kept"
        assert case.harness.restore().done
    assert other.read_bytes() == case.before
    other.unlink()


def test_two_stacks_at_once_do_not_spoil_each_other(case: Case, tmp_path: Path) -> None:
    """The second one meets the site as the first one left it, so it has nothing to change, or is the first itself."""
    import threading

    results = []
    with switching(tmp_path / "other", BINARY) as other:
        threads = [
            threading.Thread(
                target=lambda each=each: results.append(each.switch(case.link, case.copilot, source=case.minikube))
            )
            for each in (case.harness, other)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert case.file.read_bytes() == case.after
        deeds = sorted(each.done["deed"] if each.done else each.error["code"] for each in results)
        assert deeds in (["kept", "switched"], ["CHANGED_MEANWHILE", "switched"]), results
        for each in (case.harness, other):
            assert each.restore().error is None
    assert case.is_as_before()


def test_every_fault_point_is_reached_by_name() -> None:
    sources = "".join(path.read_text() for path in Path("harness/nginx").glob("*.py"))
    named = set(re.findall(r'"(nginx\.(?:switch|restore)\.\w+)"', sources))
    assert named == {point for point in POINTS if point.startswith("nginx.")}
