"""The oracle's maintenance: rule 8 at an instant, told from what the other rules count."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from itertools import chain

from usage_assets_tests.golden.builder import Row
from usage_assets_tests.golden.oracle_holdings import Holdings
from usage_assets_tests.golden.oracle_machines import Item


class Maintained(Holdings):
    """What counts at an instant, with the leases that are for maintenance told apart."""

    def _counted(self, t: datetime) -> list[Item]:
        items = [*self._machines(t), *self._committed(t), *self._occupied(t), *self._edge(t)]
        if self.site.maintenance is None:
            return items
        rows = {id(row): row for row in chain.from_iterable(self.rows.values())}
        named = [self._named(item, rows[item.row]) for item in items]
        gone: set[str] = set()  # hostnames and device ids that maintenance holds as a whole
        less: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        for item in named:
            if item.metric != "maintenance":
                continue
            row = rows[item.row]
            if self._kind(row) in {"physical:host", "device"}:
                gone.add(row["device_id"] if "device_id" in row else str(item.node))
            else:
                for name, amount in item.amounts:
                    less[str(item.node)][name] += amount or 0
        return [left for item in named for left in self._left(item, rows[item.row], gone, less)]

    def _left(self, item: Item, row: Row, gone: set[str], less: dict[str, dict[str, float]]) -> Iterator[Item]:
        if item.metric != "reservable":
            yield item
        elif (row["id"] if item.source == "blazar_devices" else item.node) not in gone:
            taken = less.get(str(item.node), {})
            amounts = ((name, None if a is None else max(0, a - taken.get(name, 0))) for name, a in item.amounts)
            yield replace(item, amounts=tuple(amounts))

    def _named(self, item: Item, row: Row) -> Item:
        if item.metric == "committed" and self._is_maintenance(row["reservation_id"]):
            return replace(item, metric="maintenance")
        if item.metric == "occupied_reservation":
            reservation = self.bookings[row["uuid"]][1] if "launched_at" in row else self._annotated(row)
            if self._is_maintenance(reservation):
                return replace(item, metric="occupied_maintenance")
        return item

    def _is_maintenance(self, reservation: str | None) -> bool:
        said = self.site.maintenance
        found = self.reservations.get(reservation)
        lease = None if found is None else self.leases.get(found["lease_id"])
        if lease is None or said is None:
            return False
        by_name = said.lease_name is not None and re.search(said.lease_name, lease["name"] or "") is not None
        return lease["project_id"] in said.projects or by_name
