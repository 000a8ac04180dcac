"""The audit as an asset: one table, and a page per month."""

from collections.abc import Sequence
from functools import partial

from usage_assets.reports import audit
from usage_assets.reports.audit_checks import balanced
from usage_assets.reports.tables import AUDIT
from usage_assets.specs.asset import Asset
from usage_assets.specs.check import Check


def audit_of(kind: str, facts: Sequence[Asset], tables: Sequence[Asset]) -> Asset:
    """The audit of a kind's assets of the facts stage: `facts`, and those of `tables` that belong to it."""
    more = [table for table in tables if table.stage == "facts"]
    names = [*(fact.name for fact in facts), *(table.name for table in more)]
    owners = {metric: f"{kind}/facts/{fact.name}" for fact in facts for metric in fact.metrics}
    owners |= {metric: f"{kind}/facts/{table.name}" for table in more for metric in table.rejects_of}
    return Asset(
        stage="reports",
        name="audit",
        table=AUDIT,
        after=tuple(f"facts/{name}" for name in names),
        read=partial(audit.read, owners),
        make=partial(audit.make, tuple(f"{kind}/facts/{fact.name}" for fact in facts)),
        checks=(
            Check(
                "balanced",
                "Rows read = kept + outside + rejected; hours read = kept + clipped + rejected.",
                balanced,
                per_run="whose rows or hours do not add up",
            ),
        ),
    )
