"""The audit as an asset: one table, and a page per month."""

from collections.abc import Iterable

from usage_assets.declared import TableAsset, TableCheck, later
from usage_assets.reports.tables import AUDIT


def audit_of(facts: Iterable[str]) -> TableAsset:
    """The audit of these assets of the facts stage."""
    return TableAsset(
        stage="reports",
        name="audit",
        table=AUDIT,
        after=tuple(f"facts/{name}" for name in facts),
        read=later("reports.audit", "read"),
        make=later("reports.audit", "make"),
        publish=later("reports.audit_page", "publish"),
        checks=(
            TableCheck(
                "balanced",
                "Rows read = kept + outside + rejected; hours read = kept + clipped + rejected.",
                later("checks.audit", "balanced"),
                per_run="whose rows or hours do not add up",
            ),
        ),
    )
