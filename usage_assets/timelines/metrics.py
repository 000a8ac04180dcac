"""The metrics: what each means, its formula over others, and how plots show it. The one place that says so."""

from dataclasses import dataclass

from usage_assets.kinds.htcondor.pool.classes import BACKFILL, CLASSES, COLOURS, LABELS


@dataclass(frozen=True)
class Metric:
    """A metric of the usage timeline.

    A counted metric has no formula. A derived one is the sum of `plus` less the sum of `minus`; a ratio divides the
    first of `plus` by one of `over`. Terms that are `optional` count as nothing where a site has none of them. One
    `of_time` is a share of a bucket's time: made from when the site was seen, not from facts or other metrics.
    """

    name: str
    label: str
    description: str
    colour: str
    plus: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()
    over: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    of_time: bool = False

    @property
    def is_counted(self) -> bool:
        """Built from facts, not from other metrics."""
        return not (self.plus or self.of_time)

    @property
    def is_ratio(self) -> bool:
        """A fraction: neither summed over node types nor integrated."""
        return bool(self.over) or self.of_time


_OCCUPIED = ("occupied_reservation", "occupied_ondemand", "occupied_unknown", "occupied_maintenance")
COVERAGE = "coverage"

_ALLOCATED = tuple(f"allocated_{name}" for name in CLASSES)


def _of_pools() -> tuple["Metric", ...]:
    """What is counted of a pool of GPUs beside total."""
    out = []
    for name in CLASSES:
        held, offered = COLOURS[name]
        label = LABELS[name]
        where = "a backfill slot" if name in BACKFILL else "a primary slot"
        out.append(
            Metric(f"available_{name}", f"{label}: available", f"GPUs that {where} of the class offers", offered)
        )
        out.append(Metric(f"allocated_{name}", f"{label}: allocated", f"GPUs that {where} of the class holds", held))
    out.append(Metric("drained", "Drained", "GPUs of drained slots that no job holds: still available", "#D55E00"))
    out.append(Metric("refusing", "Prevented", "GPUs of machines that prevent new jobs, held by none", "#222222"))
    return tuple(out)


# colours: after the palettes of Okabe and Ito and of Tol, told apart by colour-blind readers; blue is reservable, pink
# on demand, and the freer a machine the lighter its tone, so that the order also shows in grey print; capacities are
# dark lines
METRICS: tuple[Metric, ...] = (
    Metric(
        "total",
        "Total",
        "Machines that exist: a compute_nodes row covers the instant; in a pool the GPUs that a poll saw",
        "#000000",
    ),
    Metric("reservable", "Reservable", "Machines that exist and that Blazar may reserve", "#00507D"),
    Metric("committed", "Committed", "Reservable machines that a lease holds, once each", "#7A4B00"),
    Metric(
        "maintenance",
        "Maintenance",
        "Reservable machines that a lease for maintenance holds: neither committed nor to be reserved",
        "#882255",
    ),
    Metric(
        "occupied_reservation", "Occupied (reserved)", "Held by servers that run within their reservation", "#0072B2"
    ),
    Metric("occupied_ondemand", "Occupied (on demand)", "Held by servers without a reservation", "#CC79A7"),
    Metric(
        "occupied_unknown",
        "Occupied (booking unknown)",
        "Held by servers whose request is missing or unreadable",
        "#999999",
    ),
    Metric(
        "occupied_maintenance",
        "Occupied (maintenance)",
        "Held by servers that run within a lease for maintenance",
        "#AA4499",
    ),
    *_of_pools(),
    Metric(
        "occupied",
        "Occupied",
        "Held by servers, however booked; in a pool of GPUs by jobs of any class",
        "#1F3A52",
        plus=(*_OCCUPIED, *_ALLOCATED),
        optional=(*_OCCUPIED, *_ALLOCATED),
    ),
    Metric("active", "Active", "Held by servers that run: neither off, nor paused, nor suspended", "#117733"),
    Metric(
        "stopped",
        "Stopped",
        "Occupied less active: off, paused or suspended, and holding its machine",
        "#D55E00",
        plus=("occupied",),
        minus=("active",),
    ),
    Metric(
        "idle",
        "Idle (committed, unused)",
        "Committed less occupied by reservation",
        "#E69F00",
        plus=("committed",),
        minus=("occupied_reservation",),
    ),
    Metric(
        "ondemand_capacity",
        "On-demand capacity",
        "Total less reservable and maintenance",
        "#56B4E9",
        plus=("total",),
        minus=("reservable", "maintenance"),
        optional=("maintenance",),
    ),
    Metric(
        "available_reservable",
        "Available to reserve",
        "Reservable less committed",
        "#C9E6F5",
        plus=("reservable",),
        minus=("committed",),
    ),
    Metric(
        "available_ondemand",
        "Available on demand",
        "On-demand capacity less what is occupied on demand",
        "#F3DCE9",
        plus=("ondemand_capacity",),
        minus=("occupied_ondemand",),
    ),
    Metric(
        "available",
        "Available",
        "Available to reserve and on demand together",
        "#009E73",
        plus=("available_reservable", "available_ondemand"),
    ),
    Metric(
        "utilization",
        "Utilization",
        "Occupied as a share of reservable (sites without on-demand use) or of total",
        "#1F3A52",
        plus=("occupied",),
        over=("reservable", "total"),
    ),
    Metric(
        COVERAGE,
        "Coverage",
        "Share of the bucket in which the site was seen, where its source looks now and then; means are over that time",
        "#888888",
        of_time=True,
    ),
)

BY_NAME: dict[str, Metric] = {metric.name: metric for metric in METRICS}
COUNTED: tuple[str, ...] = tuple(metric.name for metric in METRICS if metric.is_counted)


def derivable(counted: set[str]) -> list[Metric]:
    """The derived metrics of a site that counts these, in an order in which each finds its terms.

    One needs every term that is not optional, and one term at least: occupied takes those of its terms that are there.
    """
    have = set(counted)
    out = []
    for metric in METRICS:
        if metric.is_counted:
            continue
        terms = {*metric.plus, *metric.minus}
        whole = terms - set(metric.optional) <= have and bool(terms & have)
        if whole and (not metric.is_ratio or have & set(metric.over)):
            have.add(metric.name)
            out.append(metric)
    return out


# what plots show. Bottom to top, so that committed, reservable and total are each the top of an area: reserved use and
# idle make committed, with what may be reserved they make reservable, with maintenance and the on-demand part total; a
# pool of GPUs has what each class holds, and what is left below total is free
STACKED: tuple[str, ...] = (
    "occupied_reservation",
    "idle",
    "available_reservable",
    "maintenance",
    "occupied_ondemand",
    "occupied_unknown",
    "available_ondemand",
    *_ALLOCATED,
)
CAPACITIES: tuple[str, ...] = ("total", "reservable", "committed")
