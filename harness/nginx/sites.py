"""A site as it is now: which nginx reads it, with which configuration, and where it sends requests."""

from dataclasses import dataclass
from pathlib import Path

from harness.errors import Exit, HarnessError
from harness.nginx import binary, find, private
from harness.nginx.binary import Master, Nginx
from harness.nginx.find import Spot
from harness.nginx.tree import Tree, read_tree


@dataclass(frozen=True, slots=True)
class Site:
    """A site file, or a whole configuration, and the nginx that reads it.

    named: the file as it was named; None for all that nginx reads
    main: nginx's main configuration file; prefix: the `-p` that it runs with
    master: the running nginx, None while none runs with this configuration
    """

    nginx: Nginx
    named: Path | None
    main: Path
    prefix: Path | None
    tree: Tree
    spots: tuple[Spot, ...]
    master: Master | None


def look(named: Path | None, program: Path | None = None) -> Site:
    """Find the nginx that reads a site, and read all of it.

    Args:
        named: the site's file; all that nginx reads when None
        program: the nginx to ask; the one in PATH when None

    Raises:
        HarnessError: NGINX_MISSING, SITE_MISSING, SITE_NOT_READ, SITE_SYNTAX (exit 2); SITE_UNREADABLE (5)
    """
    nginx = binary.look(program)
    masters = [each for each in binary.masters(nginx) if not private.is_private(each.prefix)]
    main, tree = _configuration(nginx, masters, named)
    master = next((each for each in masters if each.main.resolve() == main.resolve()), None)
    spots = tuple(find.spots(tree, named))
    return Site(nginx, named, main, master.prefix if master else None, tree, spots, master)


def _configuration(nginx: Nginx, masters: list[Master], named: Path | None) -> tuple[Path, Tree]:
    """The main file that includes the site: a running nginx's, one in a directory above the site, or the default."""
    if named is None:
        return nginx.main, read_tree(nginx.main)
    if not named.is_file():
        raise HarnessError(
            "SITE_MISSING", f"there is no {named}", fix="name the file: --site PATH", exit_code=Exit.USAGE
        )
    site = named.resolve()
    above = [parent / "nginx.conf" for start in (named.absolute(), site) for parent in start.parents]
    refusal: HarnessError | None = None
    for main in dict.fromkeys([*(each.main for each in masters), *above, nginx.main, named.absolute()]):
        try:
            if not main.is_file():
                continue
            tree = read_tree(main)
        except PermissionError:
            continue
        except HarnessError as error:
            refusal = error
            continue
        # A file that is nobody's part is a main file itself only if it says what a main file must say.
        if site in tree.sources and (main.resolve() != site or any(tree.of("events"))):
            return main, tree
    raise refusal or HarnessError(
        "SITE_NOT_READ",
        f"nginx does not read {named}: no configuration that was found includes it",
        fix="enable the site (a link in sites-enabled), or name another file: --site PATH",
        exit_code=Exit.USAGE,
    )
