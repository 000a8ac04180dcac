"""The plots of a kind as assets: pages of each month, of each site's whole history, and of all sites."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import dagster as dg

from usage_assets.kinds import KINDS
from usage_assets.orchestration.checks import Bound
from usage_assets.orchestration.step import Done, Run, Stage, step
from usage_assets.orchestration.ui_metadata import asset_key, asset_spec
from usage_assets.reports.draw import CONTRACT, COVERAGE, check_pages, draw_window
from usage_assets.reports.plots import plots_of
from usage_assets.reports.render import Rendered


def plot_step(stage: Stage) -> dg.AssetsDefinition:
    """The plots of a kind as one subsettable step."""
    kind = stage.kind
    plots = {asset_key(kind.name, "reports", plot.name): plot for plot in plots_of(kind)}
    specs = [
        asset_spec(
            kind.name,
            "reports",
            plot.name,
            description=f"{plot.description} HTML, and PNG where a browser is found.",
            partitions=stage.partitions,
            deps=[asset_key(kind.name, *name.split("/")) for name in plot.after],
            kinds=("plotly", "html"),
        )
        for plot in plots.values()
    ]

    def work(run: Run) -> Iterator[Done]:
        site, window, chosen = run.site, run.window, {key: plots[key] for key in run.keys}
        sites = stage.book or stage.sites
        drawn = draw_window(
            kind,
            site,
            window,
            run.warehouse,
            plots=list(chosen.values()),
            kinds=KINDS,
            sites=sites,
            pictures=run.settings.picture_policy(),
        )

        def shown(name: str, month: date | None) -> dict[str, Any]:
            at = (name, month)
            return _shown(
                drawn.pages.get(at), drawn.blocked.get((name, month)) if month else None, drawn.faults.get(at)
            )

        months = {
            key: {month: shown(plot.name, month) for month in window.months}
            for key, plot in chosen.items()
            if plot.scope == "month"
        }
        history = {key: shown(plot.name, None) for key, plot in chosen.items() if plot.scope != "month"}
        found = {
            Bound(key, check): findings
            for key, plot in chosen.items()
            for check, findings in check_pages(kind, site, window, plot, drawn).items()
        }
        yield Done(run.keys, months, history, found)

    checks = dict.fromkeys(plots, (CONTRACT, COVERAGE))
    whole = [key for key, plot in plots.items() if plot.scope != "month"]
    return step(stage, f"{kind.name}_reports", "reports", specs, work, checks=checks, whole=whole)


def _shown(page: Rendered | None, blocked: str | None, fault: str | None) -> dict[str, Any]:
    """Metadata of one page: a link that opens it, where it lies, and a thumbnail."""
    if fault:
        return {"status": "failed", "reason": fault}
    if page is None:
        return {"status": "kept_old", "reason": blocked} if blocked else {"status": "nothing to draw"}
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
