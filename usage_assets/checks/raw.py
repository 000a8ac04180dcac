"""Checks of raw tables: one result per run, failing months as a table in its metadata."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date

import dagster as dg

from usage_assets.checks.findings import GOOD, Finding, failing, summary, table
from usage_assets.checks.gated import contract, coverage, gates_of
from usage_assets.kinds import Kind
from usage_assets.partitions import Window
from usage_assets.raw.declare import RawTable
from usage_assets.serving import DUMPS
from usage_assets.sites import Site
from usage_assets.warehouse import Reader

_DESCRIPTIONS = {
    "contract": "Required columns, types, unique key and rules hold; a month that breaks them keeps its old rows.",
    "coverage": "Every month since the site's first one was read, less its known gaps.",
    "evidence": "Rows that the source has lost since they were read, and instants that are no date there.",
}


def raw_check_specs(assets: Sequence[dg.AssetKey]) -> list[dg.AssetCheckSpec]:
    """The checks of every raw table."""
    return [
        dg.AssetCheckSpec(name, asset=asset, description=description, blocking=False)
        for asset in assets
        for name, description in _DESCRIPTIONS.items()
    ]


def raw_check_results(
    reader: Reader,
    kind: Kind,
    site: Site,
    window: Window,
    *,
    tables: Mapping[dg.AssetKey, RawTable],
    selected: Collection[dg.AssetCheckKey],
) -> Iterator[dg.AssetCheckResult]:
    """The selected checks of the tables that a run has dumped."""
    gates = gates_of(reader, window)
    evidence = _evidence(reader, window)
    for key, raw in tables.items():
        asset = kind.asset("raw", raw.name)
        found = {
            "contract": (contract(gates, asset, window), "refused"),
            "coverage": (coverage(gates, asset, site, window, (raw.name,)), "not covered"),
            "evidence": (
                {month: evidence.get(raw.name, {}).get(month, GOOD) for month in window.months},
                "with rows gone at the source or zero dates",
            ),
        }
        for name, (findings, what) in found.items():
            if dg.AssetCheckKey(key, name) in selected:
                yield result(key, name, site, findings, what, warn=name == "evidence")


def result(
    asset: dg.AssetKey, name: str, site: Site, findings: Mapping[date, Finding], what: str, *, warn: bool = False
) -> dg.AssetCheckResult:
    """One result over all months of a run."""
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=name,
        passed=not failing(findings),
        severity=dg.AssetCheckSeverity.WARN if warn else dg.AssetCheckSeverity.ERROR,
        description=summary(site.key, findings, what),
        metadata=table(findings),
    )


def _evidence(reader: Reader, window: Window) -> dict[str, dict[date, Finding]]:
    out: dict[str, dict[date, Finding]] = {}
    for row in reader.frame(DUMPS, window.site, window.months).iter_rows(named=True):
        gone, zero = row["rows_gone"], row["zero_dates"]
        if gone or zero:
            parts = [f"{gone} row(s) gone at the source, kept here"] * bool(gone)
            parts += [f"{zero} instant(s) that are no date, stored as null"] * bool(zero)
            finding = Finding(False, "; ".join(parts), {"rows_gone": gone, "zero_dates": zero})
            out.setdefault(row["table_name"], {})[row["month"]] = finding
    return out
