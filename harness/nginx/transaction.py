"""Switch a site to another upstream, and put it back: journal first, nginx asked before and after."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import clock
from harness.errors import Exit, HarnessError
from harness.faultpoints import reach
from harness.nginx import binary, find, journal, proof, replace, root
from harness.nginx.binary import Master, Nginx
from harness.nginx.find import Address, Spot
from harness.nginx.journal import Change, Entry, Journal
from harness.nginx.proof import Door, Heard
from harness.nginx.sites import Site
from harness.nginx.splice import Edit, splice


@dataclass(frozen=True, slots=True)
class Done:
    """What a switch or an undo did.

    deed: switched, kept (it already led there), restored or nothing (there was nothing to undo)
    files: the real files that were changed
    reloaded: whether nginx runs and follows; False where it does not run
    heard: the answers through nginx's doors
    notes: what else there is to know, one sentence each
    """

    deed: str
    to: str | None
    files: tuple[Path, ...]
    reloaded: bool
    heard: tuple[str, ...]
    notes: tuple[str, ...]


def switch(
    state_dir: Path,
    look: Callable[[], Site],
    to: Address,
    sources: Sequence[Address],
    *,
    as_root: Callable[[str], None],
) -> Done:
    """Lead what a site sends to one of the sources to another address; nothing else in its files changes.

    A switch of this stack that is still open, or was cut, is undone first.

    Args:
        look: reads the site, each time anew
        as_root: does the same as root after consent, or raises; called with the reason

    Returns:
        Done with deed switched, or kept where it leads there already

    Raises:
        HarnessError: NOTHING_FOUND (exit 2); TARGET_SILENT (7); SITE_BROKEN, NOT_FOLLOWED (1) with all put back;
            CHANGED_MEANWHILE, READINGS_DIFFER (5); NEEDS_ROOT
    """
    kept = Journal(state_dir)
    site, entry = look(), kept.read_if_there()
    # What an open switch leads elsewhere now is one of the sources again once it is undone.
    open_to = [] if entry is None or Address.parse(entry.to).same(to) else [Address.parse(entry.to)]
    edits = _edits(site, to, [*sources, *open_to])
    if not edits and (entry is None or (entry.done and entry.to == str(to))):
        return Done("kept", str(to), _files(entry), site.master is not None, (), tuple(site.tree.notes))
    if not proof.listens(to):
        raise HarnessError(
            "TARGET_SILENT",
            f"nothing listens on {to}, so the site would lead nowhere",
            fix="start it first: harness up; or name another address: --to HOST:PORT",
            exit_code=Exit.NOT_RUNNING,
        )
    if why := needs_root([*edits, *_files(entry)], site.master):
        as_root(why)
        return Done("switched", str(to), _files(kept.read_if_there()), site.master is not None, (), ("done as root",))
    with kept.lock(), _told(Exit.FAILED):
        reach("nginx.switch.begun")
        kept.sweep_unless_open()
        entry = kept.read()
        if entry is not None:
            _restore(kept, entry)
            site = look()
            edits = _edits(site, to, sources)
        if not edits:
            return Done("kept", str(to), (), site.master is not None, (), tuple(site.tree.notes))
        return _switch(kept, site, to, edits)


def restore(state_dir: Path, *, as_root: Callable[[str], None]) -> Done:
    """Undo the switch that is open, byte for byte; nothing to undo is good too.

    Raises:
        HarnessError: CHANGED_MEANWHILE (exit 5) with every file left as it is; NGINX_REFUSES, JOURNAL_DAMAGED (8);
            NEEDS_ROOT
    """
    kept = Journal(state_dir)
    if not kept.directory.is_dir():
        return Done("nothing", None, (), False, (), ())
    entry = kept.read_if_there()
    if entry is not None:
        master = _master(entry)[1]
        there = [change.path for change in entry.changes if change.path.exists()]
        if why := needs_root(there, master):
            as_root(why)
            return Done("restored", None, _files(entry), master is not None, (), ("done as root",))
    with kept.lock(), _told(Exit.UNDO_INCOMPLETE):
        kept.sweep_unless_open()
        entry = kept.read()
        if entry is None:
            return Done("nothing", None, (), False, (), ())
        return _restore(kept, entry)


def forget(state_dir: Path) -> Done:
    """Give the open switch up: the files stay as they are now."""
    kept = Journal(state_dir)
    if kept.read_if_there() is None:
        return Done("nothing", None, (), False, (), ())
    with kept.lock():
        entry = kept.read()
        if entry is None:
            return Done("nothing", None, (), False, (), ())
        for change in entry.changes:
            change.aside.unlink(missing_ok=True)
        kept.close()
    notes = tuple(f"{change.named} stays as it is; before: {journal.by_hand(change)}" for change in entry.changes)
    return Done("forgotten", None, _files(entry), False, (), notes)


def restore_for_down(state_dir: Path, *, ask: bool = True) -> Done:
    """The undo that `harness down` brings along; consent at the switch covers it.

    Args:
        ask: whether somebody may be asked on the terminal before something is run as root

    Raises:
        HarnessError: exit 8, whatever is in the way; its fix is the one command that is left
    """
    command = root.command(state_dir, "restore")

    def as_root(why: str) -> None:
        root.run_or_refuse(command, why, ask=ask, exit_code=Exit.UNDO_INCOMPLETE)

    try:
        return restore(state_dir, as_root=as_root)
    except HarnessError as error:
        raise HarnessError(error.code, error.cause, fix=error.fix, exit_code=Exit.UNDO_INCOMPLETE) from None


def needs_root(files: Sequence[Path], master: Master | None) -> str | None:
    """Why this user cannot do it, or None where they can."""
    for file in files:
        if not replace.may_replace(file):
            return f"{file} may be changed by {file.owner()} only"
    if master is not None and not binary.is_mine(master):
        return f"nginx (pid {master.who.pid}) was started by somebody else, and only they may reload it"
    return None


@contextlib.contextmanager
def _told(exit_code: Exit) -> Iterator[None]:
    """Turn what the system refuses, such as a full disk or a file that is mounted by itself, into an error of ours."""
    try:
        yield
    except OSError as error:
        raise HarnessError(
            "SYSTEM_REFUSES",
            f"{error.filename or 'a file'}: {error.strerror or error}",
            fix="mend that (a full disk? a file mounted by itself?), then see: harness nginx status",
            exit_code=exit_code,
        ) from error


def _edits(site: Site, to: Address, sources: Sequence[Address]) -> dict[Path, tuple[Edit, ...]]:
    edits = find.edits(site.spots, sources, to)
    if not edits and not any(spot.address.same(to) for spot in site.spots):
        raise _nothing_found(site, sources, to)
    for file in edits:
        find.confirm(site.tree, file)
    return edits


def _switch(kept: Journal, site: Site, to: Address, edits: dict[Path, tuple[Edit, ...]]) -> Done:
    _require_good(site, "before anything was changed")
    identity = journal.new_id()
    with replace.held({file.parent for file in edits}):
        found = {file: _unchanged(site, file) for file in edits}
        notes = [*site.tree.notes, *_linked(found)]
        changes = tuple(
            Change(
                path=file,
                named=site.tree.names[file],
                before=journal.digest(each.content),
                after=journal.digest(splice(each.content, edits[file])),
                mtime_ns=each.mtime_ns,
                original=kept.keep_original(number, each.content),
                aside=file.with_name(f".{file.name}.harness-{identity}"),
                edits=tuple((edit.start, edit.old.decode(), edit.new.decode()) for edit in edits[file]),
            )
            for number, (file, each) in enumerate(found.items())
        )
        reach("nginx.switch.originals_kept")
        entry = Entry(
            id=identity, done=False, at=clock.now().isoformat(), to=str(to), site=site.named,
            binary=site.nginx.binary, main=site.main, prefix=site.prefix, changes=changes,
        )  # fmt: skip
        kept.write(entry)
        reach("nginx.switch.journal_written")
        try:
            for change, file in zip(changes, edits, strict=True):
                after = splice(found[file].content, edits[file])
                notes += replace.prepare(file, change.aside, after)
                reach("nginx.switch.prepared")
                _unchanged(site, file)
                replace.put(file, change.aside)
                reach("nginx.switch.put")
        except BaseException:
            _put_back(kept, entry)
            kept.close()
            raise
    heard = _make_it_follow(kept, entry, site, to)
    kept.write(entry.model_copy(update={"done": True}))
    reach("nginx.switch.closed")
    return Done("switched", str(to), _files(entry), site.master is not None, heard, tuple(notes))


def _make_it_follow(kept: Journal, entry: Entry, site: Site, to: Address) -> tuple[str, ...]:
    """Have nginx take the changed files, or put all back."""
    try:
        _require_good(site, "with the address changed")
        reach("nginx.switch.tested")
        doors = proof.doors(site.tree, [spot for spot in site.spots if _is_changed(spot, entry)])
        heard = _reload(site.master, doors, to, "nginx.switch.reloaded")
    except BaseException:
        _restore(kept, entry)
        raise
    if failed := [each for each in heard if not each.passed_on]:
        _restore(kept, entry)
        fix = f"see nginx's error log; ask {to} itself: curl http://{to}/health"
        if any(each.status == proof.MISDIRECTED for each in failed):
            fix = (
                f"{to} refuses the name that nginx sends: add `proxy_set_header Host localhost;` beside the proxy_pass"
            )
        said = "; ".join(each.said for each in failed)
        raise HarnessError(
            "NOT_FOLLOWED",
            f"nginx was reloaded, but does not lead to {to}: {said}; all is put back as it was",
            fix=fix,
        )
    reach("nginx.switch.proved")
    return tuple(each.said for each in heard)


def _restore(kept: Journal, entry: Entry) -> Done:
    reach("nginx.restore.begun")
    nginx, master = _master(entry)
    with replace.held({change.path.parent for change in entry.changes if change.path.parent.is_dir()}):
        notes = _put_back(kept, entry)
    if nginx is not None and master is not None:
        _reload_after(nginx, master, entry)
    reach("nginx.restore.reloaded")
    kept.close()
    return Done("restored", None, _files(entry), master is not None, (), tuple(notes))


def _put_back(kept: Journal, entry: Entry) -> list[str]:
    """Every file as it was, or every file left alone."""
    changed = [change for change in entry.changes if _condition(change) is None]
    if changed:
        raise _changed(changed)
    notes: list[str] = []
    for change in entry.changes:
        change.aside.unlink(missing_ok=True)
        if _condition(change) == change.after != change.before:
            notes += replace.prepare(change.path, change.aside, kept.original(change), change.mtime_ns)
            reach("nginx.restore.prepared")
            if _condition(change) != change.after:
                change.aside.unlink(missing_ok=True)
                raise _changed([change])
            replace.put(change.path, change.aside)
        reach("nginx.restore.put")
    return notes


def _changed(changes: Sequence[Change]) -> HarnessError:
    names = ", ".join(str(change.named) for change in changes)
    by_hand = "; ".join(f"{change.named}: {journal.by_hand(change)}" for change in changes)
    return HarnessError(
        "CHANGED_MEANWHILE",
        f"somebody else has changed {names} since the switch, so nothing was put back",
        fix=f"put it back by hand ({by_hand}), then run: harness nginx restore --forget",
        exit_code=Exit.CONFLICT,
    )


def _condition(change: Change) -> str | None:
    """The file's digest, if it is one of the two that the journal knows."""
    found = replace.look(change.path)
    digest = journal.digest(found.content) if found else None
    return digest if digest in (change.before, change.after) else None


