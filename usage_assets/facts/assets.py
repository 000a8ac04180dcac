"""The fact assets of a kind: one step that makes all chosen facts of a site's months and writes them at once."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import dagster as dg
import polars as pl

from usage_assets.facts import views
from usage_assets.facts.tables import INTERVALS, REJECTS
from usage_assets.gates import closed_months, extracted_at
from usage_assets.kinds import FactAsset, Facts, Kind
from usage_assets.partitions import Window, window_of
from usage_assets.presentation import (
    BACKFILL,
    asset_key,
    asset_spec,
    month_metadata,
    preview,
    readable_errors,
    rows_per_month,
    show_month,
)
from usage_assets.serving import ACCOUNTS
from usage_assets.sites import Site
from usage_assets.warehouse import Reader, Warehouse, Writer

_SUMS = tuple(
    f"{what}_{where}" for what in ("rows", "hours") for where in ("in", "kept", "clipped", "rejected", "outside")
)


@dataclass
class Written:
    """What the step wrote of one fact asset."""

    rows: dict[date, int]
    rejects: dict[date, int]
    refused: dict[date, str]
    accounts: dict[date, dict[str, Any]] = field(default_factory=dict)
    preview: dg.MetadataValue | None = None


def fact_assets(
    kind: Kind, sites: Mapping[str, Site], warehouse: Warehouse, partitions: dg.MultiPartitionsDefinition
) -> dg.AssetsDefinition:
    """The facts of a kind as one subsettable step."""
    facts = {asset_key(kind.name, "facts", fact.name): fact for fact in kind.facts}
    specs = [
        asset_spec(
            kind.name,
            "facts",
            fact.name,
            description=f"{fact.description} Rows of metric {', '.join(fact.metrics)} in facts.intervals and "
            "facts.rejects.",
            partitions=partitions,
            table=INTERVALS,
            deps=[
                *(
                    asset_key(kind.name, "raw", name)
                    for name in dict.fromkeys((*fact.reads, *fact.may_read, *fact.reads_if_listed))
                ),
                *(asset_key(kind.name, "facts", name) for name in fact.after),
            ],
        )
        for fact in kind.facts
    ]

    @dg.multi_asset(name=f"{kind.name}_facts", specs=specs, can_subset=True, backfill_policy=BACKFILL)
    def build(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        window = window_of(context.partition_keys)
        site = sites[window.site]
        chosen = {key: fact for key, fact in facts.items() if key in context.selected_asset_keys}
        with readable_errors(window, "facts"), warehouse.site(site.key, f"facts of {window}"):
            written = build_window(
                kind, site, window, warehouse, chosen=list(chosen.values()), run_id=context.run.run_id
            )
        for key, fact in chosen.items():
            done = written[fact.name]
            for month in window.months:
                shown = month_metadata(
                    done.rows[month],
                    done.refused.get(month),
                    rows_in_rejects=done.rejects[month],
                    **done.accounts.get(month, {}),
                )
                show_month(context, key, site.key, month, shown)
            yield dg.MaterializeResult(asset_key=key, metadata={"preview": done.preview} if done.preview else {})

    return build


def build_window(
    kind: Kind, site: Site, window: Window, warehouse: Warehouse, *, chosen: list[FactAsset], run_id: str
) -> dict[str, Written]:
    """Make the chosen facts of a window and write all of them in one transaction; by asset what was written."""
    with warehouse.read() as reader:
        closed = {fact.name: closed_months(reader, site, window.months, kind.inputs(site, fact)) for fact in chosen}
        todo = [month for month in window.months if any(month not in closed[fact.name] for fact in chosen)]
        extracted = extracted_at(reader, site, todo, kind.tables_of(site))
        raw = kind.read_raw(reader, site, todo) if todo else {}
    facts = kind.build_facts(site, todo, raw, extracted, [fact.name for fact in chosen]) if todo else _Nothing()
    del raw
    with warehouse.write(f"facts of {window}") as writer:
        written = {
            fact.name: _write(writer, kind, fact, facts, window=window, closed=closed[fact.name], run_id=run_id)
            for fact in chosen
        }
        views.ensure(writer)
    return written


@dataclass
class _Nothing:
    """Facts of no month at all."""

    intervals: pl.DataFrame = field(default_factory=INTERVALS.empty)
    rejects: pl.DataFrame = field(default_factory=REJECTS.empty)
    accounts: pl.DataFrame = field(default_factory=ACCOUNTS.empty)


def _write(
    writer: Writer,
    kind: Kind,
    fact: FactAsset,
    facts: Facts,
    *,
    window: Window,
    closed: Mapping[date, str],
    run_id: str,
) -> Written:
    """One asset's months: intervals, rejects and accounts of a month are written together or not at all."""
    asset = kind.asset("facts", fact.name)
    owned = {"metric": fact.metrics}
    mine = pl.col("metric").is_in(list(fact.metrics))
    intervals, rejects = facts.intervals.filter(mine), facts.rejects.filter(mine)
    refused = dict(closed)
    for table, frame in ((INTERVALS, intervals), (REJECTS, rejects)):
        for month, broken in writer.refused(table, frame).items():
            refused.setdefault(month, "; ".join(map(str, broken)))
    for table, frame in ((REJECTS, rejects), (INTERVALS, intervals)):
        writer.replace(
            table,
            frame,
            site=window.site,
            months=window.months,
            asset=asset,
            run_id=run_id,
            owned=owned,
            closed=refused,
        )
    good = [month for month in window.months if month not in refused]
    writer.ensure(ACCOUNTS)
    writer.delete(ACCOUNTS, site=window.site, months=good, owned={"asset": [asset]})
    writer.put(ACCOUNTS, facts.accounts.filter(pl.col("asset") == asset, pl.col("month").is_in(good)))
    names = ", ".join(f"'{metric}'" for metric in fact.metrics)
    return Written(
        rows=rows_per_month(writer, INTERVALS, window, owned),
        rejects=rows_per_month(writer, REJECTS, window, owned),
        refused=refused,
        accounts=_accounts(writer, asset, window),
        preview=preview(writer, INTERVALS, window, f"metric IN ({names})"),
    )


def _accounts(reader: Reader, asset: str, window: Window) -> dict[date, dict[str, Any]]:
    """Rows and hours of each month over all sources, and the rows before and after each join."""
    frame = reader.frame(ACCOUNTS, window.site, window.months).filter(pl.col("asset") == asset)
    sums = [name for name in _SUMS if name in frame.columns]
    out: dict[date, dict[str, Any]] = {}
    for (month,), rows in frame.group_by("month"):
        shown: dict[str, Any] = {name: rows[name].sum() for name in sums}
        joins = {row["source"]: json.loads(row["joins"]) for row in rows.iter_rows(named=True) if row["joins"]}
        if joins:
            shown["joins"] = joins
        assert isinstance(month, date)
        out[month] = {name: round(v, 6) if isinstance(v, float) else v for name, v in shown.items()}
    return out
