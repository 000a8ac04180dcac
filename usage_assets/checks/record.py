"""What checks found, kept in the warehouse: which site-months fail now, and which rows were checked at all.

Dagster's events say it too, but not in the file that is published.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime

import polars as pl

from usage_assets import sites
from usage_assets.checks.findings import Finding
from usage_assets.serving import CHECKED, FAILED_CHECKS
from usage_assets.text import cut
from usage_assets.warehouse import Reader, Warehouse, bound

Evaluated = tuple[str, str, str, Mapping[date, Finding]]
"""Asset (parts joined by slashes), check, severity (ERROR or WARN), what it found by month."""
_TEXT = 400


def record(
    warehouse: Warehouse,
    site: str,
    months: Sequence[date],
    run_id: str,
    evaluated: Sequence[Evaluated],
    *,
    at: datetime | None = None,
    checked: Collection[str] = (),
) -> None:
    """Replace what `serving.failed_checks` says of these checks in these months by what they found now.

    `checked` names assets whose rows were looked at by every check of severity ERROR, `at` when they were read (now
    unless given). Without these nothing is written where nothing fails and nothing failed.
    """
    failing = [one for one in evaluated if any(not finding.passed for finding in one[3].values())]
    if not failing and not checked:
        with warehouse.read() as reader:
            if not _fails(reader, site, months, evaluated):
                return
    now = sites.utc_now()
    rows = [
        (site, month, asset, check, severity, cut(finding.text, _TEXT), run_id, now)
        for asset, check, severity, findings in failing
        for month, finding in findings.items()
        if not finding.passed
    ]
    with warehouse.write(f"what checks found at site {site}") as writer:
        writer.ensure(FAILED_CHECKS, CHECKED)
        writer.con.execute(
            f"DELETE FROM {FAILED_CHECKS.qualified} WHERE {_MINE}", _scope(site, months, evaluated)
        ).fetchall()
        if rows:
            writer.put(FAILED_CHECKS, pl.DataFrame(rows, schema=FAILED_CHECKS.polars_schema, orient="row"))
        if checked:
            looked = [(site, month, asset, run_id, at or now) for asset in sorted(checked) for month in months]
            writer.delete(CHECKED, site=site, months=months, owned={"asset": sorted(checked)})
            writer.put(CHECKED, pl.DataFrame(looked, schema=CHECKED.polars_schema, orient="row"))


_MINE = (
    "site = $site AND month IN (SELECT unnest($months::DATE[])) "
    "AND asset || ' ' || check_name IN (SELECT unnest($checks::VARCHAR[]))"
)


def _scope(site: str, months: Sequence[date], evaluated: Sequence[Evaluated]) -> dict[str, object]:
    names = [f"{asset} {check}" for asset, check, *_ in evaluated]
    scope: dict[str, object] = bound({"site": site, "months": list(months), "checks": names})
    return scope


def _fails(reader: Reader, site: str, months: Sequence[date], evaluated: Sequence[Evaluated]) -> bool:
    """Whether one of these checks is stored as failing in one of these months."""
    if not reader.has(FAILED_CHECKS):
        return False
    found = reader.sql(f"SELECT count(*) FROM {FAILED_CHECKS.qualified} WHERE {_MINE}", _scope(site, months, evaluated))
    return bool(found.item())
