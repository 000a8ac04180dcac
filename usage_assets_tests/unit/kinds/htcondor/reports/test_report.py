"""Reports: their sections in order, nothing of the pool taken for markup, page and text with the same numbers."""

import re
from dataclasses import replace
from datetime import datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest

from usage_assets.kinds.htcondor.pool.rules import Pool
from usage_assets.kinds.htcondor.reports.content import Report, report
from usage_assets.kinds.htcondor.reports.grid import Column, Grid, Row, text_lines
from usage_assets.kinds.htcondor.reports.period import Period
from usage_assets.kinds.htcondor.reports.render import as_html, as_text
from usage_assets.kinds.htcondor.site.reports import Reports
from usage_assets.kinds.htcondor.tables.options import Options
from usage_assets.kinds.htcondor.tables.window import Window
from usage_assets_tests.unit.kinds.htcondor.tables.made import (
    DAY,
    HOSTED,
    RESEARCHER,
    MadePool,
    States,
    claimed,
    drained,
    every,
    idle,
    lent,
)

EVIL = "<script>alert(1)</script>"
TITLES = [
    "Real slots",
    "Primary slots by memory",
    "H200 by slot type and user",
    "Backfill by slot type and user",
    "Machines with no active primary GPU",
    "Allocation by device",
    "Machine categories",
    "Draining",
    "Machines that prevent new jobs",
    "Excluded hosts",
    "Methodology",
]
PERIOD = Period(Window(DAY, DAY + timedelta(days=1)), "daily")
GOLDEN = Path(__file__).with_name("worked.txt")


