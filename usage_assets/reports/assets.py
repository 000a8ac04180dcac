"""The report assets of a kind: plots of its sites, one per month and one of the whole history."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg

from usage_assets import settings
from usage_assets.checks.findings import GOOD, Finding
from usage_assets.checks.gated import expected
from usage_assets.checks.raw import result
from usage_assets.gates import closed_months, extracted_at
from usage_assets.kinds import Kind
from usage_assets.partitions import Window, window_of
from usage_assets.presentation import BACKFILL, asset_key, asset_spec, readable_errors, show_month
from usage_assets.reports import figures, reading
from usage_assets.reports.render import Rendered, render_all
from usage_assets.sites import Site
from usage_assets.timelines.tables import USAGE
from usage_assets.warehouse import Warehouse

_DESCRIPTIONS = {
    "usage_stack": "Use and capacity of a site over a month, and the share of use below: HTML, and PNG where a browser "
    "is found.",
    "usage_history": "Use and capacity of a site over its whole history at daily means; made anew once per run.",
}
_CHECKS = {
    "contract": "The page is there and complete.",
    "coverage": "Every month since the site's first one has its page.",
}


@dataclass(frozen=True)
class Drawn:
    """What a run drew: pages by month, the page of the history, and the months left as they were with the reason."""

    months: dict[date, Rendered]
    history: Rendered | None
    closed: dict[date, str]


def report_assets(
    kind: Kind, sites: Mapping[str, Site], warehouse: Warehouse, partitions: dg.MultiPartitionsDefinition
) -> dg.AssetsDefinition:
    """The plots of a kind as one subsettable step."""
    usage = asset_key(kind.name, "timelines", "usage")
    stack, history = (asset_key(kind.name, "reports", name) for name in _DESCRIPTIONS)
    specs = [
        asset_spec(
            kind.name, "reports", name, description=text, partitions=partitions, deps=[usage], kinds=("plotly", "html")
        )
        for name, text in _DESCRIPTIONS.items()
    ]
    checks = [
        dg.AssetCheckSpec(name, asset=spec.key, description=text, blocking=False)
        for spec in specs
        for name, text in _CHECKS.items()
    ]

    @dg.multi_asset(
        name=f"{kind.name}_reports", specs=specs, check_specs=checks, can_subset=True, backfill_policy=BACKFILL
    )
    def draw(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        window = window_of(context.partition_keys)
        site = sites[window.site]
        chosen = context.selected_asset_keys
        with readable_errors(window, "reports"):
            drawn = draw_window(kind, site, window, warehouse, stack=stack in chosen, history=history in chosen)
        if stack in chosen:
            for month in window.months:
                show_month(context, stack, site.key, month, _shown(drawn.months.get(month), drawn.closed.get(month)))
            yield dg.MaterializeResult(asset_key=stack)
        if history in chosen:
            yield dg.MaterializeResult(asset_key=history, metadata=_shown(drawn.history, None))
        for key, name in ((stack, "usage_stack"), (history, "usage_history")):
            findings = check_pages(kind, site, window, name, drawn.closed)
            for check, (found, what) in findings.items():
                if dg.AssetCheckKey(key, check) in context.selected_asset_check_keys:
                    yield result(key, check, site, found, what)

    return draw


def draw_window(kind: Kind, site: Site, window: Window, warehouse: Warehouse, *, stack: bool, history: bool) -> Drawn:
    """Draw the months of a window whose usage is good, and the site's history."""
    with warehouse.read() as reader:
        closed = closed_months(reader, site, window.months, [kind.asset("timelines", "usage")])
        extracted = extracted_at(reader, site, window.months, kind.tables_of(site))
        todo = [month for month in window.months if month not in closed] if stack else []
        shares = reading.shares_machines(reader, site.key)
        days = reading.history(reader, site.key, shared=shares) if history else None
        # month by month: the rows of ten years at once would take a gigabyte
        wanted = {
            page_name(site.key, "usage_stack", month): figures.usage_stack(
                reader.frame(USAGE, site.key, [month], where="collector_type = 'current'"),
                site=site,
                start=Window(site.key, (month,)).start_at,
                end=Window(site.key, (month,)).end_at,
                extracted_at=extracted.get(month),
                shares_machines=shares,
            )
            for month in todo
        }
    whole = page_name(site.key, "usage_history")
    if days is not None:
        wanted[whole] = figures.usage_history(days.rows, site=site, shares_machines=shares, missing=days.missing)
    done = render_all(wanted, folder=settings.plots_dir()) if wanted else {}
    months = {month: done[page_name(site.key, "usage_stack", month)] for month in todo}
    return Drawn(months, done.get(whole), closed)


def page_name(site: str, plot: str, month: date | None = None) -> str:
    """Where a page lies below the plots folder, without its suffix."""
    return f"{site}/{month:%Y-%m}/{plot}" if month else f"{site}/{plot}"


def check_pages(
    kind: Kind, site: Site, window: Window, plot: str, closed: Mapping[date, str]
) -> dict[str, tuple[dict[date, Finding], str]]:
    """The page of each month is complete, and there is one for each month that should have one."""
    del kind
    contract, coverage = {}, {}
    for month in window.months:
        path = _path(site.key, plot, month if plot == "usage_stack" else None)
        there = path.is_file()
        whole = there and path.read_text(encoding="utf-8").rstrip().endswith("</html>")
        contract[month] = GOOD if whole or not there else Finding(False, f"{path.name} is cut off; draw it again")
        missing = not there and expected(site, month)
        why = closed.get(month)
        coverage[month] = GOOD
        if missing or (why and expected(site, month)):
            coverage[month] = Finding(False, f"not drawn: {why or 'there is no page'}")
    return {"contract": (contract, "with a broken page"), "coverage": (coverage, "not drawn")}


def _path(site: str, plot: str, month: date | None) -> Path:
    return settings.plots_dir() / f"{page_name(site, plot, month)}.html"


def _shown(page: Rendered | None, closed: str | None) -> dict[str, Any]:
    """Metadata of one page: a link that opens it, where it lies, and a thumbnail."""
    if page is None:
        return {"status": "kept_old", "reason": closed} if closed else {"status": "nothing to draw"}
    out: dict[str, Any] = {
        "status": "written",
        "plot": dg.MetadataValue.url(page.url),
        "path": dg.MetadataValue.path(str(page.path)),
    }
    if page.png_path:
        out["picture"] = dg.MetadataValue.path(str(page.png_path))
    if page.thumbnail_markdown:
        out["thumbnail"] = dg.MetadataValue.md(page.thumbnail_markdown)
    if page.note:
        out["note"] = page.note
    return out
