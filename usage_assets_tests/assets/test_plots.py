"""Which plots a site has, where their pages lie, and which of them have a picture."""

from datetime import date

import polars as pl
import pytest

from usage_assets.core import settings
from usage_assets.core.errors import UsageError
from usage_assets.core.months import Window
from usage_assets.facts.tables import LEASES
from usage_assets.kinds import KINDS, OPENSTACK
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.reports import pictures
from usage_assets.reports.draw import CONTRACT, COVERAGE, Drawn, check_pages, draw_window
from usage_assets.reports.plots import PLOTS, plots_of
from usage_assets.timelines.tables import USAGE
from usage_assets.warehouse import Warehouse
from usage_assets_tests.unit.reports.test_figures import usage

MONTHS = tuple(date(2026, month, 1) for month in (1, 2, 3, 4))
SITE = OpenStackSite.model_validate(
    {"kind": "openstack", "key": "metal", "name": "Metal", "databases": {"nova": "x"}, "first_month": "2026-01"}
)
OF_USAGE = {"usage_stack", "utilization", "node_types"}


@pytest.fixture
def warehouse(tmp_path) -> Warehouse:
    """Usage of three months; the fourth was never built."""
    frame = usage(days=90).with_columns(
        site=pl.lit("metal"),
        month=pl.col("timestamp").dt.date().dt.month_start(),
        hours=pl.lit(None, pl.Float64),
    )
    made = Warehouse(tmp_path / "w.duckdb")
    with made.write("test") as writer:
        writer.replace(
            USAGE, frame.select(USAGE.names), site="metal", months=MONTHS[:3], asset="openstack/timelines/usage",
            run_id="1",
        )  # fmt: skip
    return made


@pytest.fixture(autouse=True)
def _pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "draw", lambda figures: dict.fromkeys(figures, b"a picture"))
    monkeypatch.delenv("USAGE_PICTURES", raising=False)


def draw(warehouse: Warehouse, months: tuple[date, ...] = MONTHS):
    return draw_window(
        OPENSTACK,
        SITE,
        Window("metal", months),
        warehouse,
        plots=plots_of(OPENSTACK),
        kinds=KINDS,
        sites={"metal": SITE},
    )


def files(suffix: str) -> set[str]:
    folder = settings.plots_dir()
    return {path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob(f"*{suffix}")}


def test_a_kind_has_the_plots_whose_tables_it_has():
    assert {plot.name for plot in plots_of(OPENSTACK)} == {plot.name for plot in PLOTS}
    assert len({plot.name for plot in PLOTS}) == len(PLOTS)


def test_pages_lie_by_site_and_month_and_what_was_not_built_is_not_drawn(warehouse: Warehouse):
    drawn = draw(warehouse)
    months = {f"metal/2026-0{month}/{name}" for month in (1, 2, 3) for name in OF_USAGE}
    assert files(".html") == months | {"metal/metal_stack", "cross_site_usage"}
    assert {month for _, month in drawn.blocked} == {MONTHS[3]}


def test_every_page_is_whole_and_names_its_site(warehouse: Warehouse):
    draw(warehouse)
    for path in settings.plots_dir().rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert text.rstrip().endswith("</html>")
        assert "Metal" in text


def test_a_plot_that_does_not_apply_is_not_drawn_and_counts_as_covered(warehouse: Warehouse):
    drawn = draw(warehouse)
    for plot in plots_of(OPENSTACK):
        found = check_pages(OPENSTACK, SITE, Window("metal", MONTHS), plot, drawn)
        failing = [month for month, finding in found[COVERAGE].items() if not finding.passed]
        assert failing == ([MONTHS[3]] if plot.name in OF_USAGE else []), plot.name


@pytest.mark.parametrize("built", [True, False])
def test_a_history_without_a_lease_has_no_page_and_fails_only_where_it_was_not_built(warehouse: Warehouse, built: bool):
    site = SITE.model_copy(update={"databases": {"nova": "x", "blazar": "y"}})
    window = Window("metal", MONTHS[:2])
    if built:
        with warehouse.write("test") as writer:
            writer.replace(
                LEASES, LEASES.empty(), site="metal", months=window.months, asset="openstack/facts/leases", run_id="1"
            )
    (plot,) = [plot for plot in PLOTS if plot.name == "site_leadtime"]
    drawn = draw_window(OPENSTACK, site, window, warehouse, plots=[plot], kinds=KINDS)
    assert drawn.pages == {}
    coverage = check_pages(OPENSTACK, site, window, plot, drawn)[COVERAGE]
    assert {finding.passed for finding in coverage.values()} == {built}


def test_a_page_that_is_cut_off_fails_its_contract(warehouse: Warehouse):
    draw(warehouse)
    path = settings.plots_dir() / "metal/2026-02/utilization.html"
    path.write_text(path.read_text(encoding="utf-8")[:500], encoding="utf-8")
    (plot,) = [plot for plot in PLOTS if plot.name == "utilization"]
    contract = check_pages(OPENSTACK, SITE, Window("metal", MONTHS[:3]), plot, Drawn())[CONTRACT]
    assert [finding.passed for finding in contract.values()] == [True, False, True]


@pytest.mark.parametrize(
    ("policy", "months", "expected"),
    [
        ("auto", MONTHS, {"usage_stack"}),
        ("auto", MONTHS[:2], {"usage_stack"}),
        ("auto", MONTHS[:1], OF_USAGE),
        ("all", MONTHS, OF_USAGE),
        ("none", MONTHS[:1], set()),
    ],
)
def test_long_runs_leave_pictures_out_unless_all_are_wanted(warehouse, monkeypatch, policy, months, expected):
    monkeypatch.setenv("USAGE_PICTURES", policy)
    draw(warehouse, months)
    of_months = {name.rsplit("/", 1)[1] for name in files(".png") if name.count("/") == 2}
    assert of_months == expected
    assert ("cross_site_usage" in files(".png")) == (policy != "none")


def test_an_older_picture_never_stands_beside_a_newer_page(warehouse: Warehouse):
    draw(warehouse, MONTHS[:1])
    assert "metal/2026-01/utilization" in files(".png")
    (settings.plots_dir() / "metal/2026-01/utilization.html").write_text("what it said then", encoding="utf-8")
    shown = draw(warehouse).pages["utilization", MONTHS[0]]
    assert "metal/2026-01/utilization" not in files(".png")
    assert shown.png_path is None
    assert shown.note is not None
    assert "USAGE_PICTURES" in shown.note


def test_a_wrong_policy_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("USAGE_PICTURES", "some")
    with pytest.raises(UsageError, match="write auto, all or none"):
        settings.pictures()


def test_a_page_that_says_the_same_keeps_its_picture(warehouse: Warehouse):
    draw(warehouse, MONTHS[:1])
    png = settings.plots_dir() / "metal/2026-01/utilization.png"
    png.write_bytes(b"made before")
    shown = draw(warehouse).pages["utilization", MONTHS[0]]
    assert (shown.png_path, png.read_bytes()) == (png, b"made before")
