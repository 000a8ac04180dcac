"""What is counted of a pool of GPUs beside total."""

from collections.abc import Iterator

from usage_assets.kinds.htcondor.pool.classes import BACKFILL, CLASSES, COLOURS, LABELS
from usage_assets.specs.metric import Metric


def _of_class(name: str) -> Iterator[Metric]:
    held, offered = COLOURS[name]
    slot = "a backfill slot" if name in BACKFILL else "a primary slot"
    label = LABELS[name]
    yield Metric(f"available_{name}", f"{label}: available", f"GPUs that {slot} of the class offers", offered)
    yield Metric(f"allocated_{name}", f"{label}: allocated", f"GPUs that {slot} of the class holds", held, is_use=True)


METRICS: tuple[Metric, ...] = (
    *(metric for name in CLASSES for metric in _of_class(name)),
    Metric("drained", "Drained", "GPUs of drained slots that no job holds: still available", "#D55E00"),
    Metric("refusing", "Prevented", "GPUs of machines that prevent new jobs, held by none", "#222222"),
)
BY_NAME: dict[str, Metric] = {metric.name: metric for metric in METRICS}
