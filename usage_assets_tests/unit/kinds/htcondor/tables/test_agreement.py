"""Tables of a window agree with each other, its parts with the whole, and 5-minute polls with 15-minute ones."""

import random
from datetime import date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from usage_assets.kinds.htcondor.pool import classes
from usage_assets.kinds.htcondor.pool.rules import Pool
from usage_assets.kinds.htcondor.tables import allocation, backfill, draining, hosts, series, users
from usage_assets.kinds.htcondor.tables.facts import KIND, Coded, code
from usage_assets.kinds.htcondor.tables.figures import FIGURES
from usage_assets.kinds.htcondor.tables.labels import names_of
from usage_assets.kinds.htcondor.tables.window import Unit, Window
from usage_assets_tests.properties import examples
from usage_assets_tests.unit.kinds.htcondor.tables.made import (
    DAY,
    HOSTED,
    OPEN,
    RESEARCHER,
    SIDES,
    Gpu,
    MadePool,
    Reference,
    claimed,
    drained,
    every,
    idle,
    lent,
    other,
    row,
)

DEVICES = (("NVIDIA H200", 143_771), ("NVIDIA A40", 46_068), ("NVIDIA RTX A4000", 16_376), (None, None))
BACKFILL_OF = {OPEN: "backfill_open", HOSTED: "backfill_hosted", RESEARCHER: "backfill_researcher"}
USERS = ("ann", "bob", "<script>", "Unknown")


@st.composite
def gpus(draw: st.DrawFn) -> Gpu:
    """Any state that the facts allow."""
    class_ = draw(st.sampled_from([OPEN, HOSTED, RESEARCHER, "interactive"]))
    user = draw(st.sampled_from(USERS))
    device, memory = draw(st.sampled_from(DEVICES))
    more: dict[str, Any] = {
        "device": device,
        "memory_mb": memory,
        "masked": draw(st.sampled_from([None, None, None, "x"])),
    }
    base = draw(st.sampled_from(["claimed", "idle", "other", "drained", "none"]))
    if base == "claimed":
        return claimed(user, class_, **more)
    makers = {"idle": idle, "other": other, "drained": drained}
    gpu = makers[base](class_, **more) if base != "none" else Gpu(**more)
    holder = draw(st.sampled_from([*USERS, None]))
    if base == "none" or (base != "drained" and draw(st.booleans())):
        gpu = lent(gpu, holder, BACKFILL_OF.get(class_, "backfill_open"))
    if not gpu.is_held and draw(st.booleans()):
        gpu = gpu.with_(is_refusing=True, reason="worn out")
    return gpu


@st.composite
def pools(draw: st.DrawFn) -> tuple[MadePool, Window]:
    """Polls that come when they like, with gaps, across a month's edge; a few GPUs; and some window."""
    start = datetime(2026, 3, 31, 22)
    steps = draw(st.lists(st.sampled_from([4, 5, 6, 14, 15, 16, 47]), min_size=1, max_size=24))
    polls = [start]
    for minutes in steps:
        polls.append(polls[-1] + timedelta(minutes=minutes, microseconds=draw(st.integers(0, 3))))
    known = {}
    for key in [("m", "0"), ("m", "1"), ("n", "0"), ("o.x.edu", "0")]:
        states = draw(st.lists(st.one_of(st.none(), gpus()), min_size=1, max_size=4))
        order = draw(st.lists(st.integers(0, len(states) - 1), min_size=len(polls), max_size=len(polls)))
        known[key] = [states[number] for number in order]
    made = MadePool(polls, known, Pool(poll_minutes=draw(st.sampled_from([5, 15])), timezone="America/Chicago"))
    first = start + timedelta(minutes=draw(st.integers(-60, 120)))
    return made, Window(first, first + timedelta(minutes=draw(st.integers(1, 400))), "America/Chicago")


