"""Whether the tools find what was planted, and nothing where nothing was: server, library and emulator over HTTP.

Five data sets of other seeds and sizes than the default, one of them in another time zone, and one without any story,
are projects of one emulator.
"""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from fastmcp import Client

from fixtures.dataset import Arguments, truths
from fixtures.dataset import build as build_dataset
from fixtures.dataset.truths import CohortGroup, Truths
from mp_mcp_server.server import Settings, build
from tests.mp_mcp_server.calling import Mcp, good
from tests.mp_mcp_server.people import Person
from tests.support.emulator import Emulator, running_emulator

pytestmark = pytest.mark.anyio
LAST = date(2025, 6, 30)
USERNAME, SECRET = "truths.0a1b2c.mp-service-account", "truths-secret"


@dataclass(frozen=True)
class Made:
    """A data set, and what is true in it."""

    seed: int
    users: int
    days: int
    timezone: str = "UTC"
    stories: bool = True

    @property
    def project_id(self) -> int:
        return 3_200_000 + self.seed

    @property
    def first(self) -> date:
        return LAST - timedelta(days=self.days - 1)

    @property
    def period(self) -> dict[str, str]:
        return {"from_date": self.first.isoformat(), "to_date": LAST.isoformat()}

    @property
    def arguments(self) -> Arguments:
        return Arguments(
            seed=self.seed,
            users=self.users,
            days=self.days,
            last_day=LAST,
            timezone=self.timezone,
            stories=self.stories,
        )

    @cached_property
    def truths(self) -> Truths:
        return truths(self.seed, self.users, self.days, LAST, timezone=self.timezone, stories=self.stories)

    def toml(self) -> str:
        drawn = f"seed = {self.seed}, users = {self.users}, days = {self.days}, last_day = {LAST}"
        return f"""
            [[project]]
            id = {self.project_id}
            name = "Truths {self.seed}"
            timezone = "{self.timezone}"
            token = "{self.project_id:032x}"
            secret = "secret-{self.seed}"
            data = {{ {drawn}, stories = {"true" if self.stories else "false"} }}
        """


TOLD = (
    Made(11, 2000, 60),
    Made(23, 2500, 62),
    Made(37, 3000, 60, "Europe/Paris"),
    Made(58, 2200, 70),
    Made(94, 2000, 65),
)
UNTOLD = Made(105, 2000, 60, stories=False)
# A day for each data set in the plain run; all of them together are all that the proof asks for.
OFFS = dict(zip((made.seed for made in TOLD), (-3, 3, 0, 1, -2), strict=True))

each = pytest.mark.parametrize("made", TOLD, ids=lambda made: f"seed{made.seed}")
AS_SAMPLE = [
    pytest.param(made, id=f"seed{made.seed}", marks=[] if made in TOLD[1:3] else pytest.mark.soak) for made in TOLD
]


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    place = tmp_path_factory.mktemp("truths")
    everything = (*TOLD, UNTOLD)
    roles = ", ".join(f'{made.project_id} = "admin"' for made in everything)
    account = f'[[account]]\nusername = "{USERNAME}"\nsecret = "{SECRET}"\nroles = {{ {roles} }}\n'
    for made in everything:  # beforehand: whoever waits for the emulator is patient for seconds
        build_dataset(made.arguments, place)
    listed = place / "projects.toml"
    listed.write_text(account + "\n".join(made.toml() for made in everything))
    size = ("--users", "20", "--days", "10", "--no-stories", "--last-day", LAST.isoformat(), "--now", LAST.isoformat())
    with running_emulator(place / "log", *size, "--strict", "--projects", str(listed), cache_dir=place) as running:
        yield running


@pytest.fixture
def environment(no_credentials: None, monkeypatch: pytest.MonkeyPatch, projects: Emulator) -> pytest.MonkeyPatch:
    """All that the library needs but the project."""
    own = {"MP_USERNAME": USERNAME, "MP_SECRET": SECRET, "MP_NOW": LAST.isoformat()}
    for name, value in (projects.environment | own).items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture
async def mcp(made: Made, environment: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Mcp]:
    """A client of a server on the data set of the test."""
    environment.setenv("MP_PROJECT_ID", str(made.project_id))
    async with Client(build(Settings(db=tmp_path / "store.db"))) as client:
        yield client


