"""An independent, literal reading of the rules of lead time: one lease after the other, from the raw rows of a month.

It shares nothing with the package's facts. Projected lead time is searched candidate by candidate: all machines that
match, all bookings of other leases known when the lease was made, every instant at which one of them ends.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from usage_assets_tests.golden.builder import Month, Row, next_month
from usage_assets_tests.golden.oracle_ends import ENDLESS, with_ends

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Lead:
    """What the rules say of a lease; hours are null where they are not defined."""

    outcome: str
    requested: float | None
    effective: float | None
    basis: str | None
    projected: float | None
    is_censored: bool | None
    """Null where nothing was looked for."""


def leads(
    rows: dict[str, list[Row]], month: Month, extracted: datetime, *, cleaning: timedelta, horizon: timedelta
) -> dict[str, Lead]:
    """The leases made in the month by id."""
    rows = with_ends(rows)
    evaluator = _Leases(rows, extracted, cleaning, horizon)
    return {
        lease["id"]: evaluator.lead(lease)
        for lease in rows["blazar_leases"]
        if (born := _born(lease)) is not None and month <= born.date() < next_month(month)
    }


def _least(*instants: datetime | None) -> datetime | None:
    return min((instant for instant in instants if instant is not None), default=None)


def _born(row: Row) -> datetime | None:
    if ENDLESS in row:
        return None
    found = row["created_at"]
    return found if found is not None else _least(row.get("start_date"), row["updated_at"], row["deleted_at"])


def _ended(row: Row) -> datetime | None:
    return _least(row["deleted_at"], row["gone_at"])


def _latest(rows: Sequence[Row]) -> Row | None:
    return max(rows, key=lambda row: (_born(row) or datetime(1, 1, 1), row["id"]), default=None)


class _Leases:
    def __init__(
        self, rows: dict[str, list[Row]], extracted: datetime, cleaning: timedelta, horizon: timedelta
    ) -> None:
        self.rows, self.extracted, self.cleaning, self.horizon = rows, extracted, cleaning, horizon
        self.leases = {row["id"]: row for row in rows["blazar_leases"]}
        self.reservations = {row["id"]: row for row in rows["blazar_reservations"]}
        self.hosts = {row["id"]: row for row in rows["blazar_computehosts"]}
        names = {row["id"]: row["property_name"] for row in rows["blazar_resource_properties"]}
        self.capabilities: dict[str, dict[str | None, Any]] = {}
        found = [row for row in rows["blazar_computehost_extra_capabilities"] if ENDLESS not in row]
        for row in sorted(found, key=lambda row: (_born(row) or datetime(1, 1, 1), row["id"])):
            named = row["capability_name"] or names.get(row["property_id"])
            self.capabilities.setdefault(row["computehost_id"], {})[named] = row["capability_value"]

    def lead(self, lease: Row) -> Lead:
        created, start = _born(lease), lease["start_date"]
        assert created is not None
        mine = [row for row in self.reservations.values() if row["lease_id"] == lease["id"]]
        event = _latest(
            [
                row
                for row in self.rows["blazar_events"]
                if row["lease_id"] == lease["id"] and row["event_type"] == "start_lease"
            ]
        )
        outcome = self._outcome(lease, mine, event)
        effective, basis = None, None
        if outcome == "started":
            at = scheduled = max(start, created)
            basis = "schedule"
            if (
                event is not None
                and event["status"] == "DONE"
                and event["deleted_at"] is None
                and event["updated_at"] is not None
                and scheduled <= event["updated_at"] <= scheduled + timedelta(days=1)
            ):
                at, basis = event["updated_at"], "event"
            effective = (at - created) / HOUR
        requested = start - created
        if timedelta(seconds=-90) < requested < timedelta(0):
            requested = timedelta(0)
        projected, is_censored = self._projected(lease, mine)
        return Lead(outcome, requested / HOUR, effective, basis, projected, is_censored)

    def _outcome(self, lease: Row, mine: list[Row], event: Row | None) -> str:
        created, start, ended = _born(lease), lease["start_date"], _ended(lease)
        assert created is not None
        if lease["end_date"] is not None and lease["end_date"] < start:
            return "never_ran"
        ids = {row["id"] for row in mine}
        held = any(
            row["reservation_id"] in ids
            for name in ("blazar_computehost_allocations", "blazar_device_allocations")
            for row in self.rows[name]
        )
        if ended is not None:
            if lease["status"] == "CREATING" or (not held and ended - created <= timedelta(seconds=60)):
                return "rolled_back"
            if ended <= max(start, created):
                return "cancelled"
        if start > self.extracted:
            return "pending"
        status = event["status"] if event is not None else None
        in_error = any(row["status"] == "error" for row in mine)
        if status == "ERROR" or lease["status"] == "ERROR" or (in_error and status != "DONE"):
            return "failed"
        return "not_run" if status in {"UNDONE", "IN_PROGRESS"} else "started"

    # --- projected ---

    def _projected(self, lease: Row, mine: list[Row]) -> tuple[float | None, bool | None]:
        now, start, end = _born(lease), lease["start_date"], lease["end_date"]
        assert now is not None
        asked = [row for row in mine if row["resource_type"] == "physical:host"]
        wanted: dict[tuple[str, ...], int] = {}
        for reservation in asked:
            detail = _latest(
                [
                    row
                    for row in self.rows["blazar_computehost_reservations"]
                    if row["reservation_id"] == reservation["id"]
                ]
            )
            if detail is None:
                return None, None
            # one that asks for nothing is no filter, however it is written
            texts = tuple(filter(None, (detail["resource_properties"], detail["hypervisor_properties"])))
            wanted[texts] = wanted.get(texts, 0) + int(detail["count_range"].split("-")[0])
        if not wanted or end is None or end <= start:
            return None, None
        machines = [(count, self._machines(texts, now)) for texts, count in wanted.items()]
        bookings = self._bookings(lease["id"], now)
        candidates = {now} | {until + self.cleaning for _, _, until, _ in bookings}
        for at in sorted(candidates):
            if at < now or at - now > self.horizon:
                continue
            low, high = at - self.cleaning, at + (end - start) + self.cleaning
            busy = {name for name, since, until, _ in bookings if since < high and until > low}
            if all(len(names - busy) >= count for count, names in machines):
                return (at - now) / HOUR, False
        return None, True

    def _machines(self, filters: tuple[str, ...], now: datetime) -> set[str]:
        names = {host["hypervisor_hostname"] for host in self.hosts.values()} - {None}
        out = set()
        for name in names:
            alive = [
                host
                for host in self.hosts.values()
                if host["hypervisor_hostname"] == name
                and (born := _born(host)) is not None
                and born <= now
                and ((ended := _ended(host)) is None or now < ended)
            ]
            host = _latest(alive)
            if host is not None and all(self._holds(host, json.loads(text)) for text in filters):
                out.add(name)
        return out

    def _holds(self, host: Row, parts: list[Any]) -> bool:
        if parts[0] == "and":
            return all(self._holds(host, part) for part in parts[1:])
        name = parts[1].removeprefix("$")
        have = self.capabilities.get(host["id"], {}).get(name, host.get(name))
        if have is None:
            return False
        if parts[0] == "==":
            return str(have) == str(parts[2])
        assert parts[0] == ">="
        return float(have) >= float(parts[2])

    def _bookings(self, own: str, now: datetime) -> list[tuple[str, datetime, datetime, bool]]:
        """Machine, start, planned end and whether the lease changed since, of what was known then."""
        out = []
        for row in self.rows["blazar_computehost_allocations"]:
            reservation = self.reservations.get(row["reservation_id"])
            lease = self.leases.get(reservation["lease_id"]) if reservation is not None else None
            host = self.hosts.get(row["compute_host_id"])
            if lease is None or lease["id"] == own or host is None:
                continue
            known = all(
                born is not None and born <= now and (ended is None or now < ended)
                for born, ended in ((_born(row), _ended(row)), (_born(lease), _ended(lease)))
            )
            since, until = lease["start_date"], lease["end_date"]
            if known and host["hypervisor_hostname"] is not None and since < until:
                changed = lease["updated_at"] is not None and lease["updated_at"] > now
                out.append((host["hypervisor_hostname"], since, until, changed))
        return out
