"""The plots of a kind as assets: pages of each month, of each site's whole history, and of all sites."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import dagster as dg

from usage_assets.kinds import KINDS
from usage_assets.orchestration.checks import Bound
from usage_assets.orchestration.step import Done, Run, Stage, step
from usage_assets.orchestration.ui_metadata import page_metadata
from usage_assets.reports.draw import CONTRACT, COVERAGE, check_pages, draw_window
from usage_assets.reports.plots import plots_of
from usage_assets.reports.render import Rendered


def plot_step(stage: Stage) -> dg.AssetsDefinition:
    """The plots of a kind as one subsettable step."""
    kind = stage.kind
    plots = {stage.key(f"reports/{plot.name}"): plot for plot in plots_of(kind)}
    specs = [
        stage.spec(
            f"reports/{plot.name}",
            f"{plot.description} HTML, and PNG where a browser is found.",
            deps=plot.after,
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
            blocked = drawn.blocked.get((name, month)) if month else None
            return _shown(drawn.pages.get(at), blocked, drawn.faults.get(at))

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
    return step(stage, "reports", specs, work, checks=checks, whole=whole)


def _shown(page: Rendered | None, blocked: str | None, fault: str | None) -> dict[str, Any]:
    """Metadata of one page, or why there is none."""
    if fault:
        return {"status": "failed", "reason": fault}
    if page is None:
        return {"status": "kept_old", "reason": blocked} if blocked else {"status": "nothing to draw"}
    return {"status": "written"} | page_metadata(page)