async def diagnosed_truly(mcp: Mcp, made: Made, off: int) -> None:
    truth = made.truths.metric_drop
    assert truth is not None
    asked = date.fromisoformat(truth.day) + timedelta(days=off)
    told = await good(mcp, "diagnose_metric_drop", event=truth.event, date=asked.isoformat())
    found = told["findings"]
    assert (told["status"], told["worded_by"], found["drop_confirmed"]) == ("success", "computed", True)
    assert found["drop_date"] == truth.day
    assert found["drop_percentage"] == pytest.approx(100 * truth.realised_share, abs=3)
    driver = found["primary_driver"]
    assert {one["property"]: one["value"] for one in driver["conditions"]} == truth.segment
    assert driver["fall_pct"] == pytest.approx(100 * truth.realised_fall, abs=8)
    assert found["secondary_factors"] == []
    # the expression that is handed out selects these very events
    watched = await good(
        mcp,
        "segmentation",
        event=truth.event,
        where=driver["where"],
        from_date=truth.baseline_from,
        to_date=truth.after_to,
    )
    daily = watched["series"][truth.event]
    before = [count for day, count in daily.items() if day < truth.day]
    assert sum(before) / len(before) == pytest.approx(truth.segment_baseline_per_day)


@each
async def test_a_drop_is_found_with_day_size_and_segment_and_not_its_decoys(mcp: Mcp, made: Made) -> None:
    await diagnosed_truly(mcp, made, OFFS[made.seed])


@pytest.mark.soak
@pytest.mark.parametrize("off", range(-3, 4))
@each
async def test_a_drop_is_found_whichever_day_near_it_is_asked_about(mcp: Mcp, made: Made, off: int) -> None:
    await diagnosed_truly(mcp, made, off)


@pytest.mark.parametrize("made", AS_SAMPLE)
async def test_on_a_day_without_a_drop_none_is_confirmed_and_the_day_of_the_drop_is_told(mcp: Mcp, made: Made) -> None:
    truth = made.truths.metric_drop
    assert truth is not None
    far = date.fromisoformat(truth.day) - timedelta(days=14)
    found = (await good(mcp, "diagnose_metric_drop", event=truth.event, date=far.isoformat()))["findings"]
    assert (found["drop_confirmed"], found["drop_percentage"], found["primary_driver"]) == (False, 0, None)
    assert found["elsewhere"]["drop_date"] == truth.day
    assert truth.day in found["summary"]
    assert f"date {truth.day}" in found["recommendations"][0]


@pytest.mark.parametrize("made", TOLD[:1], ids=["seed11"])
async def test_an_event_to_which_nothing_happened_on_the_day_of_anothers_drop(mcp: Mcp, made: Made) -> None:
    truth = made.truths.metric_drop
    assert truth is not None
    other = next(name for name in ("Search", "Watch Video") if name != truth.event)
    found = (await good(mcp, "diagnose_metric_drop", event=other, date=truth.day, dimensions=["$os", "$browser"]))[
        "findings"
    ]
    assert (found["drop_confirmed"], found["primary_driver"], found["elsewhere"]) == (False, None, None)


@each
async def test_the_bottleneck_is_found_with_its_step_and_segment(mcp: Mcp, made: Made) -> None:
    # some choose by themselves what to look at, which takes longer
    few = {} if made in TOLD[3:] else {"segment_properties": ["mp_country_code", "$os", "plan", "signup_source"]}
    await reported_truly(mcp, made, **few)


