"""Checks of leases: did they start, do their times make sense, how exact are projected lead times."""

from datetime import date

from usage_assets.core.months import Window
from usage_assets.facts.tables import LEASES
from usage_assets.sites.base import Site
from usage_assets.specs.finding import GOOD, Finding
from usage_assets.warehouse import Reader

LOST_SHARE = 0.05
"""A month fails when a larger share of the leases that were due did not start."""
INEXACT_SHARE = 0.5
"""A month fails when a larger share of its projected lead times rests on bookings changed later."""


def started(reader: Reader, site: Site, window: Window) -> dict[date, Finding]:  # noqa: ARG001
    """Leases whose start failed or was never carried out, of all whose start has passed."""
    sums = (
        "count(*) FILTER (WHERE outcome IN ('failed', 'not_run', 'started'))",
        "count(*) FILTER (WHERE outcome = 'failed')",
        "count(*) FILTER (WHERE outcome = 'not_run')",
    )
    out = dict.fromkeys(window.months, GOOD)
    for month, due, failed, not_run in _rows(reader, window, sums):
        share = (failed + not_run) / due if due else 0.0
        figures = {"leases_due": due, "failed": failed, "not_run": not_run, "share": share}
        text = f"of {due} leases due {failed} failed and {not_run} were not carried out ({share:.1%})"
        out[month] = Finding(share <= LOST_SHARE, text if share > LOST_SHARE else "", figures)
    return out


def start_not_before_asked(reader: Reader, site: Site, window: Window) -> dict[date, Finding]:  # noqa: ARG001
    """Leases whose planned start lies before their creation by more than cutting to the minute explains."""
    sums = ("count(*) FILTER (WHERE requested < 0)", "min(requested)")
    out = dict.fromkeys(window.months, GOOD)
    for month, count, worst in _rows(reader, window, sums):
        if count:
            text = f"{count} lease(s) start before they were asked for, at worst by {-worst:.3f} hours"
            out[month] = Finding(False, text, {"leases": count, "worst_hours": worst})
    return out


def projection_exact(reader: Reader, site: Site, window: Window) -> dict[date, Finding]:  # noqa: ARG001
    """Share of projected lead times that rest on bookings whose lease was changed after the request."""
    sums = (
        "count(*) FILTER (WHERE is_censored IS NOT NULL)",
        "count(*) FILTER (WHERE is_censored)",
        "count(*) FILTER (WHERE projected_inexact > 0)",
    )
    out = dict.fromkeys(window.months, GOOD)
    for month, projected, censored, inexact in _rows(reader, window, sums):
        share = inexact / projected if projected else 0.0
        figures = {"projected": projected, "censored": censored, "inexact": inexact, "share": share}
        text = f"{inexact} of {projected} projected lead times rest on bookings that were changed later ({share:.1%})"
        out[month] = Finding(share <= INEXACT_SHARE, text if share > INEXACT_SHARE else "", figures)
    return out


def _rows(reader: Reader, window: Window, sums: tuple[str, ...]) -> list[tuple]:
    if not reader.has(LEASES):
        return []
    return reader.sql(
        f"SELECT month, {', '.join(sums)} FROM {LEASES.qualified} "
        "WHERE site = $site AND month IN (SELECT unnest($months::DATE[])) GROUP BY month",
        {"site": window.site, "months": list(window.months)},
    ).rows()
