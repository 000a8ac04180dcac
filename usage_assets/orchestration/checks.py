"""Checks in Dagster: their specifications, their evaluation, and what their results say.

The event of a check without partitions is one per run, and the newest one is what people see. Were it to speak of the
run's own months, a good run of one site would hide what fails at another. So it is made of `serving.failed_checks` as
it is when the run has recorded what it found, and runs report one after another: else an older state could be reported
last. A check with partitions is evaluated per month.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from itertools import groupby
from typing import Any, NamedTuple

import dagster as dg

from usage_assets.checks.record import Evaluated, Fails, Standing, record
from usage_assets.core.months import Window, ranges
from usage_assets.core.notes import note
from usage_assets.orchestration.finding_metadata import of_run, records
from usage_assets.orchestration.ui_metadata import readable_errors
from usage_assets.sites.base import Site
from usage_assets.sites.book import SiteBook
from usage_assets.specs.check import Check, Findings
from usage_assets.specs.finding import failing
from usage_assets.warehouse import Reader, Warehouse

_SITES = 50
_SENTENCE = 300
_LISTED = 200


class Bound(NamedTuple):
    """A check of an asset."""

    asset: dg.AssetKey
    check: Check

    @property
    def key(self) -> dg.AssetCheckKey:
        """The key in Dagster."""
        return dg.AssetCheckKey(self.asset, self.check.name)

    @property
    def names(self) -> tuple[str, str]:
        """Asset and check as bookkeeping tables name them."""
        return "/".join(self.asset.path), self.check.name

    def evaluated(self, findings: Findings) -> Evaluated:
        """What bookkeeping tables keep of findings."""
        return Evaluated(*self.names, self.check.severity, findings, self.check.of_now)


def check_spec(one: Bound, partitions: dg.PartitionsDefinition | None = None) -> dg.AssetCheckSpec:
    """The specification of a check; with `partitions` it is evaluated per month."""
    return dg.AssetCheckSpec(
        one.check.name,
        asset=one.asset,
        description=one.check.description,
        blocking=False,
        partitions_def=partitions,
    )


def evaluated(reader: Reader, site: Site, window: Window, checks: Sequence[Bound]) -> dict[Bound, Findings]:
    """What the checks find in the warehouse, of a window that has months; those that only their step knows left out."""
    out: dict[Bound, Findings] = {}
    for asset, several in groupby(checks, key=lambda one: one.asset):
        note(f"{window}: checks of {'/'.join(asset.path[1:])}")
        out |= {one: one.check.evaluate(reader, site, window) for one in several if one.check.evaluate}
    return out


def fully_checked(checks: Sequence[Bound], chosen: Collection[Bound]) -> list[str]:
    """The assets whose checks of severity ERROR are all among the chosen ones, as bookkeeping tables name them."""
    left_out = {one.asset for one in checks if one.check.severity == "ERROR" and one not in chosen}
    return sorted({"/".join(one.asset.path) for one in chosen if one.asset not in left_out})


@contextmanager
def recorded(
    warehouse: Warehouse,
    sites: Mapping[str, Site],
    window: Window,
    run_id: str,
    found: Mapping[Bound, Findings],
    *,
    at: datetime,
    checked: Collection[str],
) -> Iterator[Standing]:
    """Record what a run's checks found; what then fails of all `sites`, for the block in which the run reports it.

    Left out are sites that no file names any more, and months before a site's first one: nobody will build them again.
    """
    several = [one.evaluated(findings) for one, findings in found.items()]
    with readable_errors(window, "checks"), warehouse.checks(f"checks of {window}"):
        standing = record(warehouse, window.site, window.months, run_id, several, at=at, checked=checked)
        begin = first_months(sites)
        yield {
            check: [one for one in fails if one.site in begin and one.month >= begin[one.site]]
            for check, fails in standing.items()
        }


def first_months(sites: Mapping[str, Site]) -> dict[str, date]:
    """The first month of every site that there is; of one whose file has a fault any month may be its first."""
    book = SiteBook.of(sites)
    return dict.fromkeys(book.faults, date.min) | {key: site.first_month for key, site in book.items()}


def result(one: Bound, window: Window, findings: Findings, fails: Sequence[Fails]) -> dg.AssetCheckResult:
    """The result of a check: it passes where none of the stored site-months fails."""
    check = one.check
    return dg.AssetCheckResult(
        asset_key=one.asset,
        check_name=check.name,
        passed=not fails,
        severity=dg.AssetCheckSeverity(check.severity),
        description="\n\n".join([now(fails, check.per_run or "failing"), _of_window(findings, window)]),
        metadata=standing_metadata(fails) | of_run(findings, of_now=check.of_now),
    )


def listed(
    asset: dg.AssetKey, name: str, fails: Sequence[Fails], text: str, severity: dg.AssetCheckSeverity
) -> dg.AssetCheckResult:
    """The result of a check of all sites, of the site-months that fail; `failing` lists them in the order given."""
    metadata = standing_metadata(fails)
    if fails:
        entries = [{"site": one.site, "month": f"{one.month:%Y-%m}", "text": one.text[:_LISTED]} for one in fails]
        metadata["failing"] = dg.MetadataValue.json(entries)
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=name,
        passed=not fails,
        severity=severity,
        description=text,
        metadata=metadata,
    )


def standing_metadata(fails: Sequence[Fails]) -> dict[str, Any]:
    """How many site-months fail now, and a table of them, a line per site."""
    out: dict[str, Any] = {"failing_months": len(fails)}
    lines = []
    for site, group in groupby(sorted(fails), key=lambda one: one.site):
        each = list(group)
        months = ranges((one.month for one in each), 12)
        lines.append({"site": site, "failing": len(each), "months": months, "newest": each[-1].text[:_SENTENCE]})
    if lines:
        out["fails_now"] = records(("site", "failing", "months", "newest"), lines[:_SITES])
    return out


def now(fails: Sequence[Fails], what: str = "failing") -> str:
    """A sentence and a list: which site-months fail now, by site."""
    if not fails:
        return f"Of all sites and months stored, none {what}."
    parts = [(site, [one.month for one in group]) for site, group in groupby(sorted(fails), key=lambda one: one.site)]
    lines = [f"- {site}: {ranges(months, 12)} ({len(months)})" for site, months in parts[:_SITES]]
    more = [f"- and {len(parts) - _SITES} more sites"] if len(parts) > _SITES else []
    return f"Now {len(fails)} site-month(s) {what}:\n\n" + "\n".join(lines + more)


def _of_window(findings: Findings, window: Window) -> str:
    """What the run itself found, in its own months."""
    bad = failing(findings)
    if not findings:
        return f"This run ({window}) had no month to ask about."
    if not bad:
        return f"This run ({window}) found none."
    return f"This run ({window}) found {len(bad)}: {ranges(bad, 12)}."
