"""What stands behind the server: the credentials, and the emulator or Mixpanel."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

from harness import clock, wire
from harness.creds import form, shell_files, trying
from harness.creds.report import remedy
from harness.creds.trying import Verdict
from harness.doctor.check import Finding, bad, doubtful, good, unused
from harness.doctor.sight import Sight
from harness.rpc import Session
from harness.stack import identity, processes
from harness.stack.services import CREDENTIALS

PROBE_S = 8.0
CALL_S = 30.0
SKEW_S, FAR_SKEW_S = 60.0, 300.0
LEAST_SHARE = 0.1
EMULATOR = "an emulator or tapes stand behind the server, and need no account of yours"


def credentials_present(sight: Sight) -> Finding:
    """The four variables in this shell, and what its start files say of them."""
    if not sight.live:
        return unused(EMULATOR)
    environment = sight.settings.environment
    missing = [problem for problem in form.problems(environment) if problem.code == "NOT_SET"]
    known = shell_files.unloaded(Path(environment.get("HOME") or Path.home()), environment)
    lost = [each for each in known if each.variable in {problem.variable for problem in missing}]
    if lost:
        what = "; ".join(str(each) for each in lost)
        return bad("NOT_LOADED", what, "; ".join(dict.fromkeys(remedy(each) for each in lost)))
    if missing:
        return bad("NOT_SET", "; ".join(each.cause for each in missing), "; ".join(each.fix for each in missing))
    other = [each for each in known if each.how == "another value"]
    if other:
        return doubtful(
            "OTHER_VALUE", "; ".join(str(each) for each in other), "; ".join(remedy(each) for each in other)
        )
    return good(f"{', '.join(CREDENTIALS)} are set")


def credentials_form(sight: Sight) -> Finding:
    """Whether the four look like credentials."""
    if not sight.live:
        return unused(EMULATOR)
    found = [each for each in form.problems(sight.settings.environment) if each.code != "NOT_SET"]
    if not found:
        return good("the four are well formed, and the name is a service account's")
    what, fix = "; ".join(each.cause for each in found), "; ".join(each.fix for each in found)
    if all(each.code == "NO_SERVICE_ACCOUNT" for each in found):
        return doubtful("NO_SERVICE_ACCOUNT", what, fix, blames=("creds.accepted",))
    return bad(found[0].code, what, fix)


def credentials_accepted(sight: Sight) -> Finding:
    """A real call with them through `mp auth test`; where it is refused, which of the four is wrong."""
    if not sight.live:
        return unused(EMULATOR)
    tried = trying.try_out(sight.settings.environment)
    if tried.verdict is Verdict.ACCEPTED:
        return good(f"{tried.cause}; the project has {tried.events} event names", region=tried.lives_in)
    return bad(tried.verdict.value, tried.cause, tried.fix, region=tried.lives_in)


def upstream_reachable(sight: Sight) -> Finding:
    """The emulator by its own route, or Mixpanel's host for the region."""
    if sight.live:
        return _mixpanel(sight)
    if (why := sight.absent("emulator")) is not None:
        return unused(why)
    place = sight.place("emulator")
    about = wire.get(place, "/_emulator/about", PROBE_S).json_object()
    if about.get("name") != "mixpanel-emulator":
        fix = f"another program is on port {place}: set another emulator.port"
        return bad("OTHER_PROGRAM", f"the program there calls itself {about.get('name')}, not mixpanel-emulator", fix)
    told = f"{about['event_count']:,} events, {about['first_day']} to {about['last_day']}"
    return good(told, now=about["now"], last_day=about["last_day"], limits=about["limits"])


def _mixpanel(sight: Sight) -> Finding:
    from mixpanel_data.endpoints import ENDPOINTS

    environment = sight.settings.environment
    base_url = environment.get("MP_API_BASE_URL", "").strip() or None
    region = environment["MP_REGION"].strip().lower()
    named = next((name for name in environment if name.lower() in {"https_proxy", "all_proxy"}), None)
    if named and base_url is None:
        return good(f"{named} is set: Mixpanel is asked through it, by the library alone")
    url = urlsplit(ENDPOINTS["event_names"].url(region, base_url))
    answer = wire.get(wire.elsewhere(url.geturl()), url.path, PROBE_S)
    if answer.status >= 500:
        return bad(
            "STATUS",
            f"{url.netloc} answers {answer.status}: {answer.shown()}",
            "wait, and look at Mixpanel's status page",
        )
    return good(f"{url.netloc} answers", host=url.netloc, date=answer.headers.get("date"))


def clock_skew(sight: Sight) -> Finding:
    """This machine's clock against Mixpanel's; on an emulator, the server's pinned clock against the emulator's."""
    facts = sight.facts("mixpanel.reachable")
    if sight.live:
        date = facts.get("date")
        if date is None:
            return unused("the answer from Mixpanel bore no date")
        skew = (clock.now() - parsedate_to_datetime(date).astimezone(UTC)).total_seconds()
        told = f"this machine's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} {facts['host']}'s"
        fix = "set it: timedatectl set-ntp true"
        if abs(skew) > FAR_SKEW_S:
            return bad("SKEW", told, fix, skew_s=round(skew, 1))
        return (
            doubtful("SKEW", told, fix, skew_s=round(skew, 1))
            if abs(skew) > SKEW_S
            else good(told, skew_s=round(skew, 1))
        )
    member = sight.member("mcp")
    if "now" not in facts or member is None or not processes.is_up(member):
        return unused(sight.absent("emulator") or sight.absent("mcp") or "there is no server of ours to ask")
    given = identity.read_environment(member.process.pid).get("MP_NOW")
    theirs, ours = _instant(facts["now"]), _instant(given)
    if theirs != ours:
        stands = facts["now"] or "the wall time"
        what = f"the emulator's clock stands at {stands}, the server's at {given or 'the wall time'}"
        return bad("CLOCKS_DIFFER", what, "start both together: harness up --fresh")
    return good(f"both stand at {facts['now']}" if facts["now"] else "both go by this machine's clock")


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def rate_budget(sight: Sight) -> Finding:
    """What workspace_info says is left of the project's budget."""
    if (why := sight.absent("mcp")) is not None:
        return unused(why)
    session = Session(sight.place("mcp"), sight.path("mcp"), CALL_S)
    session.initialize()
    result = session.call("workspace_info", {})
    session.close()
    budget = (result.get("structuredContent") or {}).get("budget", {})
    if not budget:
        return good("nothing is limited", budget=budget)
    least, left = min(budget.items(), key=lambda row: row[1]["left"] / row[1]["of"])
    told = "; ".join(f"{kind}: {each['left']} of {each['of']} left" for kind, each in budget.items())
    if left["left"] == 0:
        return bad("SPENT", told, f"wait {left['wait_s']:.0f} s, or ask the local tables with sql", budget=budget)
    if left["left"] < LEAST_SHARE * left["of"]:
        return doubtful(
            "NEARLY_SPENT", told, f"spare {least}: fetch once, then ask the local tables with sql", budget=budget
        )
    return good(told, budget=budget)