def _reload(master: Master | None, doors: Sequence[Door], to: Address, point: str) -> list[Heard]:
    if master is None:
        return []
    before = binary.workers(master)
    binary.reload(master)
    reach(point)
    return proof.followed(master, before, doors, to)


def _reload_after(nginx: Nginx, master: Master, entry: Entry) -> None:
    """Have nginx take the files as they were. What stands behind them may be away: the new workers are proof enough."""
    tested = binary.test(nginx, entry.main, entry.prefix)
    if not tested.good:
        raise HarnessError(
            "NGINX_REFUSES",
            f"the files are as they were, but nginx does not take them: {_words(tested.words)}",
            fix="mend that, then run: harness nginx restore",
            exit_code=Exit.UNDO_INCOMPLETE,
        )
    before = binary.workers(master)
    binary.reload(master)
    if failed := [each.said for each in proof.followed(master, before, (), Address("", 0)) if not each.passed_on]:
        raise HarnessError(
            "NGINX_REFUSES",
            f"the files are as they were, but {failed[0]}",
            fix="see nginx's error log, then run: harness nginx restore",
            exit_code=Exit.UNDO_INCOMPLETE,
        )


def _master(entry: Entry) -> tuple[Nginx | None, Master | None]:
    if binary.find(entry.binary) is None:
        return None, None
    nginx = binary.look(entry.binary)
    return nginx, binary.master(nginx, entry.main)


