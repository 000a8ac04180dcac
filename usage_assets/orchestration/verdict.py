"""What a check without partitions says: of all sites and months stored, whichever run evaluated it last.

Its event in Dagster is one per run, and the newest one is what people see. Were it to speak of the run's own months, a
good run of one site would hide what fails at another. So it is made of `serving.failed_checks` as it is when the run
has recorded what it found, and runs tell one after another: else an older look could be told last.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import Any

import dagster as dg

from usage_assets.checks.record import Evaluated, Fails, Standing, record
from usage_assets.core.months import Window, ranges
from usage_assets.orchestration.finding_metadata import of_run, records
from usage_assets.orchestration.ui_metadata import readable_errors
from usage_assets.sites.base import Site
from usage_assets.sites.book import SiteBook
from usage_assets.specs.finding import Finding, failing
from usage_assets.warehouse import Warehouse

_SITES = 50
_SENTENCE = 300


@dataclass(frozen=True)
class RunCheck:
    """A check with one result per run, over its months; `what` says what a failing month is."""

    asset: dg.AssetKey
    name: str
    findings: Mapping[date, Finding]
    what: str
    warn: bool = False
    of_now: bool = False
    """It asks how a site is now, so that its newest answer stands for all months."""

    @property
    def evaluated(self) -> Evaluated:
        """What is kept of it in the warehouse."""
        severity = "WARN" if self.warn else "ERROR"
        return Evaluated("/".join(self.asset.path), self.name, severity, self.findings, self.of_now)


@contextmanager
def told(
    warehouse: Warehouse,
    sites: Mapping[str, Site],
    window: Window,
    run_id: str,
    evaluated: Sequence[Evaluated],
    *,
    at: datetime | None = None,
    checked: Collection[str] = (),
) -> Iterator[Standing]:
    """Record what a run's checks found; what fails then of all `sites`, for the block in which the run tells it.

    Left out are sites that no file names any more, and months before a site's first one: nobody will build them again.
    """
    with warehouse.checks(f"checks of {window}"):
        found = record(warehouse, window.site, window.months, run_id, evaluated, at=at, checked=checked)
        begin = first_months(sites)
        yield {
            check: [one for one in fails if one.site in begin and one.month >= begin[one.site]]
            for check, fails in found.items()
        }


def tell(
    warehouse: Warehouse,
    sites: Mapping[str, Site],
    window: Window,
    run_id: str,
    checks: Sequence[RunCheck],
    *,
    at: datetime | None = None,
    checked: Collection[str] = (),
) -> Iterator[dg.AssetCheckResult]:
    """Record what the checks of a run found, and the verdict of each."""
    evaluated = [check.evaluated for check in checks]
    with (
        readable_errors(window, "checks"),
        told(warehouse, sites, window, run_id, evaluated, at=at, checked=checked) as standing,
    ):
        for check, one in zip(checks, evaluated, strict=True):
            yield verdict(check, window, standing[one.asset, one.check])


def first_months(sites: Mapping[str, Site]) -> dict[str, date]:
    """The first month of every site that there is; of one whose file has a fault any month may be its first."""
    book = SiteBook.of(sites)
    return dict.fromkeys(book.faults, date.min) | {key: site.first_month for key, site in book.items()}


def verdict(check: RunCheck, window: Window, fails: Sequence[Fails]) -> dg.AssetCheckResult:
    """The result of a check: it passes where none of the stored site-months fails."""
    return dg.AssetCheckResult(
        asset_key=check.asset,
        check_name=check.name,
        passed=not fails,
        severity=dg.AssetCheckSeverity.WARN if check.warn else dg.AssetCheckSeverity.ERROR,
        description="\n\n".join([now(fails, check.what), _of_window(check, window)]),
        metadata=standing(fails) | of_run(check.findings, of_now=check.of_now),
    )


def standing(fails: Sequence[Fails]) -> dict[str, Any]:
    """Metadata: how many site-months fail now, and a table of them, a line per site."""
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


def _of_window(check: RunCheck, window: Window) -> str:
    """What the run itself found, in its own months."""
    bad = failing(check.findings)
    if not check.findings:
        return f"This run ({window}) had no month to ask about."
    if not bad:
        return f"This run ({window}) found none."
    return f"This run ({window}) found {len(bad)}: {ranges(bad, 12)}."
