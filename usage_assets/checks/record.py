"""What checks found, kept in the warehouse: which site-months fail now, and which rows were checked at all.

Dagster's events say it too, but not in the file that is published.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple

import polars as pl

from usage_assets.core import clock
from usage_assets.core.text import cut
from usage_assets.specs.finding import Finding
from usage_assets.warehouse import Reader, Warehouse, Writer, bound
from usage_assets.warehouse.bookkeeping import CHECKED, FAILED_CHECKS


class Evaluated(NamedTuple):
    """An evaluation of a check: what it found by month."""

    asset: str
    """Its key's parts joined by slashes."""
    check: str
    severity: str
    """ERROR or WARN."""
    findings: Mapping[date, Finding]
    of_now: bool = False
    """It speaks of a site as it is now, not of one month or another: what it found before in any month is void."""


class Fails(NamedTuple):
    """A site-month of which a check fails now."""

    site: str
    month: date
    text: str


Standing = Mapping[tuple[str, str], list[Fails]]
"""By asset and check: what fails now, of all sites and months stored, in order."""
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
) -> Standing:
    """Replace what `serving.failed_checks` says of these checks in these months by what they found now.

    Returned is what fails of these checks by then, of every site, read in the same transaction. `checked` names assets
    whose rows were looked at by every check of severity ERROR, `at` when they were read (now unless given). Without
    these nothing is written where nothing fails and nothing failed.
    """
    failing = [one for one in evaluated if any(not finding.passed for finding in one.findings.values())]
    if not failing and not checked:
        with warehouse.read() as reader:
            standing = _standing(reader, evaluated)
        void = [
            one
            for one in evaluated
            if any(_is_void(one, found, site, months) for found in standing[one.asset, one.check])
        ]
        if not void:
            return standing
    now = clock.naive_utc_now()
    rows = [
        (site, month, one.asset, one.check, one.severity, cut(finding.text, _TEXT), run_id, now)
        for one in failing
        for month, finding in one.findings.items()
        if not finding.passed
    ]
    with warehouse.write(f"what checks found at site {site}") as writer:
        writer.ensure(FAILED_CHECKS, CHECKED)
        _forget(writer, site, months, [one for one in evaluated if not one.of_now])
        _forget(writer, site, None, [one for one in evaluated if one.of_now])
        if rows:
            writer.put(FAILED_CHECKS, pl.DataFrame(rows, schema=FAILED_CHECKS.polars_schema, orient="row"))
        if checked:
            looked = [(site, month, asset, run_id, at or now) for asset in sorted(checked) for month in months]
            writer.delete(CHECKED, site=site, months=months, owned={"asset": sorted(checked)})
            writer.put(CHECKED, pl.DataFrame(looked, schema=CHECKED.polars_schema, orient="row"))
        return _standing(writer, evaluated)


_THESE = "asset || ' ' || check_name IN (SELECT unnest($checks::VARCHAR[]))"


def _names(evaluated: Sequence[Evaluated]) -> list[str]:
    return [f"{one.asset} {one.check}" for one in evaluated]


def _forget(writer: Writer, site: str, months: Sequence[date] | None, evaluated: Sequence[Evaluated]) -> None:
    """Remove what was found of a site before, in some months or in all."""
    if not evaluated:
        return
    params: dict[str, object] = {"site": site, "checks": _names(evaluated)}
    where = f"site = $site AND {_THESE}"
    if months is not None:
        where, params = f"{where} AND month IN (SELECT unnest($months::DATE[]))", params | {"months": list(months)}
    writer.con.execute(f"DELETE FROM {FAILED_CHECKS.qualified} WHERE {where}", bound(params)).fetchall()


def _standing(reader: Reader, evaluated: Sequence[Evaluated]) -> Standing:
    out: dict[tuple[str, str], list[Fails]] = {(one.asset, one.check): [] for one in evaluated}
    if out and reader.has(FAILED_CHECKS):
        found = reader.sql(
            f"SELECT asset, check_name, site, month, text FROM {FAILED_CHECKS.qualified} WHERE {_THESE} ORDER BY ALL",
            {"checks": _names(evaluated)},
        )
        for asset, check, site, month, text in found.iter_rows():
            out[asset, check].append(Fails(site, month, text))
    return out


def _is_void(one: Evaluated, found: Fails, site: str, months: Collection[date]) -> bool:
    """Whether what was found before is no longer so by this evaluation, which found nothing."""
    return found.site == site and (one.of_now or found.month in months)
