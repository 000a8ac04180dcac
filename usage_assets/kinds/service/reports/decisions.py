"""What people decide on recommendations: kept beside them, so that building a month again changes nothing of it."""

from dataclasses import dataclass
from datetime import date

import polars as pl

from usage_assets.core import clock
from usage_assets.core.errors import UsageError
from usage_assets.kinds.service.reports.advice_tables import RECOMMENDATION_DECISIONS, RECOMMENDATIONS
from usage_assets.warehouse import Writer
from usage_assets.warehouse.bookkeeping import CHECKED, VERSIONS

_SAME = "site = $site AND month = $month AND kind = $kind AND model_id = $model_id AND rule = $rule"


@dataclass(frozen=True)
class Told:
    """A recommendation, by what identifies it."""

    site: str
    month: date
    kind: str
    model_id: str
    rule: str

    @property
    def values(self) -> dict[str, object]:
        """Its key, by the names of columns."""
        return {name: getattr(self, name) for name in ("site", "month", "kind", "model_id", "rule")}


def accept(writer: Writer, told: Told, *, who: str | None = None, note: str | None = None) -> None:
    """Record that a recommendation is followed; UsageError where it was never made."""
    _decide(writer, told, "accepted", who, note)


def dismiss(writer: Writer, told: Told, *, who: str | None = None, note: str | None = None) -> None:
    """Record that a recommendation is not followed; UsageError where it was never made."""
    _decide(writer, told, "dismissed", who, note)


def _decide(writer: Writer, told: Told, status: str, who: str | None, note: str | None) -> None:
    """Keep the decision, in place of an earlier one, and show it in the recommendation."""
    writer.ensure(RECOMMENDATIONS, RECOMMENDATION_DECISIONS)
    values = told.values
    there = writer.sql(f"SELECT count(*) FROM {RECOMMENDATIONS.qualified} WHERE {_SAME}", values).item()
    if not there:
        msg = (
            f"site {told.site} {told.month:%Y-%m}: there is no {told.kind} recommendation by the rule {told.rule!r} "
            f"for {told.model_id!r}; `usage-assets service recommendations {told.site}` lists those that are there"
        )
        raise UsageError(msg)
    writer.con.execute(f"DELETE FROM {RECOMMENDATION_DECISIONS.qualified} WHERE {_SAME}", values).fetchall()
    row = values | {"status": status, "who": who, "note": note, "decided_at": clock.naive_utc_now()}
    frame = pl.DataFrame([row], RECOMMENDATION_DECISIONS.polars_schema, orient="row")
    writer.put(RECOMMENDATION_DECISIONS, frame.select(RECOMMENDATION_DECISIONS.names))
    changed = f"UPDATE {RECOMMENDATIONS.qualified} SET status = $status WHERE {_SAME}"
    writer.con.execute(changed, values | {"status": status}).fetchall()
    _mark_changed(writer, told)


def _mark_changed(writer: Writer, told: Told) -> None:
    """Raise the version of the month's recommendations, so that it is published; it stays checked."""
    values = {"site": told.site, "month": told.month, "asset": f"service/reports/{RECOMMENDATIONS.name}"}
    where = "site = $site AND month = $month AND asset = $asset"
    values["now"] = clock.naive_utc_now()
    for table, change in (
        (VERSIONS, "version = version + 1, run_id = 'decision', written_at = $now"),
        (CHECKED, "run_id = 'decision', checked_at = $now"),
    ):
        if writer.has(table):
            writer.con.execute(f"UPDATE {table.qualified} SET {change} WHERE {where}", values).fetchall()