async def reported_truly(mcp: Mcp, made: Made, **more: Any) -> None:
    truth = made.truths.funnel_bottleneck
    assert truth is not None
    (name, value), *_ = truth.segment.items()
    period = {"from_date": truth.entered_from, "to_date": truth.entered_to}
    told = await good(mcp, "funnel_optimization_report", funnel_id=truth.funnel_id, **period, **more)
    assert (told["status"], told["worded_by"]) == ("success", "computed")
    assert [step["users"] for step in told["raw_data"]["steps"]] == list(truth.counts)
    assert told["raw_data"]["segments"][name][value] == list(truth.segment_counts)
    assert told["overall_conversion_rate"] == pytest.approx(truth.counts[-1] / truth.counts[0], abs=1e-4)
    bottleneck = told["bottleneck"]
    assert (bottleneck["step_name"], bottleneck["step_number"]) == (truth.step, truth.step_index + 1)
    assert bottleneck["stands_out"]
    lost = truth.counts[truth.step_index - 1] - truth.counts[truth.step_index]
    assert bottleneck["users_lost"] == lost
    weak = told["weak_segments"][0]
    assert (weak["property"], weak["segment"], weak["step_name"]) == (name, value, truth.step)
    assert weak["conversion_rate"] == pytest.approx(truth.rate, abs=1e-4)
    assert weak["conversion_rate_elsewhere"] == pytest.approx(truth.rate_elsewhere, abs=1e-4)
    tiny = truth.tiny_bottleneck.segment["mp_country_code"]
    everybody = told["weak_segments"] + told["underperforming_segments"] + told["top_performing_segments"]
    assert tiny not in {one["segment"] for one in everybody}
    assert value in told["executive_summary"]


async def compared(mcp: Mcp, made: Made, groups: tuple[CohortGroup, CohortGroup], *dimensions: str) -> dict[str, Any]:
    a, b = groups
    filters = {"cohort_a_filter": a.filter, "cohort_b_filter": b.filter}
    return await good(mcp, "cohort_comparison", **filters, **made.period, compare_dimensions=list(dimensions))


@each
async def test_cohorts_that_differ_differ_and_equal_ones_do_not(mcp: Mcp, made: Made) -> None:
    await told_apart_truly(mcp, made, *(("event_frequency",) if made == TOLD[0] else ()))


async def told_apart_truly(mcp: Mcp, made: Made, *more: str) -> None:
    truth = made.truths.cohort_difference
    assert truth is not None
    every = ("retention", *more)
    told = await compared(mcp, made, (truth.better, truth.worse), *every)
    (week, *_) = told["comparisons"]["retention"]["periods"]
    assert (week["cohort_a_users"], week["cohort_a_returned"]) == (truth.better.users, truth.better.returned)
    assert (week["cohort_b_users"], week["cohort_b_returned"]) == (truth.worse.users, truth.worse.returned)
    assert week["ratio"] == pytest.approx(truth.ratio, abs=1e-3)
    assert week["differs"]
    assert told["statistical_significance"]["differ"]
    assert told["key_differences"][0].startswith("Week 1 after Sign Up")

    told = await compared(mcp, made, truth.equal, *every)
    (week, *_) = told["comparisons"]["retention"]["periods"]
    assert (week["cohort_a_users"], week["cohort_a_returned"]) == (truth.equal[0].users, truth.equal[0].returned)
    assert not told["statistical_significance"]["differ"]
    assert told["key_differences"] == ["No sure difference was found in anything that was compared."]


@each
async def test_the_health_of_the_product_is_what_was_counted(mcp: Mcp, made: Made) -> None:
    await healthy(mcp, made)


async def healthy(mcp: Mcp, made: Made) -> None:
    truth = made.truths.health
    told = await good(
        mcp,
        "product_health_dashboard",
        activation_event=truth.activation_event,
        retention_event="App Open",
        revenue_event=truth.revenue_event,
        referral_event=truth.referral_event,
        **made.period,
    )
    assert told["acquisition"]["primary_metric"] == truth.acquired
    activation = told["activation"]["metrics"]
    assert (activation["users"], activation["activated"]) == (truth.activation_users, truth.activated)
    assert activation["acquired"]["to"] == truth.activation_to
    days = told["retention"]["metrics"]
    assert {name: (day["users"], day["returned"], day["acquired"]["to"]) for name, day in days.items()} == {
        f"day_{one.n}": (one.users, one.returned, one.signed_up_to) for one in truth.retention
    }
    revenue = told["revenue"]
    assert round(100 * revenue["primary_metric"]) == truth.revenue_cents
    assert (revenue["metrics"]["property"], revenue["metrics"]["payers"]) == ("amount", truth.payers)
    assert round(100 * sum(revenue["trend"].values())) == truth.revenue_cents
    assert told["referral"]["primary_metric"] == truth.inviters
    assert sum(told["referral"]["trend"].values()) == truth.invitations
    assert all(1 <= mark <= 10 for mark in told["health_score"].values())