def _require_good(site: Site, when: str) -> None:
    tested = binary.test(site.nginx, site.main, site.prefix)
    if not tested.good:
        raise HarnessError(
            "SITE_BROKEN",
            f"{when}, nginx does not take {site.main}: {_words(tested.words)}",
            fix=f"mend it until this holds: {' '.join(binary.command(site.nginx, site.main, site.prefix, '-t'))}",
        )


def _unchanged(site: Site, file: Path) -> replace.Found:
    """The file, if it is what was read before."""
    found = replace.look(file)
    if found is None or found.content != site.tree.sources[file]:
        raise HarnessError(
            "CHANGED_MEANWHILE",
            f"somebody else is changing {file} right now; it was left alone",
            fix="run it again when they are done",
            exit_code=Exit.CONFLICT,
        )
    return found


def _nothing_found(site: Site, sources: Sequence[Address], to: Address) -> HarnessError:
    there = sorted({spot.written for spot in site.spots})
    seen = f"it sends requests to {', '.join(there)}" if there else "it sends no request to any address"
    fix = f"name the address to change: --from {there[0]}" if there else "name another file: --site PATH"
    wanted = " or ".join(str(each) for each in sources)
    return HarnessError(
        "NOTHING_FOUND", f"{site.named or site.main} leads neither to {wanted} nor to {to}: {seen}", fix=fix,
        exit_code=Exit.USAGE,
    )  # fmt: skip


def _linked(found: dict[Path, replace.Found]) -> list[str]:
    return [
        f"{file} has {each.links} names (hard links): the others keep the file as it was"
        for file, each in found.items()
        if each.links > 1
    ]


def _is_changed(spot: Spot, entry: Entry) -> bool:
    return any(spot.file == each.path and spot.start in (edit[0] for edit in each.edits) for each in entry.changes)


def _files(entry: Entry | None) -> tuple[Path, ...]:
    return tuple(change.path for change in entry.changes) if entry else ()


def _words(words: Sequence[str]) -> str:
    return " ".join(words[-2:]) or "it says nothing"
