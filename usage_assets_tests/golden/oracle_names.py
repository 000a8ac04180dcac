"""The oracle's names: what a text means as the name of a machine, asked name by name."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from usage_assets_tests.golden.builder import Row
from usage_assets_tests.golden.raw_months import instant, least

NAMING = {"nova_compute_nodes": "hypervisor_hostname", "blazar_computehosts": "hypervisor_hostname"}
REFERRING = {"nova_instances": "node", "nova_cell0_instances": "node"}
COLUMNS = NAMING | REFERRING


class Names:
    """The names of a month's machines."""

    def __init__(self, rows: dict[str, list[Row]], more: Collection[str] = ()) -> None:
        self.nodes = rows["nova_compute_nodes"]
        self.spelled = {name.lower() for name in more}
        for table, column in NAMING.items():
            self.spelled |= {row[column].lower() for row in rows[table] if row[column] is not None}

    def machine(self, name: str, beside: Collection[str] = ()) -> str | None:
        """The machine's identity, or null; `beside` are all names that stand where this one does."""
        low = name.lower()
        label = low.split(".")[0]
        full = [one for one in self.spelled if one.startswith(f"{label}.")]
        if low == label:
            if len(full) == 1 and not (low in self.spelled and self._both_live(low, full[0])):
                return full[0]
            return low if low in self.spelled else None
        if low in self.spelled:
            return low
        others = {one.lower() for one in beside if one.lower().startswith(f"{label}.")} - self.spelled
        return label if label in self.spelled and not full and others <= {low} else None

    def named(self, name: str | None, beside: Collection[str] = ()) -> str | None:
        """The identity, of no machine the name in lower case."""
        return None if name is None else self.machine(name, beside) or name.lower()

    def _both_live(self, short: str, full: str) -> bool:
        spans: dict[str, list[tuple[datetime, Any]]] = {short: [], full: []}
        for row in self.nodes:
            name = (row["hypervisor_hostname"] or "").lower()
            start = instant(row, "created_at") or least(instant(row, other) for other in ("updated_at", "deleted_at"))
            if name in spans and start is not None:
                end = least([instant(row, "deleted_at"), instant(row, "gone_at")]) or datetime(9999, 1, 1)
                if start < end:
                    spans[name].append((start, end))
        return any(a < d and c < b for a, b in spans[short] for c, d in spans[full])


def with_identities(rows: dict[str, list[Row]]) -> dict[str, list[Row]]:
    """The same rows with identities in place of machines' names."""
    names = Names(rows)
    out = dict(rows)
    for table, column in COLUMNS.items():
        beside = {row[column] for row in rows[table] if row[column] is not None}
        out[table] = [row | {column: names.named(row[column], beside)} for row in rows[table]]
    return out
