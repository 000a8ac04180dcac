"""Tables of the timelines stage: values over time, alike for every kind of site."""

from usage_assets.schema import Column, Rule, Table, at, real, text

_SERIES: tuple[Column, ...] = (
    at("timestamp", "Start of the bucket, or the instant of the step", nullable=False),
    text("collector_type", "current, or legacy for a legacy usage counter", nullable=False),
    text("node_type", "Type of the machines; types add up to the site", nullable=False),
    text("metric", "What was measured or derived", nullable=False),
    text(
        "resource",
        "nodes, vcpus, vcpus_overcommit, memory_mb, disk_gb, gpus or devices; of services requests, models, tokens or "
        "seconds",
        nullable=False,
    ),
)
_KEY = tuple(column.name for column in _SERIES)

USAGE = Table(
    name="usage",
    stage="timelines",
    description="Usage per bucket of the site's resolution: dense, every bucket, node type, metric and resource.",
    key=_KEY,
    columns=(
        *_SERIES,
        real(
            "value",
            "Of a stock the time-weighted mean over the bucket, or over the part of it that was seen; of a flow its "
            "total in the bucket; null in a known gap or where unknown",
            "unit of the resource; 1 for utilization and coverage",
        ),
        real(
            "hours",
            "Integral of a stock over the bucket, or over the part of it that was seen; null where the value is, and "
            "for shares and flows",
            "resource-hours",
        ),
    ),
    rules=(Rule("lies in its month", "timestamp >= month AND timestamp < month + INTERVAL 1 MONTH", "Self-contained"),),
)

USAGE_STEPS = Table(
    name="usage_steps",
    stage="timelines",
    description="Usage as an exact step function: per series and month a row at the month's start and one per change. "
    "Counted metrics only; derived ones are differences of these.",
    key=_KEY,
    columns=(
        *_SERIES,
        real(
            "value",
            "Value from this instant to the next row of the series, or the month's end; null "
            "in a known gap or where unknown",
            "unit of the resource",
        ),
    ),
    rules=(Rule("lies in its month", "timestamp >= month AND timestamp < month + INTERVAL 1 MONTH", "Self-contained"),),
)

LEADTIME_TYPES: dict[str, str] = {
    "requested": "until the planned start",
    "effective": "until the actual start",
    "projected": "until as many machines were first free for as long, as known when asked",
}

LEADTIME = Table(
    name="leadtime",
    stage="timelines",
    description="How long leases took until they began, at the instant at which they were asked for.",
    key=("timestamp", "leadtime_type", "node_type"),
    columns=(
        at("timestamp", "When the lease was asked for (its created_at)", nullable=False),
        text("leadtime_type", "; ".join(f"{name} = {text}" for name, text in LEADTIME_TYPES.items()), nullable=False),
        text("node_type", "Type of the lease's machines, several joined by commas, or unknown", nullable=False),
        real("value", "Lead time; of several leases of one instant and type the median", "hours", nullable=False),
    ),
    rules=(Rule("lies in its month", "timestamp >= month AND timestamp < month + INTERVAL 1 MONTH", "Self-contained"),),
)