def pool(polls: list[datetime]) -> MadePool:
    """Four GPUs that count, and one that does not: small enough to be worked by hand."""
    count = len(polls)
    refusing = idle(HOSTED, reason="fan", is_refusing=True)
    quarter = [claimed("ann", HOSTED), lent(idle(HOSTED), "bob", "backfill_hosted"), drained(HOSTED), refusing]
    gpus: States = {
        ("../m", "0"): [claimed(EVIL, device="NVIDIA H200", memory_mb=143_771)] * count,
        ("n", "0"): (quarter * (count // 4 + 1))[:count],
        ("x", "1"): [idle(RESEARCHER)] * count,
        ("old", "0"): [idle(RESEARCHER, device="NVIDIA A40")] * count,
        ("z", "1"): [idle(RESEARCHER, masked="broken <b>")] * count,
    }
    return MadePool(polls, gpus, Pool(masked={"z": "broken <b>", "y": "gone"}))


def made(polls: list[datetime] | None = None, period: Period = PERIOD, reports: Reports | None = None) -> Report:
    of = pool(every(15, 24) if polls is None else polls)
    found = report(of.facts, of.pool, period, reports or Reports(), name="Pool <i>")
    *rest, last = found.footer
    assert re.fullmatch(r"Made in \d+\.\d\d s from [\d,]+ runs of GPUs\.", last)
    return replace(found, footer=(*rest, "Made at once."))


class Cells(HTMLParser):
    """The texts of a page: cells of its tables by row, and headings."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.headings: list[str] = []
        self.tags: set[str] = set()
        self._in = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self._in = self._in if tag == "b" else tag
        if tag == "tr":
            self.rows.append([])
        elif tag in {"td", "th"}:
            self.rows[-1].append("")
        elif tag == "h2":
            self.headings.append("")
        assert not {"src", "href", "onload", "onclick"} & {name for name, _ in attrs}, "nothing is fetched or run"

    def handle_endtag(self, tag):
        self._in = self._in if tag == "b" else ""

    def handle_data(self, data):
        if self._in in {"td", "th"}:
            self.rows[-1][-1] += data
        elif self._in == "h2":
            self.headings[-1] += data


def test_sections_stand_in_order_in_both():
    found = made()
    assert Cells(as_html(found)).headings == TITLES
    text = as_text(found)
    places = [text.index(f"\n{title}\n{'-' * len(title)}\n") for title in TITLES]
    assert places == sorted(places)


def test_the_worked_pool_reads_as_it_should():
    text = as_text(made()).split("\nMethodology\n")[0]
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_page_and_text_have_the_same_cells():
    found = made()
    rows = {tuple(row) for row in Cells(as_html(found)).rows}
    shown = [row.cells for section in found.sections for table in section.grids for row in table.rows]
    assert len(shown) > 30
    assert set(shown) <= rows
    lines = [" ".join(line.split()) for line in as_text(found).splitlines()]
    assert [row for row in shown if " ".join(" ".join(row).split()) not in lines] == []


def test_nothing_of_the_pool_is_markup():
    page = as_html(made())
    assert EVIL not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "broken &lt;b&gt;" in page
    assert "Pool &lt;i&gt;" in page
    assert not {"script", "i", "link", "img", "iframe"} & Cells(page).tags


def test_a_page_needs_nothing_else_and_a_mail_has_no_drawing():
    found = made()
    page = as_html(found)
    assert page.rstrip().endswith("</html>")
    assert page.replace("http://www.w3.org/2000/svg", "").count("http") == 0
    assert "<svg" in page
    assert "<svg" not in as_html(found, drawings=False)


def test_the_subject_has_date_period_and_percentages_in_the_order_of_classes():
    said = Reports.model_validate({"prefix": "[gpu]", "wording": {"backfill": "Secondary (Backfill)"}})
    assert made(reports=said).subject == (
        "[gpu] 2026-03-03 24h: Researcher 0.0% | Hosted 25.0% | Open 100.0% | Secondary (Backfill) 100.0%"
    )


def test_words_are_the_sites():
    said = Reports.model_validate({"wording": {"backfill": "Secondary (Backfill)", "allocation": "Utilization"}})
    found = made(reports=said)
    titles = [section.title for section in found.sections]
    assert "Secondary (Backfill) by slot type and user" in titles
    assert "Utilization by device" in titles
    labels = [row.cells[0] for row in found.sections[0].grids[0].rows]
    assert "Secondary (Backfill), hosted" in labels
    assert not [text for text in labels if text.startswith("Backfill")]


def test_no_poll_at_all_is_said_and_not_shown_as_idle():
    found = made([DAY - timedelta(days=3)])
    assert found.warnings[0].startswith("No poll saw the pool")
    assert found.drawing == ""
    total = found.sections[0].grids[0].rows[0]
    assert total.cells[1:] == ("-", "-", "-", "-", "-")
    assert "Intervals: 0 of 96" in as_text(found)
    assert as_html(found).rstrip().endswith("</html>")


def test_half_a_window_averages_over_what_was_seen_and_says_so():
    half = made(every(15, 12))
    assert half.warnings[0].startswith("Only 50.0% of this period was seen.")
    assert [row.cells for row in half.sections[0].grids[0].rows] == [
        row.cells for row in made().sections[0].grids[0].rows
    ]
    rows = {row.cells[0]: row.cells for row in half.sections[2].grids[0].rows}
    assert rows[EVIL][1:3] == ("12.0", "24.0"), "observed, and estimated for the whole period"


def test_a_month_with_a_gap_has_its_own_coverage_in_every_section():
    polls = [at for at in every(60, 31 * 24, datetime(2026, 3, 1)) if at.day not in {10, 11}]
    of = pool(polls)
    of.pool = replace(of.pool, poll_minutes=60, bucket_minutes=60)
    period = Period(Window(datetime(2026, 3, 1), datetime(2026, 4, 1)), "monthly")
    found = report(of.facts, of.pool, period, Reports(), name="Pool")
    assert found.title == "Pool: monthly report, March 2026"
    assert found.subject.startswith("GPU pool March 2026: ")
    assert f"Intervals: {29 * 24} of {31 * 24} of 60 minutes seen (93.5%), by {29 * 24} polls" in found.footer
    assert "First poll 2026-03-01 00:00, last poll 2026-03-31 23:00 (UTC)." in found.footer
    sections = {section.key: section for section in found.sections}
    drained_hours = sections["draining"].grids[0].rows[0].cells[-2]
    assert drained_hours == "174.0", "a quarter of the 696 hours that were seen, not of the last day"
    # the gap is blank in the drawing: each class has two stretches
    assert found.drawing.count("Z") >= 4


def test_the_model_of_the_site_is_listed():
    of = pool(every(15, 24))
    found = report(of.facts, of.pool, PERIOD, Reports(model="L40S"), name="Pool")
    assert found.sections[2].title == "L40S by slot type and user"
    found = report(of.facts, of.pool, PERIOD, Reports(), name="Pool", options=Options(model="B200"))
    assert found.sections[2].empty == "No job held a GPU called B200 in this period."
    assert "No job held a GPU called B200" in as_text(found)


@pytest.mark.parametrize("width", [40, 60, 100])
def test_text_never_exceeds_its_width(width: int):
    columns = (Column("Machine"), Column("Reason"), *(Column(f"Number {n}", True) for n in range(20)))
    rows = tuple(Row(("m" * 500, "because", *(f"{n:,}" for n in range(20)))) for _ in range(3))
    lines = text_lines(Grid(columns, rows), width)
    assert max(map(len, lines)) <= max(width, 60)
    assert max(map(len, as_text(made()).splitlines())) <= 100
