"""`usage/reports/coverage`: the table, its picture, and the checks that say which site-months are missing or stale.

One asset for the sites of all kinds, without partitions: it is made anew whole. It runs after the runs of the sites and
at an hour of its own, so that a night that did not come is seen.
"""

import logging
from typing import Any

import dagster as dg
import duckdb
import polars as pl

from usage_assets.checks.record import Fails
from usage_assets.core.clock import naive_utc_now
from usage_assets.core.errors import ContractError, UsageError
from usage_assets.core.file_faults import advice
from usage_assets.core.markdown import markdown_table
from usage_assets.kinds import KINDS
from usage_assets.orchestration.checks import listed
from usage_assets.orchestration.cron import clock_of
from usage_assets.orchestration.resources import SettingsResource, WarehouseResource
from usage_assets.orchestration.ui_metadata import asset_key, column_schema, page_metadata
from usage_assets.reports.coverage import picture
from usage_assets.reports.coverage.front import write_front
from usage_assets.reports.coverage.judge import judged
from usage_assets.reports.coverage.listing import site_months, worst
from usage_assets.reports.render import Renderer, write_file
from usage_assets.reports.tables import COVERAGE, STATUSES
from usage_assets.sites.book import SiteBook
from usage_assets.warehouse import Warehouse

KEY = dg.AssetKey(["usage", "reports", "coverage"])
GROUP = "usage_serving"
FRESH, COMPLETE, SCHEDULES = "fresh", "complete", "schedules"
_BAD = {FRESH: ("stale",), COMPLETE: ("missing", "refused", "waits")}
_WHAT = {FRESH: "stale", COMPLETE: "incomplete"}
_DESCRIPTIONS = {
    FRESH: "Every month that can still change was read within USAGE_STALE_HOURS, and every closed one after its end.",
    COMPLETE: "Every month since a site's first one was built of every table, less the known gaps.",
    SCHEDULES: "The settings of the schedules can be used.",
}
_LOG = logging.getLogger("usage_assets")


def coverage_asset(book: SiteBook) -> dg.AssetsDefinition:
    """The asset and its checks, after the usage timelines of every kind that has sites."""

    @dg.asset(
        key=KEY,
        group_name=GROUP,
        description=f"{COVERAGE.description} With a heat map of sites, stages and months, and the same rows as CSV.",
        tags={"stage": "serving"},
        kinds={"duckdb", "polars", "plotly"},
        metadata={
            "dagster/table_name": COVERAGE.qualified,
            "dagster/column_schema": column_schema(COVERAGE.columns, COVERAGE.unique_key),
        },
        deps=[asset_key(name, "timelines", "usage") for name in KINDS if book.keys_of(name)],
        check_specs=[
            dg.AssetCheckSpec(name, asset=KEY, description=text, blocking=False) for name, text in _DESCRIPTIONS.items()
        ],
    )
    def coverage(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource, settings: SettingsResource
    ) -> dg.MaterializeResult:
        store = warehouse.store()
        for key, fault in book.faults.items():
            context.log.warning("Site %s keeps its old rows, its file has a fault: %s", key, fault)
        try:
            rows = write(book, store)
            shown = publish(rows, book, pictures=settings.picture_policy())
            write_front(rows, book, store)
        except UsageError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from None
        except (duckdb.Error, OSError) as error:
            todo = advice(error, store.path.parent)
            msg = f"coverage could not be stored: {error}. The old rows are untouched. What to do: {todo}"
            raise dg.Failure(description=msg, allow_retries=False) from error
        found = [_result(check, site_months(rows, bad), rows) for check, bad in _BAD.items()]
        return dg.MaterializeResult(metadata=shown, check_results=[*found, check_schedules()])

    return coverage


def coverage_schedule(job: str) -> dg.ScheduleDefinition:
    """Coverage once a day whatever ran in the night: `USAGE_COVERAGE_CRON` (noon unless set) in `USAGE_TIMEZONE`."""
    clock = clock_of("USAGE_COVERAGE_CRON")
    for fault in clock.faults:
        _LOG.warning("coverage_daily: %s", fault)
    return dg.ScheduleDefinition(
        name="coverage_daily",
        job_name=job,
        cron_schedule=clock.cron,
        execution_timezone=clock.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        tags={"usage/trigger": "coverage"},
        description="Looks at what there is of every site and month, so that a night that did not come is seen.",
    )


def write(book: SiteBook, warehouse: Warehouse) -> pl.DataFrame:
    """Judge all good sites and replace their rows in one transaction; sites whose file has a fault keep theirs."""
    with warehouse.read() as reader:
        rows = judged(reader, KINDS, book, naive_utc_now())
    with warehouse.write("coverage") as writer:
        writer.ensure(COVERAGE)
        if broken := writer.refused(COVERAGE, rows):
            msg = "; ".join(str(one) for found in broken.values() for one in found)
            raise ContractError(f"{COVERAGE.qualified}: {msg}")
        writer.con.execute(
            f"DELETE FROM {COVERAGE.qualified} WHERE site NOT IN (SELECT unnest($kept::VARCHAR[]))",
            {"kept": sorted(book.faults)},
        ).fetchall()
        writer.put(COVERAGE, rows)
    return rows


def publish(rows: pl.DataFrame, book: SiteBook, *, pictures: str = "auto") -> dict[str, Any]:
    """Write picture and CSV; metadata with the links, the counts and the worst site-months."""
    renderer = Renderer()
    figure = picture.coverage_map(rows, {key: site.name for key, site in book.items()})
    renderer.add(picture.NAME, figure, picture=pictures != "none")
    page = renderer.finish()[picture.NAME]
    csv = page.path.with_suffix(".csv")
    write_file(csv, rows.write_csv().encode())
    counts = dict(rows["status"].value_counts().iter_rows())
    out: dict[str, Any] = {
        "dagster/row_count": rows.height,
        **page_metadata(page),
        "table": dg.MetadataValue.path(str(csv)),
        **{status: counts.get(status, 0) for status in STATUSES},
        "worst": dg.MetadataValue.md(worst(rows)),
    }
    if book.faults:
        out["left_out"] = dg.MetadataValue.md(markdown_table(("site", "fault"), sorted(book.faults.items())))
    return out


def check_schedules() -> dg.AssetCheckResult:
    """Whether cron lines and time zone of the environment are ones that can be used."""
    faults = list(dict.fromkeys([*clock_of("USAGE_NIGHTLY_CRON").faults, *clock_of("USAGE_COVERAGE_CRON").faults]))
    return dg.AssetCheckResult(
        asset_key=KEY,
        check_name=SCHEDULES,
        passed=not faults,
        description="; ".join(faults) or "cron lines and time zone can be used",
    )


def _result(check: str, found: pl.DataFrame, rows: pl.DataFrame) -> dg.AssetCheckResult:
    """`fresh` or `complete`, one result over all sites and months."""
    every = rows.select("site", "month").unique().height
    sites = ", ".join(f"{site} {count}" for site, count in found.group_by("site").len().sort("site").iter_rows())
    text = f"{found.height} of {every} site-months {_WHAT[check]}" + (f": {sites}" if sites else "")
    return listed(KEY, check, [Fails(*row) for row in found.iter_rows()], text, dg.AssetCheckSeverity.ERROR)
