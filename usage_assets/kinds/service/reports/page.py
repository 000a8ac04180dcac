"""A usage report as one page that needs nothing else, and as the text of a mail."""

from markupsafe import Markup

from usage_assets.core.text import printable
from usage_assets.kinds.service.reports import picture
from usage_assets.kinds.service.reports.content import UsageReport
from usage_assets.kinds.service.reports.grids import Grid, cell, grids, money
from usage_assets.reports.templating import templates


def as_html(report: UsageReport, *, drawings: bool = True) -> bytes:
    """The report as one page without scripts; every text in it is escaped. Most readers of mail show no drawing."""
    drawing = picture.drawing(report.tables["days"], report.period, report.currency) if drawings else ""
    page = templates("usage_assets.kinds.service.reports", "").get_template("report.html.j2")
    return page.render(
        title=title(report),
        about=about(report),
        provisional=report.provisional,
        totals=totals(report),
        drawing=Markup(drawing),  # noqa: S704 - drawn and escaped by this package
        grids=grids(report),
    ).encode()


def title(report: UsageReport) -> str:
    """What stands above the report."""
    return printable(f"{report.name}: usage report, {report.period.label}")


def about(report: UsageReport) -> tuple[str, ...]:
    """Lines below the title: the period and the version of the data."""
    period = report.period
    return (
        f"{period.start} to {period.last}, days in UTC. A request counts where it ended.",
        f"Costs in {report.currency}. Data version {report.version}.",
    )


_SECONDS = {"busy_seconds": "Busy seconds", "latency_mean_s": "Mean latency (s)", "latency_p50_s": "Median latency (s)",
            "latency_p95_s": "95th percentile of the latency (s)"}  # fmt: skip
_TOTALS = {
    "requests": "Requests", "succeeded": "Succeeded", "failed": "Failed", "cancelled": "Cancelled",
    "unfinished": "Unfinished", "cost": "Cost", "cost_unrated_requests": "Succeeded without a known cost",
    "input_tokens": "Input tokens", "cached_tokens": "of them from a cache", "output_tokens": "Output tokens",
    "users": "Users", "models": "Models", "providers": "Providers", "sessions": "Sessions", **_SECONDS,
}  # fmt: skip


def totals(report: UsageReport) -> list[tuple[str, str]]:
    """Title and text of each total; nothing where there was no request."""
    rows = report.tables["totals"].to_dicts()
    return [(label, cell(rows[0][name])) for name, label in _TOTALS.items()] if rows and rows[0]["requests"] else []


def as_text(report: UsageReport) -> str:
    """The report as plain text for a mail: totals, and the first models and users."""
    head = title(report)
    lines = [head, "=" * len(head), *about(report), *report.provisional, ""]
    figures = totals(report) or [("Requests", "0")]
    width = max(len(label) for label, _ in figures)
    lines += [f"{label:<{width}}  {text}" for label, text in figures]
    for grid in grids(report)[:2]:
        lines += ["", grid.title, "-" * len(grid.title), *_first(grid)]
    return "\n".join(lines) + "\n"


def subject(report: UsageReport) -> str:
    """Subject of a mail."""
    rows = report.tables["totals"].to_dicts()
    requests, cost = (rows[0]["requests"], money(rows[0]["cost"])) if rows else (0, "0.00")
    return printable(f"{report.name} {report.period.label}: {requests:,} requests, {cost} {report.currency}")


def _first(grid: Grid, most: int = 10) -> list[str]:
    """The first rows of a grid: name, requests and cost."""
    places = [grid.columns.index(name) for name in ("Requests", "Cost") if name in grid.columns]
    rows = [f"{row[0][:50]:<50}  {row[places[0]]:>12}  {row[places[1]]:>14}" for row in grid.rows[:most]]
    return rows or [grid.empty]
