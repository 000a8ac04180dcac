"""Checks of raw tables: one result per run, which speaks of all that is stored (`verdict`)."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date

import dagster as dg

from usage_assets.checks.readiness import contract, coverage, readiness_of
from usage_assets.core.months import Window
from usage_assets.orchestration.verdict import RunCheck
from usage_assets.sites.base import Site
from usage_assets.sources.record import dumps
from usage_assets.specs.finding import GOOD, Finding
from usage_assets.specs.kind import Kind
from usage_assets.specs.raw_table import RawTable
from usage_assets.warehouse import Reader

_DESCRIPTIONS = {
    "contract": "Required columns, types, unique key and rules hold; a month that breaks them keeps its old rows.",
    "coverage": "Every month since the site's first one was read, less its known gaps.",
    "evidence": "Rows that the source has lost since they were read, months of which it gave fewer rows than to the "
    "dump before, instants that are no date there, and rows held as deleted without a date.",
}
_UNDATED = (
    "row(s) held as deleted without a date: they end when they were terminated, else with their last change, and are "
    "rejected where neither is known"
)
ACCESS = "access"
"""Of the accounts that read a site, not of a table: it stands on the kind's first one, once per run."""


def raw_check_specs(assets: Sequence[dg.AssetKey], *, access: str | None = None) -> list[dg.AssetCheckSpec]:
    """The checks of every raw table; `access` is what is asked of the accounts that read a site, if there are any."""
    described = [(asset, name, text) for asset in assets for name, text in _DESCRIPTIONS.items()]
    described += [(asset, ACCESS, access) for asset in assets[:1] if access is not None]
    return [dg.AssetCheckSpec(name, asset=asset, description=text, blocking=False) for asset, name, text in described]


def raw_checks(
    reader: Reader,
    kind: Kind,
    site: Site,
    window: Window,
    *,
    tables: Mapping[dg.AssetKey, RawTable],
    selected: Collection[dg.AssetCheckKey],
    warnings: Sequence[str] = (),
) -> Iterator[RunCheck]:
    """The selected checks of the tables that a run has dumped; `warnings` are what it has to say of the servers."""
    readiness = readiness_of(reader, window)
    evidence = _evidence(reader, window)
    for key, raw in tables.items():
        asset = kind.asset("raw", raw.name)
        found = {
            "contract": (contract(readiness, asset, window), "refused"),
            "coverage": (coverage(readiness, asset, site, window, (raw.name,)), "not covered"),
            "evidence": (
                {month: evidence.get(raw.name, {}).get(month, GOOD) for month in window.months},
                "with rows gone at the source, fewer of them, zero dates, or deletions without a date",
            ),
        }
        for name, (findings, what) in found.items():
            if dg.AssetCheckKey(key, name) in selected:
                yield RunCheck(key, name, findings, what, warn=name == "evidence")
        if dg.AssetCheckKey(key, ACCESS) in selected and window.months:
            # it is so now, not in one month or another: the newest month that was read speaks for it
            now = Finding(not warnings, "; ".join(warnings))
            what = "read with more than it takes"
            yield RunCheck(key, ACCESS, {window.months[-1]: now}, what, warn=True, of_now=True)


def _evidence(reader: Reader, window: Window) -> dict[str, dict[date, Finding]]:
    out: dict[str, dict[date, Finding]] = {}
    for row in dumps(reader, window.site, months=window.months).filter("is_latest").iter_rows(named=True):
        figures = {name: row[name] or 0 for name in ("rows_gone", "zero_dates", "undated", "shrank")}
        said = (
            (figures["rows_gone"], "row(s) gone at the source, kept here"),
            (figures["zero_dates"], "instant(s) that are no date, stored as null"),
            (figures["undated"], _UNDATED),
            (figures["shrank"], "row(s) fewer at the source than at the dump before"),
        )
        parts = [f"{number} {what}" for number, what in said if number]
        if parts:
            out.setdefault(row["table_name"], {})[row["month"]] = Finding(False, "; ".join(parts), figures)
    return out
