"""Every plot of every kind, of months that hold next to nothing; and what a plot with a fault costs the others."""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import plotly.graph_objects as go
import polars as pl
import pytest

from usage_assets.core import settings
from usage_assets.core.months import Window
from usage_assets.facts.tables import INTERVALS, LEASES
from usage_assets.kinds import KINDS, OPENSTACK, kind_metrics
from usage_assets.kinds.htcondor.facts.tables import GPU_POLLS, GPU_RUNS
from usage_assets.kinds.htcondor.site.model import HTCondorSite
from usage_assets.kinds.htcondor.tables.declarations import GPU_DAYS, GPU_USERS
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.kinds.service.facts.tables import SERVICE_REQUESTS
from usage_assets.kinds.service.reports.spending_tables import SPENDING_STATUS
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.kinds.service.tables.declarations import SERVICE_USER_DAILY, SERVICE_USER_MONTHLY
from usage_assets.reports import pictures, thumbnail
from usage_assets.reports.draw import CONTRACT, check_pages, draw_window
from usage_assets.reports.plots import Plot, plots_of
from usage_assets.reports.render import page
from usage_assets.reports.tables import LEGACY_COMPARISON
from usage_assets.schema import Table, Type
from usage_assets.sites.base import Site
from usage_assets.specs.kind import Kind
from usage_assets.specs.plot_context import Scene
from usage_assets.timelines.metrics import metrics_with
from usage_assets.timelines.tables import LEADTIME, USAGE
from usage_assets.warehouse import Warehouse

