"""The audit as an asset: one table, and a page per month."""

from collections.abc import Iterable

from usage_assets.reports.tables import AUDIT
from usage_assets.specs.asset import TableAsset, TableCheck, later


def audit_of(facts: Iterable[str]) -> TableAsset:
    """The audit of these assets of the facts stage."""
    return TableAsset(
        stage="reports",
        name="audit",
        table=AUDIT,
        after=tuple(f"facts/{name}" for name in facts),
        read=later("reports.audit", "read"),
        make=later("reports.audit", "make"),
        publish=later("orchestration.audit_page", "publish"),
        checks=(
            TableCheck(
                "balanced",
                "Rows read = kept + outside + rejected; hours read = kept + clipped + rejected.",
                later("reports.audit_checks", "balanced"),
                per_run="whose rows or hours do not add up",
            ),
        ),
    )