@pytest.mark.parametrize("made", [UNTOLD], ids=["no stories"])
async def test_where_no_story_is_told_none_is_found(mcp: Mcp, made: Made) -> None:
    for event, days_ago, more in (("Search", 12, {}), ("Read Review", 20, {"dimensions": ["$os", "app_version"]})):
        day = (LAST - timedelta(days=days_ago)).isoformat()
        found = (await good(mcp, "diagnose_metric_drop", event=event, date=day, **more))["findings"]
        assert (found["drop_confirmed"], found["primary_driver"], found["elsewhere"]) == (False, None, None)
    report = await good(mcp, "funnel_optimization_report", funnel_id=8801, **made.period)
    assert not report["bottleneck"]["stands_out"]
    assert not report["weak_segments"] + report["underperforming_segments"] + report["top_performing_segments"]
    for name, a, b in (("plan", '"free"', '"pro"'), ("newsletter", "true", "false"), ("theme", '"dark"', '"light"')):
        told = await good(
            mcp,
            "cohort_comparison",
            cohort_a_filter=f'properties["{name}"] == {a}',
            cohort_b_filter=f'properties["{name}"] == {b}',
            compare_dimensions=["retention"],
            **made.period,
        )
        assert not told["statistical_significance"]["differ"], name
    await healthy(mcp, made)


@pytest.mark.parametrize("made", TOLD[1:2], ids=lambda made: f"seed{made.seed}")
async def test_guided_analysis_tells_the_segment_that_a_funnel_loses_from_the_others(
    made: Made, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    truth = made.truths.funnel_bottleneck
    assert truth is not None
    (name, value), *_ = truth.segment.items()
    environment.setenv("MP_PROJECT_ID", str(made.project_id))
    server = build(Settings(db=tmp_path / "store.db"))
    asked = {"focus_area": "conversion", "from_date": truth.entered_from, "to_date": truth.entered_to}
    async with Client(server) as alone:
        segments = (await good(alone, "guided_analysis", **asked))["available_segments"]
    async with Client(server, elicitation_handler=Person({"segment_index": segments.index(name)})) as client:
        told = await good(client, "guided_analysis", **asked)
    assert truth.step in " ".join(told["initial_analysis"]["findings"])
    split = told["segment_analysis"]
    assert [one for one, figures in split["breakdown"].items() if figures["differs"]] == [value]
    assert split["findings"][0].startswith(f"{name} = {value}: ")
    found = split["breakdown"][value]
    assert (found["users"], found["reached"]) == (truth.segment_counts[0], truth.segment_counts[-1])


# Small ones, where a poor day, a weak segment or a young project hid the answer.
HARD = [Made(1002, 2000, 90), Made(2057, 2000, 180), Made(2032, 3000, 60)]
OTHERS = [
    Made(7, 10_000, 120),
    *HARD,
    *(Made(seed, 2000 + 250 * (seed % 5), 60 + 3 * (seed % 4)) for seed in range(301, 311)),
]


@pytest.fixture
async def alone(
    made: Made, no_credentials: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[Mcp]:
    """A client of a server on an emulator of its own."""
    build_dataset(made.arguments, tmp_path)
    size = ("--users", str(made.users), "--days", str(made.days), "--seed", str(made.seed), "--strict")
    until = ("--last-day", LAST.isoformat(), "--now", LAST.isoformat())
    with running_emulator(tmp_path / "log", *size, *until, cache_dir=tmp_path) as running:
        for name, value in (running.environment | {"MP_NOW": LAST.isoformat()}).items():
            monkeypatch.setenv(name, value)
        async with Client(build(Settings(db=tmp_path / "store.db"))) as client:
            yield client


@pytest.mark.soak
@pytest.mark.parametrize("made", OTHERS, ids=lambda made: f"seed{made.seed}")
async def test_the_truth_is_found_in_other_data_too(alone: Mcp, made: Made) -> None:
    for off in (-3, -1, 2):
        await diagnosed_truly(alone, made, off)
    await reported_truly(alone, made)
    await told_apart_truly(alone, made, "event_frequency")
    await healthy(alone, made)
