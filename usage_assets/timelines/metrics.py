"""The metrics that sites of any kind may have, and the registry that adds those of the kinds."""

from collections.abc import Collection
from dataclasses import replace
from functools import cache

from usage_assets.specs.metric import Metric

COVERAGE = "coverage"

# colours: after the palettes of Okabe and Ito and of Tol, told apart by colour-blind readers; blue is reservable, pink
# on demand, and the freer a machine the lighter its tone, so that the order also shows in grey print; capacities are
# dark lines
_FIRST: tuple[Metric, ...] = (
    Metric("total", "Total",
           "Machines that exist: a compute_nodes row covers the instant; in a pool the GPUs that a poll saw",
           "#000000"),
    Metric("reservable", "Reservable", "Machines that exist and that Blazar may reserve", "#00507D"),
    Metric("committed", "Committed", "Reservable machines that a lease holds, once each", "#7A4B00"),
    Metric("maintenance", "Maintenance",
           "Reservable machines that a lease for maintenance holds: neither committed nor to be reserved", "#882255"),
    Metric("occupied_reservation", "Occupied (reserved)", "Held by servers that run within their reservation",
           "#0072B2", is_use=True),
    Metric("occupied_ondemand", "Occupied (on demand)", "Held by servers without a reservation", "#CC79A7",
           is_use=True),
    Metric("occupied_unknown", "Occupied (booking unknown)", "Held by servers whose request is missing or unreadable",
           "#999999", is_use=True),
    Metric("occupied_maintenance", "Occupied (maintenance)", "Held by servers that run within a lease for maintenance",
           "#AA4499", is_use=True),
)  # fmt: skip
_OCCUPIED = Metric(
    "occupied", "Occupied", "Held by servers, however booked; in a pool of GPUs by jobs of any class", "#1F3A52"
)
_FURTHER: tuple[Metric, ...] = (
    Metric("active", "Active", "Held by servers that run: neither off, nor paused, nor suspended", "#117733"),
    Metric("stopped", "Stopped", "Occupied less active: off, paused or suspended, and holding its machine", "#D55E00",
           plus=("occupied",), minus=("active",)),
    Metric("idle", "Idle (committed, unused)", "Committed less occupied by reservation", "#E69F00", plus=("committed",),
           minus=("occupied_reservation",)),
    Metric("ondemand_capacity", "On-demand capacity", "Total less reservable and maintenance", "#56B4E9",
           plus=("total",), minus=("reservable", "maintenance"), optional=("maintenance",)),
    Metric("available_reservable", "Available to reserve", "Reservable less committed", "#C9E6F5", plus=("reservable",),
           minus=("committed",)),
    Metric("available_ondemand", "Available on demand", "On-demand capacity less what is occupied on demand", "#F3DCE9",
           plus=("ondemand_capacity",), minus=("occupied_ondemand",)),
    Metric("available", "Available", "Available to reserve and on demand together", "#009E73",
           plus=("available_reservable", "available_ondemand")),
    Metric("utilization", "Utilization", "Occupied as a share of reservable (sites without on-demand use) or of total",
           "#1F3A52", plus=("occupied",), over=("reservable", "total")),
    Metric(COVERAGE, "Coverage",
        "Share of the bucket in which the site was seen, where its source looks now and then; means are over that time",
           "#888888", of_time=True),
)  # fmt: skip

CAPACITIES: tuple[str, ...] = ("total", "reservable", "committed")
_STACKED = (
    "occupied_reservation",
    "idle",
    "available_reservable",
    "maintenance",
    "occupied_ondemand",
    "occupied_unknown",
    "available_ondemand",
)


class Metrics:
    """The shared metrics and those of kinds: by name, in an order in which every term stands before its sum."""

    def __init__(self, kind_metrics: tuple[Metric, ...] = ()) -> None:
        first = (*_FIRST, *kind_metrics)
        uses = tuple(metric.name for metric in first if metric.is_use)
        metrics = (*first, replace(_OCCUPIED, plus=uses, optional=uses), *_FURTHER)
        self.by_name = {metric.name: metric for metric in metrics}
        # bottom to top, so that committed, reservable and total are each the top of an area: reserved use and idle make
        # committed, with what may be reserved they make reservable, with maintenance and the on-demand part total; a
        # kind's own uses stand alone, and what is left below total is free
        self.stacked = (*_STACKED, *(metric.name for metric in kind_metrics if metric.is_use))
        self.shown = tuple(dict.fromkeys((*self.stacked, *CAPACITIES, "occupied", "active")))

    def derivable(self, counted: Collection[str]) -> list[Metric]:
        """The derived metrics of a site that counts these, in an order in which each finds its terms.

        One needs every term that is not optional, and one term at least: occupied takes those of its terms that are
        there.
        """
        have = set(counted)
        out = []
        for metric in self.by_name.values():
            terms = {*metric.plus, *metric.minus}
            whole = terms - set(metric.optional) <= have and bool(terms & have)
            if whole and (not metric.is_ratio or have & set(metric.over)):
                have.add(metric.name)
                out.append(metric)
        return out

    def weights(self, name: str, counted: Collection[str]) -> dict[str, int]:
        """A metric, no ratio, as weights of metrics that a site counts; a term of weight 0 still has to be known."""
        metric = self.by_name[name]
        if metric.is_counted:
            return {name: 1} if name in counted else {}
        out: dict[str, int] = {}
        for term, sign in (*((term, 1) for term in metric.plus), *((term, -1) for term in metric.minus)):
            for part, weight in self.weights(term, counted).items():
                out[part] = out.get(part, 0) + sign * weight
        return out


metrics_with = cache(Metrics)
"""The registry with the metrics that kinds add."""
SHARED_METRICS = metrics_with()
DERIVED: tuple[str, ...] = tuple(name for name, metric in SHARED_METRICS.by_name.items() if not metric.is_counted)
"""Every metric that is not counted from facts: kinds add counted ones only."""
RATIOS: tuple[str, ...] = tuple(name for name, metric in SHARED_METRICS.by_name.items() if metric.is_ratio)
