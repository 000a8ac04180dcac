"""An independent, slow and literal evaluator of the rules: what holds at an instant, asked of every row.

It shares nothing with the package's facts and timelines. A month is cut at every instant that occurs in any of its
rows; within such a segment nothing changes, so the rules are evaluated at its middle. Values, hours and where each row
went are sums over segments.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

from usage_assets.facts.tables import RESOURCE_NAMES
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets_tests.golden.builder import Month, Row
from usage_assets_tests.golden.oracle_machines import SOURCES, Amounts, pieces
from usage_assets_tests.golden.oracle_maintenance import Maintained

Key = tuple[str, str, str]  # metric, node_type, resource
HOUR = timedelta(hours=1)


@dataclass
class Fate:
    """Where a row went: `kept`, `outside`, or one of the reasons that the rules allow for its rejection."""

    fate: str
    reasons: frozenset[str]
    hours_in: float
    hours_kept: float
    hours_excluded: float = 0
    pieces: int = 1  # of a rejected row: how many pieces of it are not excluded


@dataclass
class MonthResult:
    """A month by the rules."""

    cuts: list[datetime]
    values: list[dict[Key, float]]  # one per segment
    fates: dict[tuple[str, str], list[Fate]] = field(default_factory=dict)  # asset, source -> its rows
    told: dict[tuple[str, str], set[str]] = field(default_factory=dict)  # metric, node_type -> resources that are known
    untold: frozenset[tuple[str, str]] = frozenset()  # metric, resource that no database of the site tells

    def hours(self, start: datetime, end: datetime) -> dict[Key, float]:
        """Resource-hours of every series within [start, end)."""
        out: dict[Key, float] = defaultdict(float)
        for low, high, values in zip(self.cuts, self.cuts[1:], self.values, strict=False):
            share = (min(high, end) - max(low, start)) / HOUR
            if share > 0:
                for key, value in values.items():
                    out[key] += value * share
        return dict(out)

    def is_unknown(self, key: Key) -> bool:
        """Whether nobody knows a series: what is in it, or, of an empty one, its type, or the whole month."""
        metric, node_type, resource = key
        if (metric, resource) in self.untold:
            return True
        for alike in (lambda m, t: (m, t) == (metric, node_type), lambda _, t: t == node_type, lambda *_: True):
            found = [names for (m, t), names in self.told.items() if alike(m, t)]
            if found:
                return not any(resource in names for names in found)
        return False


def evaluate(site: OpenStackSite, rows: dict[str, list[Row]], month: Month, extracted: datetime) -> MonthResult:
    """One month from its raw rows."""
    return _Month(site, rows, month, extracted).result()


class _Month(Maintained):
    # --- a month ---

    def result(self) -> MonthResult:
        instants = {self.low, self.high}
        for rows in self.rows.values():
            for row in rows:
                instants |= {v for v in row.values() if isinstance(v, datetime) and self.low < v < self.high}
        for rule in self.site.exclusions:
            instants |= {v for v in (rule.start, rule.end) if v is not None and self.low < v < self.high}
        for lives in self.hosts.values():  # in the middle of a gap the nearest changes, at a whole microsecond
            halves = [b[0] - (b[0] - a[1]) // 2 for _, a in lives for _, b in lives if a[1] is not None and a[1] < b[0]]
            instants |= {half for half in halves if self.low < half < self.high}
        self.cuts = cuts = sorted(instants)
        values: list[dict[Key, float]] = []
        kept: dict[tuple[str, int], float] = defaultdict(float)
        told: dict[tuple[str, str], set[str]] = defaultdict(set)
        for low, high in pairwise(cuts):
            middle = low + (high - low) / 2
            now: dict[Key, float] = defaultdict(float)
            counted = self._counted(middle)
            holders = [item for item in counted if item.metric.startswith("occupied")]
            for item in (*counted, *self._active(holders, middle)):
                asset = "occupied" if item.metric.startswith("occupied") else item.metric
                asset = "committed" if item.metric == "maintenance" else asset
                kept[asset, item.row] += (high - low) / HOUR
                told[item.metric, item.node_type] |= self._told(dict(item.amounts))
                for name, amount in item.amounts:
                    now[item.metric, item.node_type, name] += amount or 0
            values.append(dict(now))
        fates = {
            (asset, source): [
                self._activity(row, kept) if asset == "active" else self._fate(asset, row, kept[asset, id(row)])
                for row in self.rows[source]
                if not row["is_context"]
                and (asset, source, row.get("reservable")) != ("reservable", "blazar_devices", False)
                and (asset != "active" or kept["occupied", id(row)])
            ]
            for asset, sources in SOURCES.items()
            for source in sources
        }
        held = ("occupied_reservation", "occupied_ondemand", "occupied_unknown", "occupied_maintenance", "active")
        untold = frozenset((metric, "devices") for metric in held if "zun" not in self.site.databases)
        return MonthResult(cuts, values, fates, dict(told), untold)

    def _told(self, amounts: Amounts) -> set[str]:
        """The resources of which it is known how many something has: a machine is no device, a device no machine."""
        if "devices" in amounts:
            return set(RESOURCE_NAMES)
        return {"devices", *(name for name, amount in amounts.items() if amount is not None)}

    def _activity(self, row: Row, kept: dict[tuple[str, int], float]) -> Fate:
        """Of a row that occupied kept: its hours there, and those of them in which it ran."""
        hours = kept["active", id(row)]
        return Fate("kept" if hours else "outside", frozenset(), kept["occupied", id(row)], hours)

    def _fate(self, asset: str, row: Row, kept: float) -> Fate:
        start, end = self.lives[id(row)]
        stop = self.high if end is None else min(end, self.high)
        hours = 0.0 if start is None else max(0.0, (stop - max(start, self.low)) / HOUR)
        own = None if start is None else (max(start, self.low), stop)
        left = pieces(own, self._taken(row)) if own is not None and hours else []
        excluded = hours - sum((b - a) / HOUR for a, b in left)
        if kept:
            return Fate("kept", frozenset(), hours, kept, excluded)
        reasons: set[str] = _REASONS[asset](self, row)
        if start is None:
            return Fate("rejected", frozenset(reasons | {"bad_time"}), 0, 0)
        if end is not None and start >= end:
            return Fate("rejected", frozenset(reasons | {"never_ran", "bad_time"}), 0, 0)
        if not hours and (asset == "occupied" or reasons <= {"orphan", "duplicate"}) and reasons != {"never_launched"}:
            return Fate("outside", frozenset(), 0, 0)
        # a row that something else rejects before its time is looked at is not excluded
        by_its_row = reasons == {"never_launched"} or (asset != "occupied" and not reasons <= {"orphan", "duplicate"})
        if by_its_row or not excluded:
            return Fate("rejected", frozenset(reasons), hours, 0)
        return Fate("rejected", frozenset(reasons if left else {"excluded"}), hours, 0, excluded, len(left))

    def _why_host(self, row: Row) -> set[str]:
        if "hypervisor_hostname" in row and row["hypervisor_hostname"] is None:
            return {"null_key"}
        return {"orphan", "duplicate"}

    def _why_allocation(self, row: Row) -> set[str]:
        held = row["compute_host_id"] if "compute_host_id" in row else row["device_id"]
        out: set[str] = set()
        if row["reservation_id"] is None or held is None:
            out.add("null_key")
        if row["reservation_id"] is not None and row["reservation_id"] not in self.reservations:
            out.add("no_reservation")
        elif row["reservation_id"] is not None and self._lease_of(row) is None:
            out.add("no_lease")
        if held is not None and held not in self.hosts_by_id and held not in self.devices:
            out.add("unknown_host")
        return out or {"orphan", "duplicate"}

    def _why_occupied(self, row: Row) -> set[str]:
        if row.get("launched_at", row.get("started_at")) is None:
            return {"never_launched"}
        reservation = self.bookings[row["uuid"]][1] if "launched_at" in row else self._annotated(row)
        out = {"orphan", "duplicate"}
        if reservation is not None and reservation not in self.reservations:
            out.add("no_reservation")
        elif reservation is not None and self.reservations[reservation]["lease_id"] not in self.leases:
            out.add("no_lease")
        if "node" in row and self.nodes[row["uuid"]] not in self.machines:
            out.add("unknown_host")
        if self.shelved.get(row["uuid"]):  # shelved whenever it could have counted
            out.add("never_ran")
        return out


_REASONS: dict[str, Callable[[_Month, Row], set[str]]] = {
    "total": _Month._why_host,
    "reservable": _Month._why_host,
    "committed": _Month._why_allocation,
    "occupied": _Month._why_occupied,
}
