"""Exclusions of a site's file: time of rows that does not count, by whom it was excluded, and why."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date

import polars as pl

from usage_assets.intervals import assign_owner, clip, materialize
from usage_assets.intervals.algebra import FAR_FUTURE, FAR_PAST
from usage_assets.kinds.openstack.facts.names import MACHINE_NAMES, NAMED, REFERRING, identities_of, lowered
from usage_assets.kinds.openstack.raw.personal import redactor_of
from usage_assets.kinds.openstack.raw.tables import BY_NAME
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.warehouse import Reader

EXCLUDED = "excluded"
"""Column of a source's rows, only there where a rule takes out any: disjoint parts (start_at, end_at, explanation)."""

_LEASES = "blazar_leases"
_ALLOCATIONS = ("blazar_computehost_allocations", "blazar_device_allocations")
_INSTANT = pl.Datetime("us")
_SCHEMA = pl.Schema(
    {"source": pl.String(), "month": pl.Date(), "id": pl.String(), "start_at": _INSTANT, "end_at": _INSTANT}
    | {"rule": pl.Int64(), "explanation": pl.String()}
)
_ROW = ["source", "month", "id"]
_SCOPE = "m.site = $site AND m.month IN (SELECT unnest($months::DATE[]))"


def read_exclusions(
    reader: Reader, site: OpenStackSite, months: Sequence[date], frames: Mapping[str, pl.LazyFrame]
) -> pl.DataFrame:
    """The time that each rule takes out of each row that it matches.

    Grain: rule and row (source, month, id as text). start_at and end_at are the rule's bounds, open ones far away;
    explanation is by whom and why. Rules on leases and reservations match their allocations. A rule that names machines
    matches them however they are spelt: `frames` are the inputs, which hold identities.
    """
    return _read(reader, site, months, _queries, frames)


def read_excluded_leases(reader: Reader, site: OpenStackSite, months: Sequence[date]) -> pl.DataFrame:
    """The time that rules on leases take out of the leases themselves; see read_exclusions()."""
    of_leases = {_LEASES: f"SELECT m.month, m.id::VARCHAR AS id FROM raw.{_LEASES} m"}
    return _read(reader, site, months, lambda table: of_leases if table == _LEASES else {}, {})


def _read(
    reader: Reader,
    site: OpenStackSite,
    months: Sequence[date],
    queries: Callable[[str], dict[str, str]],
    frames: Mapping[str, pl.LazyFrame],
) -> pl.DataFrame:
    found = [pl.DataFrame(schema=_SCHEMA)]
    redactor = redactor_of(site)
    for number, rule in enumerate(site.exclusions):
        for source, query in queries(rule.table).items():
            if not all(reader.has(BY_NAME[table].table) for table in {rule.table, source, *_between(rule.table)}):
                continue
            params: dict[str, object] = {"site": site.key, "months": list(months)}
            matches, machines = [], None
            for index, (column, values) in enumerate(rule.where.items()):
                stored = redactor.stored(f"{rule.table}.{column}", values)
                if column == (NAMED | REFERRING).get(rule.table):
                    machines = _rows_of_machines(frames, rule.table, column, stored)
                else:
                    matches.append(f"m.{column}::VARCHAR IN (SELECT unnest($values{index}::VARCHAR[]))")
                    params[f"values{index}"] = stored
            rows = reader.sql(f"{query} WHERE {' AND '.join((_SCOPE, *matches))}", params)
            if machines is not None:
                rows = rows.lazy().join(machines, on=["month", "id"], how="semi").collect()
            found.append(
                rows.select(
                    "month",
                    "id",
                    source=pl.lit(source),
                    start_at=pl.lit(rule.start or FAR_PAST),
                    end_at=pl.lit(rule.end or FAR_FUTURE),
                    rule=number,
                    explanation=pl.lit(rule.explanation),
                )
                .select(_SCHEMA.names())
                .cast(_SCHEMA)
            )
    return pl.concat(found)


def _rows_of_machines(
    frames: Mapping[str, pl.LazyFrame], table: str, column: str, values: Sequence[str]
) -> pl.LazyFrame:
    """Month and id (text) of the rows whose machine has one of the names, however spelt."""
    rows, names = frames[table], frames[MACHINE_NAMES]
    wanted = rows.select("month").unique().join(pl.LazyFrame({"name": list(values)}), how="cross")
    machines = identities_of(wanted, names).select("month", pl.coalesce("identity", lowered("name")).alias(column))
    return rows.join(machines, on=["month", column], how="semi").select("month", pl.col("id").cast(pl.String))


def with_exclusions(frames: dict[str, pl.LazyFrame], exclusions: pl.DataFrame) -> dict[str, pl.LazyFrame]:
    """The frames, those that lose any time with the column EXCLUDED; of rules that overlap the first one counts."""
    first = materialize(exclusions.lazy().with_columns(first=-pl.col("rule")).unique())
    parts = assign_owner(first, by=_ROW, rank=["first"]).sort(*_ROW, "start_at")
    listed = parts.group_by(_ROW).agg(pl.struct("start_at", "end_at", "explanation").alias(EXCLUDED))
    out = dict(frames)
    for source in set(exclusions["source"]) & set(frames):
        lost = materialize(listed.filter(pl.col("source") == source).select("month", EXCLUDED, _id="id"))
        out[source] = (
            frames[source]
            .with_columns(_id=pl.col("id").cast(pl.String))
            .join(lost, on=["month", "_id"], how="left", maintain_order="left")
            .drop("_id")
        )
    return out


def excluded_parts(rows: pl.LazyFrame, start: str, end: str) -> pl.LazyFrame:
    """The excluded parts of rows within [start, end): row, start_at, end_at and explanation; disjoint per row."""
    each = rows.select("row", EXCLUDED, _low=start, _high=end).explode(EXCLUDED).drop_nulls(EXCLUDED).unnest(EXCLUDED)
    return clip(each, pl.col("_low"), pl.col("_high")).select("row", "start_at", "end_at", "explanation")


def _between(table: str) -> tuple[str, ...]:
    """Further tables that lead from the table of a rule to the rows that it takes out."""
    return ("blazar_reservations",) if table in {"blazar_leases", "blazar_reservations"} else ()


def _queries(table: str) -> dict[str, str]:
    """Query by source: month and id of the rows that belong to rows `m` of the table."""
    if not _between(table):
        return {table: f"SELECT m.month, m.id::VARCHAR AS id FROM raw.{table} m"}
    reservations, held = "raw.blazar_reservations m", "m"
    if table == _LEASES:
        held = "r"
        on = "r.site = m.site AND r.month = m.month AND r.lease_id = m.id"
        reservations = f"raw.{_LEASES} m JOIN raw.blazar_reservations r ON {on}"
    return {
        source: f"SELECT a.month, a.id::VARCHAR AS id FROM {reservations} JOIN raw.{source} a "
        f"ON a.site = m.site AND a.month = m.month AND a.reservation_id = {held}.id"
        for source in _ALLOCATIONS
    }