MONTH, START = date(2026, 1, 1), datetime(2026, 1, 1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SITES: dict[str, Site] = {
    "openstack": OpenStackSite.model_validate(
        {"kind": "openstack", "key": "made", "name": "Made", "databases": {"nova": "sqlite://"}, "first_month": MONTH}
    ),
    "htcondor": HTCondorSite.model_validate({"kind": "htcondor", "key": "made", "name": "Made", "snapshots": "x"}),
    "service": ServiceSite.model_validate(
        {"kind": "service", "key": "made", "name": "Made", "sources": [{"reader": "records", "path": "/made"}]}
    ),
}
READ = (USAGE, LEASES, LEADTIME, LEGACY_COMPARISON, INTERVALS, GPU_RUNS, GPU_POLLS, GPU_USERS, GPU_DAYS,
        SERVICE_REQUESTS, SERVICE_USER_DAILY, SERVICE_USER_MONTHLY, SPENDING_STATUS)  # fmt: skip
"""All tables that plots read."""
_PLAIN: dict[Type, object] = {
    Type.TEXT: "x", Type.INT: 1, Type.FLOAT: 1.0, Type.BOOL: False, Type.DATE: MONTH, Type.INSTANT: START,
    Type.MONEY: Decimal(1),
}  # fmt: skip


def rows(table: Table, *several: Mapping[str, object]) -> pl.DataFrame:
    """Rows that hold what is said, nothing where nothing need be, else something of the column's type."""
    plain = {column.name: None if column.nullable else _PLAIN[column.type] for column in table.columns}
    made = [{**plain, "site": "made", "month": MONTH, **one} for one in several]
    return pl.DataFrame(made, schema=table.polars_schema, orient="row")


def usage(values: Mapping[str, float | None], *, collectors: Iterable[str] = ("current",), resource: str = "nodes"):
    """A row per day for each metric."""
    return rows(
        USAGE,
        *(
            {"timestamp": START + DAY * day, "collector_type": by, "metric": name, "resource": resource, "value": value}
            for name, value in values.items()
            for by in collectors
            for day in range(31)
        ),
    )


def of_month(kind: Kind, machines: float | None) -> dict[Table, pl.DataFrame]:
    """What a month of so many machines (None = unknown) leaves in the tables, all else null."""
    resource = kind.machines[0]
    every = dict.fromkeys(metrics_with(kind_metrics()).by_name, machines)
    out = {USAGE: usage(every, collectors=("current", "legacy"), resource=resource)}
    if not machines:
        return out
    lease = {"lease_id": "l", "created_at": START, "requested": 1.0, "outcome": "ended"}
    run = {"machine": "m", "gpu": "GPU-1", "start_at": START, "end_at": START + HOUR}
    asked = {"model_id": "m", "user_id": "u", "final_state": "succeeded", "requests": 1, "cost": Decimal(1)}
    done = {"submitted_at": START, "started_at": START, "ended_at": START + HOUR, "duration_s": 3600.0, "lead_s": 0.0}
    of_users = {"user_id": "u", "requests": 1, "succeeded": 1, "cost": Decimal(1), "input_tokens": 2}
    limited = {"window": "month", "period": "2026-01", "amount": Decimal(2), "remaining": Decimal(1)}
    return out | {
        SERVICE_REQUESTS: rows(SERVICE_REQUESTS, asked | done),
        SERVICE_USER_DAILY: rows(SERVICE_USER_DAILY, {"date": MONTH} | of_users),
        SERVICE_USER_MONTHLY: rows(SERVICE_USER_MONTHLY, of_users),
        SPENDING_STATUS: rows(SPENDING_STATUS, limited | {"percent": Decimal(50)}),
        LEASES: rows(
            LEASES, lease, *(lease | {"lease_id": f"k{n}", "effective": 1.0, "projected": 0.5} for n in range(5))
        ),
        LEADTIME: rows(LEADTIME, {"timestamp": START, "leadtime_type": "requested"}),
        LEGACY_COMPARISON: rows(LEGACY_COMPARISON, {"date": MONTH, "metric": "total", "difference": 1.0}),
        GPU_RUNS: rows(
            GPU_RUNS, run, run | {"gpu": "GPU-2", "is_drained": True}, run | {"gpu": "GPU-3", "is_refusing": True}
        ),
        GPU_POLLS: rows(GPU_POLLS, {"poll_at": START}),
        GPU_USERS: rows(GPU_USERS, {"grouping": "all", "user": "u", "class": "open", "gpu_hours_observed": 1.0}),
        GPU_DAYS: rows(GPU_DAYS, {"bucket_at": START, "local_at": START, "class": "total", "hours": 24.0}),
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Kind, float | str | None], Warehouse]:
    """A warehouse of a month with so many machines, or without a row at all; each is made once."""

    @cache
    def make(kind: str, machines: float | str | None) -> Warehouse:
        out = Warehouse(tmp_path_factory.mktemp("made") / "w.duckdb")
        with out.write("test") as writer:
            writer.ensure(*READ)
            for table, frame in {} if isinstance(machines, str) else of_month(KINDS[kind], machines).items():
                writer.put(table, frame)
        return out

    return lambda kind, machines: make(kind.name, machines)


def figures(
    kind: Kind, warehouse: Warehouse, extracted: datetime | None = None, *, only: str | None = None
) -> dict[str, Any]:
    """By plot its figure, once it was made a page and a thumbnail; none where a history has nothing to show."""
    site = SITES[kind.name]
    out = {}
    plots = [plot for plot in plots_of(kind) if only in {None, plot.name}]
    scenes = {
        plot.name: Scene(
            site,
            MONTH if plot.scope == "month" else None,
            extracted,
            machines=kind.machines,
            kind_metrics=kind_metrics(),
            sites={site.key: site},
            machines_of={site.key: kind.machines},
        )
        for plot in plots
    }
    with warehouse.read() as reader:
        read = {plot.name: plot.read(reader, scenes[plot.name]) for plot in plots}
    for plot in plots:
        month, found = scenes[plot.name].month, read[plot.name]
        assert found is not None or month is None
        figure = None if found is None else plot.draw(found, scenes[plot.name])
        if figure is not None:
            if extracted is None:
                go.Figure(figure)
            assert page(figure, plot.page(site.key, month)).rstrip().endswith("</html>")
            thumbnail.fitting(figure)
        out[plot.name] = figure
    return out


def said(figure: Any) -> str:
    return " ".join(note["text"] for note in figure["layout"]["annotations"])


