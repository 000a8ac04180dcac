"""Metrics that services alone count: requests, tokens and models."""

from usage_assets.specs.metric import Metric
from usage_assets.timelines.metrics import metrics_with

STOCKS: dict[str, tuple[str, str]] = {
    "running": ("running", "requests"),
    "queued": ("queued", "requests"),
    "loaded": ("loaded_models", "models"),
}
"""Metric of facts.intervals -> metric and resource of the timeline."""
MAXIMA = {"running_max": "running", "queued_max": "queued"}
"""Metric -> the stock whose maximum it is."""
FLOWS: dict[str, str] = {
    "submitted": "requests", "succeeded": "requests", "failed": "requests", "cancelled": "requests",
    "input_tokens": "tokens", "output_tokens": "tokens", "busy": "seconds",
}  # fmt: skip
"""Metric -> resource."""

METRICS: tuple[Metric, ...] = (
    Metric("submitted", "Submitted", "Requests, at the instant at which they were asked for", "#56B4E9", kind="flow"),
    Metric("succeeded", "Succeeded", "Requests that ended well, at their end", "#009E73", kind="flow"),
    Metric("failed", "Failed", "Requests that failed, at their end", "#D55E00", kind="flow"),
    Metric("cancelled", "Cancelled", "Requests that were cancelled, at their end", "#999999", kind="flow"),
    Metric("running", "Running", "Requests in progress, from their start to their end", "#0072B2"),
    Metric("running_max", "Running (most)", "Most requests in progress at once within the bucket", "#1F3A52"),
    Metric("queued", "Queued", "Requests that were submitted and have not started", "#E69F00"),
    Metric("queued_max", "Queued (most)", "Most requests queued at once within the bucket", "#7A4B00"),
    Metric("loaded_models", "Loaded models", "Models that are loaded", "#117733"),
    Metric("loaded", "Loaded", "Models that are loaded, as the intervals of the facts name them", "#44AA99"),
    Metric("busy", "Busy seconds", "Seconds in progress, split over the buckets of a request", "#332288", kind="flow"),
    Metric("input_tokens", "Input tokens", "Tokens put in, those from a cache included, at the end of the request",
           "#88CCEE", kind="flow"),
    Metric("output_tokens", "Output tokens", "Tokens given out, at the end of the request", "#CC79A7", kind="flow"),
    Metric("capacity", "Capacity", "Requests that may run at once, where the site's file says it; * = all models",
           "#000000"),
)  # fmt: skip
_TITLES = ("metric", "label", "kind", "description")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


USAGE_METRICS = (
    "CREATE OR REPLACE VIEW timelines.usage_metrics AS SELECT * FROM (VALUES "
    + ", ".join(
        f"({', '.join(map(_quoted, (metric.name, metric.label, metric.kind, metric.description)))})"
        for metric in metrics_with(METRICS).by_name.values()
    )
    + f") AS m({', '.join(_TITLES)})"
)
"""What the metrics of timelines.usage are: a stock is never summed over time, a flow never averaged."""
