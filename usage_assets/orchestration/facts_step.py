"""The fact assets of a kind: one step that makes all chosen facts of a site's months and writes them at once."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import dagster as dg
import polars as pl

from usage_assets.core.months import Window
from usage_assets.facts import views
from usage_assets.facts.tables import INTERVALS, REJECTS
from usage_assets.orchestration.incremental import append_months, appendable_months, write_fingerprints
from usage_assets.orchestration.partitions import run_window
from usage_assets.orchestration.ui_metadata import (
    BACKFILL,
    alone_at_site,
    asset_key,
    asset_spec,
    month_metadata,
    previews,
    rows_per_month,
    show_month,
    since_first_month,
    site_of,
)
from usage_assets.schema import Table
from usage_assets.sites.base import Site
from usage_assets.specs.asset import FactAsset
from usage_assets.specs.kind import Facts, Kind
from usage_assets.warehouse import Warehouse, Writer
from usage_assets.warehouse.bookkeeping import ACCOUNTS
from usage_assets.warehouse.readiness import blocked_months, extracted_at

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
    previews: dict[date, dg.MetadataValue] = field(default_factory=dict)

    @classmethod
    def joined(cls, parts: "Sequence[Written]") -> "Written":
        """What was written of all months, of what was written of some of them."""
        out = cls({}, {}, {})
        for part in parts:
            out.rows |= part.rows
            out.rejects |= part.rejects
            out.refused |= part.refused
            out.accounts |= part.accounts
            out.previews |= part.previews
        return out


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
            description=_description(fact),
            partitions=partitions,
            table=fact.table or INTERVALS,
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
        window = run_window(context)
        site = site_of(sites, window)
        chosen = {key: fact for key, fact in facts.items() if key in context.selected_asset_keys}
        window = since_first_month(context, site, window, chosen)
        if not window.months:
            yield from (dg.MaterializeResult(asset_key=key) for key in chosen)
            return
        with alone_at_site(context, warehouse, window, "facts"):
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
                    preview=done.previews.get(month),
                )
                show_month(context, key, site.key, month, shown)
            yield dg.MaterializeResult(asset_key=key)

    return build


def _description(fact: FactAsset) -> str:
    if fact.table is not None:
        return f"{fact.description} {fact.table.description}"
    return f"{fact.description} Rows of metric {', '.join(fact.metrics)} in facts.intervals and facts.rejects."


def build_window(
    kind: Kind, site: Site, window: Window, warehouse: Warehouse, *, chosen: list[FactAsset], run_id: str
) -> dict[str, Written]:
    """Make the chosen facts of a window; by asset what was written.

    They are written in one transaction or, of a kind whose raw rows fill the memory, in one per so many months.
    """
    parts = [
        _build_part(kind, site, part, warehouse, chosen=chosen, run_id=run_id)
        for part in window.parts(kind.months_at_once)
    ]
    return {fact.name: Written.joined([part[fact.name] for part in parts]) for fact in chosen}


def _build_part(
    kind: Kind, site: Site, window: Window, warehouse: Warehouse, *, chosen: list[FactAsset], run_id: str
) -> dict[str, Written]:
    with warehouse.read() as reader:
        inputs = {fact.name: tuple(kind.inputs(site, fact)) for fact in chosen}  # many facts have the same
        by_inputs = {each: blocked_months(reader, site, window.months, each) for each in set(inputs.values())}
        blocked = {name: by_inputs[each] for name, each in inputs.items()}
        todo = [month for month in window.months if any(month not in blocked[fact.name] for fact in chosen)]
        extracted = extracted_at(reader, site, todo, kind.tables_of(site))
    open_for_all = [month for month in todo if not any(month in blocked[fact.name] for fact in chosen)]
    grown = appendable_months(kind, site, open_for_all, warehouse, chosen)
    whole = [month for month in todo if month not in grown]
    facts, marks = _build_facts(kind, site, whole, warehouse, extracted=extracted, only=[fact.name for fact in chosen])
    written = {}
    with warehouse.write(f"facts of {window}") as writer:
        for fact in chosen:
            refused = append_months(writer, kind, site, fact, grown, run_id=run_id)
            written[fact.name] = _write(
                writer,
                kind,
                fact,
                facts,
                window=window,
                blocked=blocked[fact.name],
                grown={month: refused.get(month) for month in grown},
                run_id=run_id,
            )
        of_metrics = {kind.asset("facts", fact.name): written[fact.name] for fact in chosen if fact.table is None}
        _write_accounts(writer, of_metrics, [facts, *(found.facts for found in grown.values())], window)
        good = {month for month in todo if not any(month in done.refused for done in written.values())}
        known = {month: found.fingerprint for month, found in grown.items()} | marks
        complete = len(chosen) == len(kind.facts)
        said = {month: known.get(month) if complete and month in good else None for month in window.months}
        write_fingerprints(writer, kind, site, said, run_id)
        views.ensure(writer)
    return written


def _build_facts(
    kind: Kind,
    site: Site,
    months: Sequence[date],
    warehouse: Warehouse,
    *,
    extracted: Mapping[date, datetime],
    only: Collection[str],
) -> tuple[Facts, dict[date, str]]:
    """The facts of some months, and their marks."""
    if not months:
        return _Nothing(), {}
    with warehouse.read() as reader:
        raw = kind.read_raw(reader, site, months)
        marks = {month: kind.fingerprint(reader, site, month) for month in months if kind.appends_facts}
    return kind.build_facts(site, months, raw, extracted, only), marks


@dataclass
class _Nothing:
    """Facts of no month at all."""

    intervals: pl.DataFrame = field(default_factory=INTERVALS.empty)
    rejects: pl.DataFrame = field(default_factory=REJECTS.empty)
    accounts: pl.DataFrame = field(default_factory=ACCOUNTS.empty)
    tables: Mapping[str, pl.DataFrame] = field(default_factory=dict)


def _write(
    writer: Writer,
    kind: Kind,
    fact: FactAsset,
    facts: Facts,
    *,
    window: Window,
    blocked: Mapping[date, str],
    grown: Mapping[date, str | None],
    run_id: str,
) -> Written:
    """One asset's months: intervals, rejects and accounts of a month are written together or not at all.

    `grown` months are written already, or were refused with a reason.
    """
    asset = kind.asset("facts", fact.name)
    if fact.table is not None:
        return _write_table(
            writer, fact.table, asset, facts, window=window, blocked=blocked, grown=grown, run_id=run_id
        )
    months = [month for month in window.months if month not in grown]
    owned = {"metric": fact.metrics}
    mine = pl.col("metric").is_in(list(fact.metrics))
    intervals, rejects = facts.intervals.filter(mine), facts.rejects.filter(mine)
    refused = dict(blocked)
    for table, frame in ((INTERVALS, intervals), (REJECTS, rejects)) if months else ():
        for month, broken in writer.refused(table, frame).items():
            refused.setdefault(month, "; ".join(map(str, broken)))
    for table, frame in ((REJECTS, rejects), (INTERVALS, intervals)) if months else ():
        writer.replace(
            table,
            frame,
            site=window.site,
            months=months,
            asset=asset,
            run_id=run_id,
            owned=owned,
            blocked=refused,
        )
    refused |= {month: why for month, why in grown.items() if why is not None}
    names = ", ".join(f"'{metric}'" for metric in fact.metrics)
    return Written(
        rows=rows_per_month(writer, INTERVALS, window, owned),
        rejects=rows_per_month(writer, REJECTS, window, owned),
        refused=refused,
        previews=previews(writer, INTERVALS, window, f"metric IN ({names})"),
    )


def _write_table(
    writer: Writer,
    table: Table,
    asset: str,
    facts: Facts,
    *,
    window: Window,
    blocked: Mapping[date, str],
    grown: Mapping[date, str | None],
    run_id: str,
) -> Written:
    """The months of an asset that is a whole table."""
    rows = facts.tables.get(table.name, table.empty())
    months = [month for month in window.months if month not in grown]
    refused = {month: why for month, why in grown.items() if why is not None}
    if months:
        replaced = writer.replace(
            table, rows, site=window.site, months=months, asset=asset, run_id=run_id, blocked=blocked
        )
        refused |= {month: "; ".join(map(str, broken)) for month, broken in replaced.refused.items()}
    return Written(
        rows=rows_per_month(writer, table, window),
        rejects=dict.fromkeys(window.months, 0),
        refused=refused,
        previews=previews(writer, table, window),
    )


def _write_accounts(writer: Writer, written: Mapping[str, Written], facts: Sequence[Facts], window: Window) -> None:
    """Replace the accounts of the months that were written, by asset, and show what is stored of all months.

    Shown are rows and hours over all sources, and the rows before and after each join.
    """
    writer.ensure(ACCOUNTS)
    fresh = pl.concat([each.accounts.select(ACCOUNTS.names) for each in facts])
    months: dict[tuple[date, ...], list[str]] = {}
    for asset, done in written.items():
        months.setdefault(tuple(month for month in window.months if month not in done.refused), []).append(asset)
    for good, assets in ((good, assets) for good, assets in months.items() if good):
        writer.delete(ACCOUNTS, site=window.site, months=good, owned={"asset": assets})
        writer.put(ACCOUNTS, fresh.filter(pl.col("asset").is_in(assets), pl.col("month").is_in(good)))
    stored = writer.frame(ACCOUNTS, window.site, window.months).filter(pl.col("asset").is_in(list(written)))
    for (asset, month), rows in stored.group_by("asset", "month"):
        assert isinstance(asset, str)
        assert isinstance(month, date)
        shown: dict[str, Any] = {name: rows[name].sum() for name in _SUMS if name in rows.columns}
        joins = {row["source"]: json.loads(row["joins"]) for row in rows.iter_rows(named=True) if row["joins"]}
        if joins:
            shown["joins"] = joins
        written[asset].accounts[month] = {
            name: round(value, 6) if isinstance(value, float) else value for name, value in shown.items()
        }
