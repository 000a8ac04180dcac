"""From a number of the timeline to the intervals that make it, and from those to their raw rows."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import polars as pl

from usage_assets.core.errors import UsageError
from usage_assets.core.months import month_of
from usage_assets.facts.tables import INTERVALS, REASONS, REJECTS
from usage_assets.schema import Table
from usage_assets.sites.base import Site
from usage_assets.specs.kind import Kind
from usage_assets.specs.lineage import Origin
from usage_assets.timelines.tables import USAGE_STEPS
from usage_assets.timelines.usage import Scope
from usage_assets.warehouse import Reader
from usage_assets.warehouse.bookkeeping import GATES
from usage_assets.warehouse.readiness import extracted_at

TOLERANCE = 1e-6
_COVERS = "start_at <= $at AND end_at > $at"
_ENDED = "least(coalesce(deleted_at, CASE WHEN deleted THEN coalesce(updated_at, created_at) END), gone_at)"


@dataclass(frozen=True)
class Question:
    """What is asked: a metric of a site at an instant, or what was rejected there."""

    metric: str | None
    at: datetime
    node_type: str | None = None
    entity: str | None = None
    limit: int = 20
    rejected: bool = False

    @property
    def month(self) -> date:
        """The month that answers."""
        return month_of(self.at.date())


@dataclass(frozen=True)
class Piece:
    """An interval, or a rejected row, with the raw rows that it is made of: (raw table, row)."""

    row: dict[str, Any]
    origins: list[tuple[str, dict[str, Any]]]


@dataclass(frozen=True)
class Term:
    """A counted metric: how many intervals cover the instant, what they hold together, and what usage_steps says.

    `weight` is how often the term counts in the metric that was asked for.
    """

    metric: str
    weight: int
    count: int
    totals: dict[str, float | None]
    steps: dict[str, float | None] | None
    """None where only some of the intervals were asked for, empty where the usage was not built."""
    pieces: list[Piece] = field(default_factory=list)

    @property
    def agrees(self) -> bool | None:
        """Whether the intervals make what usage_steps says, wherever it says anything."""
        if not self.steps:
            return None
        return all(
            said is None or abs(said - (self.totals.get(name) or 0.0)) <= TOLERANCE * max(1.0, abs(said))
            for name, said in self.steps.items()
        )


@dataclass(frozen=True)
class Answer:
    """What a number is made of. `totals` are those of the metric asked for, its terms weighted."""

    site: str
    question: Question
    extracted_at: datetime | None
    terms: list[Term]
    totals: dict[str, float | None]
    rejected: list[Piece] = field(default_factory=list)
    reasons: dict[str, int] = field(default_factory=dict)


def explain(reader: Reader, kind: Kind, site: Site, question: Question) -> Answer:
    """The intervals that make a metric at an instant, or the rejects whose span covers it."""
    if question.rejected:
        metrics = None if question.metric is None else _owner(kind, question.metric)
        extracted = _require_built(reader, kind, site, question, metrics or ())
        pieces, reasons = _rejects(reader, kind, site, question, metrics)
        return Answer(site.key, question, extracted, [], {}, pieces, reasons)
    wanted = weights(_known(kind, site, question.metric), kind.usage_scope(site))
    extracted = _require_built(reader, kind, site, question, wanted)
    terms = [_term(reader, kind, site, question, metric=name, weight=weight) for name, weight in wanted.items()]
    return Answer(site.key, question, extracted, terms, _together(terms))


def weights(metric: str, scope: Scope) -> dict[str, int]:
    """A metric as counted ones with their weights; of a ratio all its parts, each once."""
    found = scope.metrics.by_name[metric]
    if not found.is_ratio:
        return scope.metrics.weights(metric, scope.counted)
    return dict.fromkeys(
        (part for term in (*found.plus, *found.over) for part in scope.metrics.weights(term, scope.counted)), 1
    )


def metrics_of(kind: Kind, site: Site) -> list[str]:
    """Metrics that can be explained at a site."""
    scope = kind.usage_scope(site)
    return [*scope.counted, *(metric.name for metric in scope.derived)]


def _known(kind: Kind, site: Site, metric: str | None) -> str:
    names = metrics_of(kind, site)
    if metric not in names:
        msg = f"site {site.key} has no metric {metric!r}; there are {', '.join(names)}"
        raise UsageError(msg)
    return metric


def _require_built(
    reader: Reader, kind: Kind, site: Site, question: Question, metrics: Collection[str]
) -> datetime | None:
    """When the month was read; an error where the question lies outside what was built."""
    month = question.month
    built = set(reader.frame(GATES, site.key, [month])["asset"])
    facts = [(kind.asset("facts", fact.name), fact.metrics) for fact in kind.facts]
    missing = [name for name, owned in facts if name not in built and (not metrics or set(owned) & set(metrics))]
    if month < site.first_month:
        msg = f"site {site.key} begins in {site.first_month:%Y-%m}; {question.at:%Y-%m-%d} lies before it"
        raise UsageError(msg)
    if missing and (metrics or len(missing) == len(facts)):
        msg = (
            f"site {site.key}: {', '.join(missing)} of {month:%Y-%m} was never built; usage-assets backfill "
            f"--site {site.key} --from {month:%Y-%m} --to {month:%Y-%m} builds it"
        )
        raise UsageError(msg)
    extracted = extracted_at(reader, site, [month], kind.tables_of(site)).get(month)
    if extracted is not None and question.at >= extracted:
        msg = (
            f"site {site.key}: {question.at:%Y-%m-%d %H:%M} lies after the last dump of {month:%Y-%m}, which saw the "
            f"source until {extracted:%Y-%m-%d %H:%M} UTC; ask for an earlier instant, or build the month again"
        )
        raise UsageError(msg)
    return extracted


def _term(reader: Reader, kind: Kind, site: Site, question: Question, *, metric: str, weight: int) -> Term:
    rows = _covering(reader, INTERVALS, site, question, [metric])
    resources = kind.usage_scope(site).resources
    # of no interval at all everything is 0; of some that do not tell a resource, it is unknown
    totals = {name: float(rows[name].sum()) if rows[name].count() or not rows.height else None for name in resources}
    return Term(
        metric,
        weight,
        rows.height,
        totals,
        _steps(reader, site, question, metric) if question.entity is None else None,
        _pieces(reader, kind, site, question, rows),
    )


def _covering(
    reader: Reader, table: Table, site: Site, question: Question, metrics: Sequence[str] | None
) -> pl.DataFrame:
    if not reader.has(table):
        return table.empty()
    conditions = ["site = $site AND month = $month", _COVERS]
    params: dict[str, Any] = {"site": site.key, "month": question.month, "at": question.at}
    if metrics is not None:
        conditions.append("metric IN (SELECT unnest($metrics::VARCHAR[]))")
        params["metrics"] = list(metrics)
    if question.node_type is not None:
        conditions.append("node_type = $node_type")
        params["node_type"] = question.node_type
    if question.entity is not None:
        conditions.append(
            "$entity IN (entity_id, node, reservation_id, lease_id) OR lower($entity) IN (entity_id, node)"
        )
        params["entity"] = question.entity
    names = ", ".join(f'"{name}"' for name in table.names)
    where = " AND ".join(f"({condition})" for condition in conditions)
    return reader.sql(
        f"SELECT {names} FROM {table.qualified} WHERE {where} ORDER BY metric, node_type, entity_id, start_at", params
    )


def _steps(reader: Reader, site: Site, question: Question, metric: str) -> dict[str, float | None]:
    """Per resource what the exact step function says at the instant, node types added up; null in a known gap."""
    if not reader.has(USAGE_STEPS):
        return {}
    chosen = "" if question.node_type is None else "AND node_type = $node_type"
    params: dict[str, Any] = {"site": site.key, "month": question.month, "at": question.at, "metric": metric}
    found = reader.sql(
        f"SELECT resource, sum(value) AS value FROM (SELECT resource, node_type, arg_max(struct_pack(v := value), "
        f"timestamp).v AS value FROM {USAGE_STEPS.qualified} WHERE site = $site AND month = $month "
        f"AND metric = $metric AND collector_type = 'current' AND timestamp <= $at {chosen} GROUP BY ALL) "
        "GROUP BY resource",
        params | ({"node_type": question.node_type} if chosen else {}),
    )
    return dict(found.iter_rows())


def _together(terms: Sequence[Term]) -> dict[str, float | None]:
    """Weighted sums of the terms; unknown where a term is."""
    out: dict[str, float | None] = {}
    for name in terms[0].totals if terms else ():
        parts = [(term.totals[name], term.weight) for term in terms]
        known = [(value, weight) for value, weight in parts if value is not None]
        out[name] = sum(value * weight for value, weight in known) if len(known) == len(parts) else None
    return out


def _owner(kind: Kind, metric: str) -> tuple[str, ...]:
    """All metrics of the asset that rejects rows of this one: a rejected server has no booking yet."""
    owners = [fact.metrics for fact in kind.facts] + [table.rejects_of for table in kind.tables]
    for metrics in owners:
        if metric in metrics:
            return tuple(metrics)
    names = ", ".join(sorted({name for metrics in owners for name in metrics}))
    msg = f"nothing is rejected under the metric {metric!r}; there are {names}"
    raise UsageError(msg)


def _rejects(
    reader: Reader, kind: Kind, site: Site, question: Question, metrics: Sequence[str] | None
) -> tuple[list[Piece], dict[str, int]]:
    rows = _covering(reader, REJECTS, site, question, metrics)
    counts = rows.group_by("reason").len().sort("reason")
    return _pieces(reader, kind, site, question, rows), dict(counts.iter_rows())


def _pieces(reader: Reader, kind: Kind, site: Site, question: Question, rows: pl.DataFrame) -> list[Piece]:
    """The first rows with their raw rows; each raw table is asked once per source."""
    shown = rows.head(question.limit).to_dicts()
    found: dict[int, list[tuple[str, dict[str, Any]]]] = {n: [] for n in range(len(shown))}
    for source in sorted({row["source"] for row in shown}):
        mine = [n for n, row in enumerate(shown) if row["source"] == source]
        for origin in kind.origins.get(source, (Origin(source, "id", "entity_id"),)):
            wanted = {n: _named(origin, shown[n], found[n]) for n in mine}
            by_name = _raw_rows(
                reader, kind, site, question, origin=origin, names={name for names in wanted.values() for name in names}
            )
            for n, names in wanted.items():
                found[n] += [(origin.table, row) for name in sorted(names) for row in by_name.get(name, [])]
    return [Piece(_plain(row), found[n]) for n, row in enumerate(shown)]


def _named(origin: Origin, row: Mapping[str, Any], before: Sequence[tuple[str, dict[str, Any]]]) -> set[str]:
    table, _, column = origin.of.rpartition(".")
    values = [found.get(column) for name, found in before if name == table] if table else [row.get(column)]
    return origin.names({str(value) for value in values if value is not None})


def _raw_rows(
    reader: Reader, kind: Kind, site: Site, question: Question, *, origin: Origin, names: set[str]
) -> dict[str, list[dict[str, Any]]]:
    raw = next((raw for raw in kind.raw_tables if raw.name == origin.table), None)
    if raw is None or not names or not reader.has(raw.table):
        return {}
    columns = [column.name for column in raw.table.columns if origin.shows(column.name)]
    shown = ", ".join([*(f'"{name}"' for name in columns), *(f"{sql} AS {name}" for name, sql in origin.said)])
    narrowed = ""
    if origin.living:
        # a row whose creation is not known covers all the time before its end
        narrowed = f"AND coalesce(created_at <= $at, true) AND coalesce({_ENDED} > $at, true)"
    if origin.latest:
        narrowed = (
            f'AND start_time <= $at QUALIFY row_number() OVER (PARTITION BY "{origin.column}" '
            f"ORDER BY start_time DESC, id DESC) <= {origin.latest}"
        )
    if origin.polled:
        narrowed = (
            f'AND "{origin.polled}" = (SELECT max("{origin.polled}") FROM {raw.table.qualified} '
            f'WHERE site = $site AND month = $month AND "{origin.polled}" <= $at)'
        )
    params: dict[str, Any] = {"site": site.key, "month": question.month, "names": sorted(names)}
    frame = reader.sql(
        f"SELECT {origin.value} AS _name, {shown} FROM {raw.table.qualified} WHERE site = $site "
        f"AND month = $month AND {origin.value} IN (SELECT unnest($names::VARCHAR[])) {narrowed} "
        f"ORDER BY ALL",
        params | ({"at": question.at} if narrowed else {}),
    )
    out: dict[str, list[dict[str, Any]]] = {}
    for row in frame.iter_rows(named=True):
        out.setdefault(row.pop("_name"), []).append(
            {name: value for name, value in row.items() if value is not None and name not in {"site", "month"}}
        )
    return out


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row without what is null or the same for all; a reason also in words."""
    out = {name: value for name, value in row.items() if value is not None and name not in {"site", "month"}}
    if "reason" in out:
        out["reason_in_words"] = REASONS[out["reason"]]
    return out
