"""What checks found is kept by site-month: failing ones only, replaced by every evaluation."""

from datetime import date

import pytest

from usage_assets.checks.record import Evaluated, record
from usage_assets.core.text import cut
from usage_assets.specs.finding import GOOD, Finding
from usage_assets.warehouse import Warehouse
from usage_assets.warehouse.bookkeeping import CHECKED, FAILED_CHECKS

JAN, FEB = date(2020, 1, 1), date(2020, 2, 1)
BAD = Finding(False, "12 hours too many")
USAGE = "k/timelines/usage"


def failing(warehouse: Warehouse) -> set[tuple]:
    with warehouse.read() as reader:
        frame = reader.frame(FAILED_CHECKS, columns=["site", "month", "asset", "check_name", "severity", "text"])
    return set(frame.iter_rows())


def test_only_failing_months_are_rows_and_a_later_evaluation_takes_their_place(warehouse: Warehouse):
    record(warehouse, "a", [JAN, FEB], "r1", [Evaluated(USAGE, "order", "WARN", {JAN: GOOD, FEB: BAD})])
    assert failing(warehouse) == {("a", FEB, USAGE, "order", "WARN", "12 hours too many")}
    record(warehouse, "a", [JAN, FEB], "r2", [Evaluated(USAGE, "order", "WARN", {JAN: BAD, FEB: GOOD})])
    assert {(month, text) for _, month, *_, text in failing(warehouse)} == {(JAN, "12 hours too many")}


def test_other_sites_months_and_checks_keep_what_was_found(warehouse: Warehouse):
    both = {JAN: BAD, FEB: BAD}
    record(
        warehouse,
        "a",
        [JAN, FEB],
        "r",
        [Evaluated(USAGE, "order", "WARN", both), Evaluated(USAGE, "contract", "ERROR", both)],
    )
    record(warehouse, "b", [JAN], "r", [Evaluated(USAGE, "order", "WARN", {JAN: BAD})])
    record(warehouse, "a", [JAN], "r", [Evaluated(USAGE, "order", "WARN", {JAN: GOOD})])
    assert {(site, month, check) for site, month, _, check, *_ in failing(warehouse)} == {
        ("a", JAN, "contract"), ("a", FEB, "contract"), ("a", FEB, "order"), ("b", JAN, "order")
    }  # fmt: skip


def test_nothing_is_written_where_nothing_fails_or_failed(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch):
    record(warehouse, "a", [JAN], "r", [Evaluated(USAGE, "order", "WARN", {JAN: BAD})])
    monkeypatch.setattr(Warehouse, "write", None)
    record(warehouse, "a", [FEB], "r", [Evaluated(USAGE, "order", "WARN", {FEB: GOOD})])
    record(warehouse, "b", [JAN], "r", [Evaluated(USAGE, "order", "WARN", {JAN: GOOD})])


def test_it_is_kept_which_rows_were_checked_and_by_which_run(warehouse: Warehouse):
    record(warehouse, "a", [JAN, FEB], "r1", [], checked=[USAGE])
    record(warehouse, "a", [FEB], "r2", [], checked=[USAGE])
    with warehouse.read() as reader:
        rows = reader.frame(CHECKED, columns=["month", "asset", "run_id"])
    assert set(rows.iter_rows()) == {(JAN, USAGE, "r1"), (FEB, USAGE, "r2")}


def test_a_long_finding_is_cut_at_whole_names(warehouse: Warehouse):
    names = [f"{n:036}" for n in range(20)]
    record(warehouse, "a", [JAN], "r", [Evaluated(USAGE, "order", "WARN", {JAN: Finding(False, ", ".join(names))})])
    ((*_, text),) = failing(warehouse)
    assert text == ", ".join(names[:10]) + " ..."
    found = [cut("a word or two", length) for length in (13, 12, 10, 9, 5)]
    assert found == ["a word or two", "a word ...", "a word ...", "a ...", "a ..."]
    assert cut("x" * 30, 10) == "xxxxxx ..."


def test_what_fails_by_then_at_every_site_is_returned(warehouse: Warehouse):
    record(warehouse, "a", [FEB], "r", [Evaluated(USAGE, "order", "WARN", {FEB: BAD})])
    good = [Evaluated(USAGE, "order", "WARN", {JAN: GOOD}), Evaluated(USAGE, "contract", "ERROR", {JAN: GOOD})]
    for checked in ((), (USAGE,)):
        found = record(warehouse, "b", [JAN], "r", good, checked=checked)
        assert found == {(USAGE, "order"): [("a", FEB, "12 hours too many")], (USAGE, "contract"): []}


def test_what_holds_of_a_site_as_it_is_now_takes_the_place_of_what_any_month_said(warehouse: Warehouse):
    record(warehouse, "a", [JAN], "r", [Evaluated(USAGE, "access", "WARN", {JAN: BAD}, of_now=True)])
    record(warehouse, "b", [JAN], "r", [Evaluated(USAGE, "access", "WARN", {JAN: BAD}, of_now=True)])
    found = record(warehouse, "a", [FEB], "r", [Evaluated(USAGE, "access", "WARN", {FEB: GOOD}, of_now=True)])
    assert [fails.site for fails in found[USAGE, "access"]] == ["b"]
