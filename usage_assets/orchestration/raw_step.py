"""The raw assets of a kind: one step that reads every table of a site once and keeps it by month."""

from collections.abc import Iterator
from datetime import date
from functools import partial
from typing import Any

import dagster as dg

from usage_assets.checks.raw import evidence
from usage_assets.checks.readiness import contract, coverage
from usage_assets.orchestration.checks import Bound
from usage_assets.orchestration.step import Done, Run, Stage, step
from usage_assets.orchestration.ui_metadata import asset_key, month_metadata, previews
from usage_assets.sources.record import DumpResult
from usage_assets.specs.check import Check
from usage_assets.specs.finding import Finding
from usage_assets.specs.kind import Kind
from usage_assets.specs.raw_table import RawTable

PURGE_TAG = "usage/purge_known"
MISSING_TAG = "usage/allow_missing"


class RawConfig(dg.Config):
    """What an operator may say about a dump."""

    purge_known: bool = False
    """The source was purged on purpose: rows that vanished are marked, however many they are."""
    allow_missing: bool = False
    """Columns were removed at the source on purpose: their values of rows that it still has become null."""


def raw_step(stage: Stage) -> dg.AssetsDefinition:
    """Every raw table of the kind as one subsettable step."""
    kind = stage.kind
    tables = {stage.key(f"raw/{table.name}"): table for table in kind.raw_tables}
    specs = [
        stage.spec(f"raw/{table.name}", table.description, table=table.table, kinds=("duckdb", kind.source))
        for table in kind.raw_tables
    ]
    checks = {key: raw_checks(kind, table) for key, table in tables.items()}
    access = None
    if kind.access:  # of the accounts that read a site, not of a table: it stands on the kind's first one
        asked = Check("access", kind.access, None, "WARN", per_run="read with more than it takes", of_now=True)
        access = Bound(specs[0].key, asked)
        checks[access.asset].append(asked)

    def work(run: Run) -> Iterator[Done]:
        chosen = {key: tables[key] for key in run.keys}
        config, tags = run.context.op_execution_context.op_config, run.context.run.tags
        result = kind.dump(
            run.site,
            run.window,
            run.warehouse,
            tables=list(chosen.values()),
            run_id=run.run_id,
            purge_known=config["purge_known"] or tags.get(PURGE_TAG) == "true",
            allow_missing=config["allow_missing"] or tags.get(MISSING_TAG) == "true",
            log=run.context.log.info,
        )
        months = dump_metadata(kind, result)
        with run.warehouse.read() as reader:
            for key, table in chosen.items():
                for month, rows in previews(reader, table.table, run.window).items():
                    months.setdefault(key, {}).setdefault(month, {})["preview"] = rows
        # it is so now, not in one month or another: the newest month that was read speaks for it
        found = {run.window.months[-1]: Finding(not result.warnings, "; ".join(result.warnings))}
        yield Done(run.keys, months, found={access: found} if access else {})

    return step(stage, "raw", specs, work, checks=checks, config=RawConfig, checks_rows=True)


def raw_checks(kind: Kind, table: RawTable) -> list[Check]:
    """The checks of a raw table: one result per run each, which speaks of all that is stored."""
    name = kind.asset("raw", table.name)
    return [
        Check(
            "contract",
            "Required columns, types, unique key and rules hold; a month that breaks them keeps its old rows.",
            partial(contract, name),
            per_run="refused",
        ),
        Check(
            "coverage",
            "Every month since the site's first one was read, less its known gaps.",
            partial(coverage, name, sources=(table.name,)),
            per_run="not covered",
        ),
        Check(
            "evidence",
            "Rows that the source has lost since they were read, months of which it gave fewer rows than to the dump "
            "before, instants that are no date there, and rows held as deleted without a date.",
            partial(evidence, table.name),
            "WARN",
            per_run="with rows gone at the source, fewer of them, zero dates, or deletions without a date",
        ),
    ]


def dump_metadata(kind: Kind, result: DumpResult) -> dict[dg.AssetKey, dict[date, dict[str, Any]]]:
    """Metadata of each table and month of a dump."""
    out: dict[dg.AssetKey, dict[date, dict[str, Any]]] = {}
    for found in result.months:
        out.setdefault(asset_key(kind.name, "raw", found.table.name), {})[found.month] = month_metadata(
            found.rows,
            "; ".join(map(str, found.refused)) or None,
            rows_new=found.rows_new,
            rows_changed=found.rows_changed,
            rows_moved=found.rows_moved,
            rows_gone=found.rows_gone,
            zero_dates=found.zero_dates,
            extracted_at=found.extracted_at.isoformat(sep=" ", timespec="seconds"),
            note=found.note,
        )
    return out