slowly = examples(60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@slowly
@given(pools())
def test_tables_are_those_of_a_plain_reference(case: tuple[MadePool, Window]) -> None:
    made, window = case
    reference, cube = Reference(made, window), made.cube(window)
    assert cube.observed.intervals == reference.intervals
    sums: dict[tuple[str, ...], Fraction] = {}

    def add(weight: Fraction, *key: str) -> None:
        sums[key] = sums.get(key, Fraction(0)) + weight

    for _, weight, (machine, gpu), state in reference.observed():
        add(weight, "total", "available")
        device = made.pool.display_name(state.device)
        hidden = made.pool.is_filtered(state.device)
        if state.is_held:
            add(weight, "total", "allocated")
        if state.is_drained:
            add(weight, "drained", machine, gpu)
        for side in SIDES:
            class_ = state.class_(side)
            if state.state(side) is None or class_ is None:
                continue
            add(weight, class_, "available")
            band = made.pool.band(state.memory_mb)
            if not hidden:
                add(weight, class_, device, "available")
                if side == "primary":
                    add(weight, "band", band, "available")
            if state.state(side) == "claimed":
                add(weight, class_, "allocated")
                add(weight, "user", state.user(side) or "", class_)
                if not hidden:
                    add(weight, class_, device, "allocated")

    def same(found: float | None, total: Fraction) -> None:
        if reference.intervals == 0:
            assert found is None
        else:
            assert found == pytest.approx(reference.average(total), abs=1e-8)

    by_class = allocation.allocation_by_class(cube).frame
    for name in (*classes.CLASSES, "total"):
        line = row(by_class, **{"class": name})
        same(line["allocated_avg"], sums.get((name, "allocated"), Fraction(0)))
        same(line["available_avg"], sums.get((name, "available"), Fraction(0)))
        assert line["gpu_hours_observed"] == pytest.approx(float(sums.get((name, "allocated"), 0)))
    devices = allocation.allocation_by_device(cube).frame.filter(pl.col("device") != "total")
    for line in devices.filter(pl.col("class") != "total").iter_rows(named=True):
        same(line["allocated_avg"], sums.get((line["class"], line["device"], "allocated"), Fraction(0)))
        same(line["available_avg"], sums.get((line["class"], line["device"], "available"), Fraction(0)))
    memory = allocation.allocation_by_memory(cube).frame.filter(pl.col("band") != "total")
    assert {line["band"] for line in memory.iter_rows(named=True)} == {key[1] for key in sums if key[0] == "band"}
    for line in memory.iter_rows(named=True):
        same(line["available_avg"], sums[("band", line["band"], "available")])
    hours = users.user_hours(cube).frame.filter(pl.col("class") != "total")
    found = {("user", line["user"], line["class"]): line["gpu_hours_observed"] for line in hours.iter_rows(named=True)}
    assert found == pytest.approx({key: float(total) for key, total in sums.items() if key[0] == "user"})
    episodes = draining.draining_episodes(cube).frame.group_by("machine", "gpu").agg(pl.col("hours_observed").sum())
    assert {("drained", *names): value for *names, value in episodes.iter_rows()} == pytest.approx(
        {key: float(total) for key, total in sums.items() if key[0] == "drained"}
    )


@slowly
@given(pools(), st.sampled_from([15, 60, 1440]), st.sampled_from(["six", "legacy"]))
def test_series_add_up_to_the_tables(case: tuple[MadePool, Window], minutes: int, which: Any) -> None:
    made, window = case
    cube = made.cube(window, classes=which)
    by_class = allocation.allocation_by_class(cube).frame
    for table in (series.time_series(cube, minutes).frame, series.calendar_series(cube, "day").frame):
        hours = table.group_by("class").agg(pl.col("gpu_hours_observed").sum(), pl.col("hours").sum())
        for name in (*names_of(which), "total"):
            line = row(hours, **{"class": name})
            assert line["gpu_hours_observed"] == pytest.approx(row(by_class, **{"class": name})["gpu_hours_observed"])
            assert line["hours"] == pytest.approx(window.hours)
        unseen = table.filter(pl.col("coverage") == 0)
        assert unseen["allocated_avg"].null_count() == unseen.height


@slowly
@given(pools(), st.sampled_from([5, 7, 20, 90]))
def test_a_bucket_of_a_series_counts_as_a_window_of_its_own(case: tuple[MadePool, Window], minutes: int) -> None:
    made, window = case
    columns = ("class", "allocated_avg", "available_avg", "gpu_hours_observed")
    table = series.time_series(made.cube(window), minutes).frame.filter(pl.col("coverage") > 0)
    for (at,), rows in table.group_by("bucket_at", maintain_order=True):
        assert isinstance(at, datetime)
        own = Window(max(at, window.start), min(at + timedelta(minutes=minutes), window.end), window.timezone)
        cube = made.cube(own)
        assert rows["coverage"][0] == pytest.approx(cube.observed.hours / own.hours)
        by_class = (
            allocation.allocation_by_class(cube).frame.select(columns).filter(pl.col("class").is_in(classes.CLASSES))
        )
        found = {name: values for name, *values in rows.select(columns).iter_rows()}
        for name, *values in by_class.iter_rows():
            assert found[name] == pytest.approx(values)


@slowly
@given(pools())
def test_tables_of_one_window_agree(case: tuple[MadePool, Window]) -> None:
    made, window = case
    cube = made.cube(window, all_devices=True)
    columns = [name for name in FIGURES if not name.endswith("percent")]

    def added(frame: pl.DataFrame) -> list[Any]:
        return [pytest.approx(value or 0, abs=1e-12) for value in frame.select(pl.col(columns).sum()).row(0)]

    by_class = allocation.allocation_by_class(cube).frame
    lines = {name: by_class.filter(pl.col("class") == name) for name in by_class["class"]}
    cluster = allocation.cluster_totals(cube).frame
    assert added(cluster) == added(lines["total"])
    devices = allocation.allocation_by_device(cube).frame
    assert added(devices.filter((pl.col("class") == "total") & (pl.col("device") != "total"))) == added(cluster)
    for name in classes.CLASSES:
        mine = devices.filter(pl.col("class") == name)
        assert added(mine.filter(pl.col("device") == "total")) == added(lines[name])
        assert added(mine.filter(pl.col("device") != "total")) == added(lines[name])
    assert added(allocation.allocation_by_memory(cube).frame.filter(pl.col("band") == "total")) == added(
        lines["primary"]
    )
    assert added(by_class.filter(pl.col("class").is_in(classes.PRIMARY))) == added(lines["primary"])
    tiers = allocation.open_tiers(cube).frame
    assert added(tiers.filter(pl.col("tier") != "total")) == added(lines[OPEN])
    summary = allocation.allocation_summary(cube).frame
    assert added(summary.filter(pl.col("row") == "total")) == added(cluster)
    held = sum(row(by_class, **{"class": name})["gpu_hours_observed"] for name in ("primary", "backfill"))
    assert row(cluster)["gpu_hours_observed"] == pytest.approx(held)
    unmasked = hosts.host_table(cube).frame.filter(~pl.col("is_masked"))
    assert unmasked["gpu_hours_observed"].sum() == pytest.approx(held)
    legacy = allocation.allocation_by_class(made.cube(window, classes="legacy")).frame
    for name, members in classes.LEGACY.items():
        assert added(legacy.filter(pl.col("class") == name)) == added(by_class.filter(pl.col("class").is_in(members)))
    backfilled = users.backfill_users(cube).frame.filter(pl.col("class") == "total")
    assert backfilled["gpu_hours_observed"].sum() == pytest.approx(row(lines["backfill"])["gpu_hours_observed"])
    spells = backfill.availability_spells(cube).frame
    assert spells["hours_observed"].sum() == pytest.approx(row(lines["backfill"])["available_hours_observed"])
    assert spells["hours_used"].sum() == pytest.approx(row(lines["backfill"])["gpu_hours_observed"])


@slowly
@given(pools(), st.sampled_from([2**62, 50]))
def test_codes_are_one_to_one(case: tuple[MadePool, Window], many: int) -> None:
    made, _ = case
    runs = made.runs
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("usage_assets.kinds.htcondor.tables.facts._MANY", many)  # how it is where numbers would not fit
        for coded in (code(runs), code(runs.head(3), runs.slice(3))):
            check_codes(runs, coded)


def check_codes(runs: pl.DataFrame, coded: Coded) -> None:
    assert coded.kinds.select(KIND).n_unique() == coded.kinds.height == runs.select(KIND).n_unique()
    back = coded.runs.join(coded.kinds, on="kind").select(*KIND, "start_at", "end_at")
    texts = back.with_columns(pl.col(pl.Categorical()).cast(pl.String()))
    assert texts.sort(pl.all()).equals(runs.select(texts.columns).sort(pl.all()))


@pytest.mark.parametrize(
    ("unit", "first", "after"),
    [("day", date(2026, 3, 2), date(2026, 3, 16)), ("week", date(2026, 10, 26), date(2026, 11, 9))],
)
def test_days_add_up_to_weeks_across_both_changes_of_clocks(unit: Unit, first: date, after: date) -> None:
    zone = "America/Chicago"
    whole = Window.of_days(first, after, zone)
    drawn = random.Random(5)
    polls = [at for at in every(15, whole.hours + 2, whole.start - timedelta(hours=1)) if drawn.random() > 0.05]
    states: list[Gpu | None] = [drawn.choice([claimed(), idle(), lent(idle()), None]) for _ in polls]
    made = MadePool(polls, {("m", "0"): states}, Pool(timezone=zone))
    cube = made.cube(whole)
    total = allocation.allocation_by_class(cube).frame.select("class", "gpu_hours_observed")
    for part in ("day", "week", "month"):
        hours: dict[str, float] = {}
        intervals = 0
        for window in whole.parts(part):
            piece = made.cube(window)
            intervals += piece.observed.intervals
            for name, value in allocation.allocation_by_class(piece).frame.select(total.columns).iter_rows():
                hours[name] = hours.get(name, 0) + value
        assert hours == dict(total.iter_rows()), f"{part}s of {unit}"  # to the last digit
        assert intervals == cube.observed.intervals
    days = series.calendar_series(cube, "day").frame.filter(pl.col("class") == "total")
    assert sorted(set(days["hours"])) == ([23, 24] if unit == "day" else [24, 25])
    assert all(one.hour == 0 for one in days["local_at"])


def test_polls_every_5_and_every_15_minutes_tell_the_same() -> None:
    """A truth by minutes, polled twice: averages differ by no more than each change of state can move them."""
    drawn = random.Random(7)
    minutes = 24 * 60
    truth: list[Gpu] = []
    while len(truth) < minutes:
        truth += [drawn.choice([claimed("ann"), claimed("bob"), idle(), lent(idle())])] * drawn.randint(20, 200)
    changes = sum(one != two for one, two in pairwise(truth[:minutes]))
    window = Window(DAY, DAY + timedelta(days=1))
    found = []
    for step in (5, 15):
        polls = every(step, 24)
        states = [truth[step * number] for number in range(len(polls))]
        made = MadePool(polls, {("m", "0"): states}, Pool(poll_minutes=step))
        cube = made.cube(window)
        assert (cube.observed.intervals, cube.observed.expected) == (96, 96)
        found.append({line["class"]: line for line in allocation.allocation_by_class(cube).frame.iter_rows(named=True)})
    for name in (OPEN, "backfill_open", "total"):
        error = changes * 15 / minutes
        assert found[0][name]["allocated_avg"] == pytest.approx(found[1][name]["allocated_avg"], abs=error)
        assert found[0][name]["available_avg"] == pytest.approx(found[1][name]["available_avg"], abs=error)
