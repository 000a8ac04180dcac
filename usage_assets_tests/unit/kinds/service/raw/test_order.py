"""Whatever the order of files, dumps and months, and however often rows come: the same events are kept."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from usage_assets.core.months import Window
from usage_assets.kinds.service.facts.checks import LATE, late_events
from usage_assets_tests.properties import examples
from usage_assets_tests.unit.kinds.service.raw.services import FEBRUARY, JANUARY, MARCH, QUARTER, Rows, Service, event

START = datetime(2026, 1, 1)


def _row(number: int | None, hours: int, tokens: int) -> dict[str, Any]:
    """A row of January to March; the first hours of months come often."""
    ts = START + timedelta(hours=hours)
    return event(None if number is None else f"e{number}", f"{ts.isoformat()}Z", input_tokens=tokens)


rows = st.builds(
    _row,
    st.one_of(st.none(), st.integers(0, 4)),
    st.sampled_from((0, 1, 31 * 24 - 1, 31 * 24, 59 * 24 - 1, 59 * 24, 70 * 24)),
    st.sampled_from((1, 2, -1)),
)
files = st.lists(st.lists(rows, min_size=1, max_size=6), min_size=1, max_size=4)


def expected(contents: Sequence[Rows]) -> tuple[set[tuple[Any, ...]], set[tuple[Any, ...]]]:
    """What is kept (event, ts, file, row, tokens) and rejected (file, row, reason), by the rules as they stand."""
    kept: dict[str, tuple[Any, ...]] = {}
    rejected: set[tuple[Any, ...]] = set()
    found = []
    for number, content in enumerate(contents):
        seen: dict[str, int] = {}
        for place, row in enumerate(content, 1):
            if row["input_tokens"] < 0:
                rejected.add((f"{number}.jsonl", place, "negative"))
                continue
            same = repr(sorted(row.items()))
            seen[same] = seen.get(same, 0) + 1
            name = row.get("event_id") or f"{same} {seen[same]}"
            found.append((name, row["ts"], f"{number}.jsonl", place, row["input_tokens"]))
    for one in found:
        name, ts, file, place, _ = one
        best = kept.get(name)
        if best is None or ts < best[1] or (ts == best[1] and (file, place) > (best[2], best[3])):
            kept[name] = one
    for one in found:
        best = kept[one[0]]
        if one != best:
            equal = (one[1], one[4]) == (best[1], best[4])
            rejected.add((one[2], one[3], "duplicate" if equal else "superseded"))
    return {one[1:] for one in kept.values()}, rejected


def waiting(service: Service) -> list[date]:
    """Months of which a file has newer rows than are stored."""
    with service.warehouse.read() as reader:
        found = late_events(reader, service.site, Window("gateway", QUARTER))[MARCH]
        if found.passed:
            return []
        rows = reader.sql(LATE, {"site": "gateway", "asset": "service/raw/usage_events"})
    return rows["month"].to_list()


def stored(service: Service) -> tuple[set[tuple[Any, ...]], set[tuple[Any, ...]]]:
    events = service.events("ts", "source_file", "source_row", "input_tokens")
    found = {(f"{row['ts'].isoformat()}Z", *list(row.values())[1:]) for row in events}
    assert len(found) == len(events)
    assert {row["gone_at"] for row in service.events("gone_at")} <= {None}
    rejects = service.rejects("source_file", "source_row", "reason")
    out = {tuple(row.values()) for row in rejects}
    assert len(out) == len(rejects)
    return found, out


@given(files, st.randoms(use_true_random=False))
@examples(60)
def test_files_in_any_order_and_months_in_any_split_give_the_same_rows(contents: list[Rows], chance: Any):
    with TemporaryDirectory() as folder:
        service = Service.of(Path(folder))
        order = list(enumerate(contents))
        chance.shuffle(order)
        for number, content in order:
            service.put(f"{number}.jsonl", content)
            if chance.random() < 0.6:
                first = chance.choice(QUARTER)
                service.dump(first, chance.choice([month for month in QUARTER if month >= first]))
        months = list(QUARTER)
        chance.shuffle(months)
        for month in months:
            service.dump(month)
        assert stored(service) == expected(contents)
        versions = service.versions()
        service.dump_all()
        assert service.versions() == versions


@given(files, files, st.randoms(use_true_random=False))
@examples(40)
def test_files_that_change_give_the_events_of_their_last_content(before: list[Rows], after: list[Rows], chance: Any):
    with TemporaryDirectory() as folder:
        service = Service.of(Path(folder))
        after = [*after, *before[len(after) :]]  # no file is removed
        for number, content in enumerate(before):
            service.put(f"{number}.jsonl", content)
        service.dump_all()
        for number, content in enumerate(after):
            service.put(f"{number}.jsonl", content)
        months = list(QUARTER)
        chance.shuffle(months)
        for month in months:
            service.dump(month, purge_known=True)
        for month in waiting(service):  # what the check late_events names
            service.dump(month, purge_known=True)
        assert waiting(service) == []
        kept, rejected = expected(after)
        events = service.events("ts", "source_file", "source_row", "input_tokens", "gone_at")
        alive = {
            (f"{row['ts'].isoformat()}Z", row["source_file"], row["source_row"], row["input_tokens"])
            for row in events
            if row["gone_at"] is None
        }
        assert alive == kept
        assert {tuple(row.values()) for row in service.rejects("source_file", "source_row", "reason")} == rejected


def test_a_second_delivery_wins_where_it_is_equal_in_time_and_loses_where_it_is_later(tmp_path: Path):
    service = Service.of(tmp_path)
    service.put("a.jsonl", [event("x", input_tokens=1), event("y", input_tokens=1), event("z", input_tokens=1)])
    service.dump()
    service.put("b.jsonl", [event("x", input_tokens=2), event("y", "2026-01-06T00:00:00Z"), event("z", input_tokens=1)])
    service.dump()
    assert service.events("event_id", "source_file", "input_tokens") == [
        {"event_id": "x", "source_file": "b.jsonl", "input_tokens": 2},
        {"event_id": "y", "source_file": "a.jsonl", "input_tokens": 1},
        {"event_id": "z", "source_file": "b.jsonl", "input_tokens": 1},
    ]
    assert [tuple(row.values()) for row in service.rejects("source_file", "source_row", "reason", "event_id")] == [
        ("a.jsonl", 1, "superseded", "x"),
        ("a.jsonl", 3, "duplicate", "z"),
        ("b.jsonl", 2, "superseded", "y"),
    ]


def test_a_stored_event_moves_out_of_its_month_when_an_earlier_row_comes_in_another_one(tmp_path: Path):
    service = Service.of(tmp_path)
    service.put("a.jsonl", [event("x", "2026-03-01T00:00:00Z")])
    service.dump(MARCH)
    service.put("b.jsonl", [event("x", "2026-01-31T23:59:59Z")])
    service.dump(JANUARY)
    assert service.events("month", "source_file") == [{"month": JANUARY, "source_file": "b.jsonl"}]
    assert service.rejects("month", "source_file", "reason") == [
        {"month": MARCH, "source_file": "a.jsonl", "reason": "superseded"}
    ]
    assert service.versions()[MARCH, "usage_events"] == 2
    assert service.versions()[MARCH, "rejected_events"] == 2


def test_equal_rows_without_an_id_are_events_of_their_own_and_another_file_repeats_them(tmp_path: Path):
    service = Service.of(tmp_path)
    service.put("a.jsonl", [event(None), event(None), event(None, input_tokens=1)])
    service.put("b.jsonl", [event(None), event(None), event(None)])
    service.dump()
    kept = service.events("event_id", "source_file", "source_row")
    assert sorted((row["source_file"], row["source_row"]) for row in kept) == [
        ("a.jsonl", 3), ("b.jsonl", 1), ("b.jsonl", 2), ("b.jsonl", 3),
    ]  # fmt: skip
    assert sorted(row["event_id"][-2:] for row in kept) == ["-1", "-1", "-2", "-3"]
    assert service.reasons() == [(1, "duplicate"), (2, "duplicate")]


def test_a_file_is_read_once_and_months_that_wait_are_stored_when_they_are_run(tmp_path: Path):
    service = Service.of(tmp_path)
    service.put("a.jsonl", [event("x"), event("y", "2026-02-05T00:00:00Z"), event("z", "2026-03-05T00:00:00Z")])
    service.dump(FEBRUARY)
    assert service.events("event_id") == [{"event_id": "y"}]
    assert service.files().sort("month").select("month", "rows_read", "merged").rows() == [
        (JANUARY, 1, False), (FEBRUARY, 1, True), (MARCH, 1, False),
    ]  # fmt: skip
    log: list[str] = []
    service.dump(FEBRUARY, log=log.append)
    assert log[0] == "site gateway 2026-02: 0 part(s) to read, 1 as they were"
    service.dump(JANUARY, MARCH)
    assert [row["event_id"] for row in service.events()] == ["x", "y", "z"]
    assert service.files()["merged"].all()
    assert service.versions()[FEBRUARY, "usage_events"] == 1


def test_a_month_of_which_rows_come_later_is_named_until_it_is_run_again(tmp_path: Path):
    service = Service.of(tmp_path)
    service.put("a.jsonl", [event("x", "2026-01-05T00:00:00Z")])
    service.dump(JANUARY, FEBRUARY)
    service.put("b.jsonl", [event("y", "2026-01-06T00:00:00Z"), event("z", "2026-02-06T00:00:00Z")])
    service.dump(FEBRUARY)
    with service.warehouse.read() as reader:
        found = late_events(reader, service.site, Window("gateway", (FEBRUARY,)))
    assert found[FEBRUARY].text == (
        "1 file(s) or ranges have newer rows of 2026-01 than are stored; run usage-assets backfill --site gateway "
        "--from 2026-01 --to 2026-01"
    )
    assert waiting(service) == [JANUARY]
    service.dump(JANUARY)
    assert waiting(service) == []