OF_KINDS = pytest.mark.parametrize("kind", [*KINDS.values()], ids=lambda kind: kind.name)
OF_MACHINES = pytest.mark.parametrize(
    "kind", [kind for kind in KINDS.values() if not kind.usage], ids=lambda kind: kind.name
)


@OF_KINDS
def test_every_plot_of_a_month_without_rows_is_a_sentence_that_says_so(kind: Kind, made):
    for name, figure in figures(kind, made(kind, "no rows")).items():
        assert figure is None or (figure["data"], len(figure["layout"]["annotations"])) == ([], 1), name


@pytest.mark.parametrize("machines", [0.0, None, 1.0])
@pytest.mark.parametrize("extracted", [None, START, START + HOUR])
@OF_KINDS
def test_every_plot_can_be_drawn_of_no_machine_of_an_unknown_number_and_of_one(
    kind: Kind, machines: float | None, extracted: datetime | None, made
):
    found = figures(kind, made(kind, machines), extracted)
    if machines:
        assert None not in found.values()
        assert [name for name, figure in found.items() if not figure["data"]] == []


@OF_MACHINES
def test_a_month_without_machines_says_so(kind: Kind, made):
    for name in ("usage_stack", "utilization", "node_types"):
        figure = figures(kind, made(kind, 0.0), only=name)[name]
        assert (figure["data"], said(figure)) == ([], "No machines in this month")


def test_a_month_that_is_not_known_is_not_one_without_machines(made):
    for name in ("usage_stack", "utilization", "node_types"):
        assert "known for this time" in said(figures(OPENSTACK, made(OPENSTACK, None), only=name)[name])


@pytest.mark.parametrize("step", ["read", "draw"])
def test_a_fault_of_one_plot_costs_no_other_plot_and_no_other_month(
    step: str, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(pictures, "draw", lambda figures: dict.fromkeys(figures, b"a picture"))
    months = (MONTH, date(2026, 2, 1))
    both = [of_month(OPENSTACK, 1.0)[USAGE].filter(pl.col("collector_type") == "current")]
    both.append(both[0].with_columns(month=pl.lit(months[1]), timestamp=pl.col("timestamp").dt.offset_by("31d")))
    frame = pl.concat([both[0], both[1].filter(pl.col("timestamp") < datetime(2026, 3, 1))])
    with warehouse.write("test") as writer:
        writer.replace(USAGE, frame, site="made", months=months, asset="openstack/timelines/usage", run_id="1")
    site, window = SITES["openstack"], Window("made", months)

    def broken(*args: Any) -> Any:
        """Fails in January; the broken part of a plot is told its scene last."""
        if args[-1].month == MONTH:
            msg = "no such\ncolumn"
            raise pl.exceptions.ColumnNotFoundError(msg)
        return getattr(good, step)(*args)

    plots = {plot.name: plot for plot in plots_of(OPENSTACK)}
    good = plots["utilization"]
    values = {name: getattr(good, name) for name in good.__dataclass_fields__} | {step: broken}
    plots["utilization"] = Plot(**values)
    drawn = draw_window(OPENSTACK, site, window, warehouse, plots=[*plots.values()], kinds=KINDS)

    assert drawn.faults == {("utilization", MONTH): "ColumnNotFoundError: no such column"}
    of_months = {f"{month:%Y-%m}/{name}" for month in months for name in ("usage_stack", "utilization", "node_types")}
    folder = settings.plots_dir() / "made"
    found = {path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.html")}
    assert found == (of_months - {"2026-01/utilization"}) | {"made_stack"}
    assert "site made, 2026-01: plot utilization could not be drawn" in caplog.text
    verdicts = check_pages(OPENSTACK, site, window, plots["utilization"], drawn)
    contract = verdicts[CONTRACT]
    assert [contract[month].passed for month in months] == [False, True]
    assert "plot utilization could not be drawn: ColumnNotFoundError: no such column" in contract[MONTH].text
    assert all(
        one.passed for one in check_pages(OPENSTACK, site, window, plots["node_types"], drawn)[CONTRACT].values()
    )
