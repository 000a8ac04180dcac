"""The intervals that make a number of the timeline, and the raw rows that those are made of."""

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
_CONDITIONS = {
    "metrics": "metric IN (SELECT unnest($metrics::VARCHAR[]))",
    "node_type": "node_type = $node_type",
    "entity": "$entity IN (entity_id, node, reservation_id, lease_id) OR lower($entity) IN (entity_id, node)",
}
_ENDED = "least(coalesce(deleted_at, CASE WHEN deleted THEN coalesce(updated_at, created_at) END), gone_at)"


@dataclass(frozen=True)
class Question:
    """A metric of a site at an instant, or what was rejected there."""

    metric: str | None
    at: datetime
    node_type: str | None = None
    entity: str | None = None
    limit: int = 20
    rejected: bool = False

    @property
    def month(self) -> date:
        """The month of the instant."""
        return month_of(self.at.date())


@dataclass(frozen=True)
class Piece:
    """An interval, or a rejected row, with the raw rows that it is made of: (raw table, row)."""

    row: dict[str, Any]
    origins: list[tuple[str, dict[str, Any]]]


@dataclass(frozen=True)
class Term:
    """A counted metric: how many intervals cover the instant, their sums by resource, and the values of usage_steps.

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
        """Whether the sums are the values of usage_steps, where these are known."""
        if not self.steps:
            return None
        return all(
            value is None or abs(value - (self.totals.get(name) or 0.0)) <= TOLERANCE * max(1.0, abs(value))
            for name, value in self.steps.items()
        )


@dataclass(frozen=True)
class Answer:
    """The terms that make a number. `totals` are those of the metric asked for, its terms weighted."""

    site: str
    question: Question
    extracted_at: datetime | None
    terms: list[Term]
    totals: dict[str, float | None]
    rejected: list[Piece] = field(default_factory=list)
    reasons: dict[str, int] = field(default_factory=dict)


def explain(reader: Reader, kind: Kind, site: Site, question: Question) -> Answer:
    """The intervals that make a metric at an instant, or the rejects whose span covers it."""
    sources = _Sources(reader, kind, site, question)
    if question.rejected:
        metrics = None if question.metric is None else _owner(kind, question.metric)
        extracted = sources.require_built(metrics or ())
        rows = sources.covering(REJECTS, metrics)
        reasons = dict(rows.group_by("reason").len().sort("reason").iter_rows())
        return Answer(site.key, question, extracted, [], {}, sources.pieces(rows), reasons)
    wanted = weights(_known(kind, site, question.metric), kind.usage_scope(site))
    extracted = sources.require_built(wanted)
    terms = [sources.term(name, weight) for name, weight in wanted.items()]
    return Answer(site.key, question, extracted, terms, _weighted(terms))


def weights(metric: str, scope: Scope) -> dict[str, int]:
    """A metric as counted ones with their weights; of a ratio all its parts, each once."""
    found = scope.metrics.by_name[metric]
    if not found.is_ratio:
        return scope.metrics.weights(metric, scope.counted)
    parts = (scope.metrics.weights(term, scope.counted) for term in (*found.plus, *found.over))
    return {name: 1 for part in parts for name in part}


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


def _owner(kind: Kind, metric: str) -> tuple[str, ...]:
    """All metrics of the asset that rejects rows of this one: a rejected server has no booking yet."""
    owners = [fact.metrics for fact in kind.facts] + [table.rejects_of for table in kind.tables]
    for metrics in owners:
        if metric in metrics:
            return tuple(metrics)
    names = ", ".join(sorted({name for metrics in owners for name in metrics}))
    msg = f"nothing is rejected under the metric {metric!r}; there are {names}"
    raise UsageError(msg)


def _weighted(terms: Sequence[Term]) -> dict[str, float | None]:
    """Weighted sums of the terms; unknown where a term is."""
    out: dict[str, float | None] = {}
    for name in terms[0].totals if terms else ():
        known = [value * term.weight for term in terms if (value := term.totals[name]) is not None]
        out[name] = sum(known) if len(known) == len(terms) else None
    return out


@dataclass(frozen=True)
class _Sources:
    """Queries that answer a question about a site."""

    reader: Reader
    kind: Kind
    site: Site
    question: Question

    @property
    def _moment(self) -> dict[str, Any]:
        """Parameters of every query."""
        return {"site": self.site.key, "month": self.question.month, "at": self.question.at}

    def require_built(self, metrics: Collection[str]) -> datetime | None:
        """When the month was read; an error where the question lies outside what was built."""
        key, month, at = self.site.key, self.question.month, self.question.at
        built = set(self.reader.frame(GATES, key, [month])["asset"])
        facts = [(self.kind.asset("facts", fact.name), fact.metrics) for fact in self.kind.facts]
        missing = [name for name, owned in facts if name not in built and (not metrics or set(owned) & set(metrics))]
        if month < self.site.first_month:
            msg = f"site {key} begins in {self.site.first_month:%Y-%m}; {at:%Y-%m-%d} lies before it"
            raise UsageError(msg)
        if missing and (metrics or len(missing) == len(facts)):
            msg = (
                f"site {key}: {', '.join(missing)} of {month:%Y-%m} was never built; usage-assets backfill "
                f"--site {key} --from {month:%Y-%m} --to {month:%Y-%m} builds it"
            )
            raise UsageError(msg)
        extracted = extracted_at(self.reader, self.site, [month], self.kind.tables_of(self.site)).get(month)
        if extracted is not None and at >= extracted:
            msg = (
                f"site {key}: {at:%Y-%m-%d %H:%M} lies after the last dump of {month:%Y-%m}, which saw the "
                f"source until {extracted:%Y-%m-%d %H:%M} UTC; ask for an earlier instant, or build the month again"
            )
            raise UsageError(msg)
        return extracted

    def term(self, metric: str, weight: int) -> Term:
        """A counted metric with its intervals."""
        rows = self.covering(INTERVALS, [metric])
        resources = self.kind.usage_scope(self.site).resources
        # of no interval at all everything is 0; of some whose amount of a resource is null, it is unknown
        totals = {
            name: float(rows[name].sum()) if rows[name].count() or not rows.height else None for name in resources
        }
        steps = self._steps(metric) if self.question.entity is None else None
        return Term(metric, weight, rows.height, totals, steps, self.pieces(rows))

    def covering(self, table: Table, metrics: Sequence[str] | None) -> pl.DataFrame:
        """Rows of a table whose span covers the instant, of these metrics (None: of all), node type and entity."""
        if not self.reader.has(table):
            return table.empty()
        question = self.question
        options = {"metrics": metrics, "node_type": question.node_type, "entity": question.entity}
        given = {name: value for name, value in options.items() if value is not None}
        conditions = ["site = $site AND month = $month", _COVERS, *(_CONDITIONS[name] for name in given)]
        names = ", ".join(f'"{name}"' for name in table.names)
        where = " AND ".join(f"({condition})" for condition in conditions)
        return self.reader.sql(
            f"SELECT {names} FROM {table.qualified} WHERE {where} ORDER BY metric, node_type, entity_id, start_at",
            self._moment | given,
        )

    def _steps(self, metric: str) -> dict[str, float | None]:
        """Value of usage_steps per resource at the instant, node types added up; null in a known gap."""
        if not self.reader.has(USAGE_STEPS):
            return {}
        node_type = self.question.node_type
        found = self.reader.sql(
            f"SELECT resource, sum(value) AS value FROM (SELECT resource, node_type, arg_max(struct_pack(v := value), "
            f"timestamp).v AS value FROM {USAGE_STEPS.qualified} WHERE site = $site AND month = $month "
            "AND metric = $metric AND collector_type = 'current' AND timestamp <= $at "
            "AND node_type = coalesce($node_type, node_type) GROUP BY ALL) GROUP BY resource",
            self._moment | {"metric": metric, "node_type": node_type},
        )
        return dict(found.iter_rows())

    def pieces(self, rows: pl.DataFrame) -> list[Piece]:
        """The first rows with their raw rows; each raw table is asked once per source."""
        shown = rows.head(self.question.limit).to_dicts()
        found: dict[int, list[tuple[str, dict[str, Any]]]] = {n: [] for n in range(len(shown))}
        for source in sorted({row["source"] for row in shown}):
            of_source = [n for n, row in enumerate(shown) if row["source"] == source]
            for origin in self.kind.origins.get(source, (Origin(source, "id", "entity_id"),)):
                wanted = {n: _named(origin, shown[n], found[n]) for n in of_source}
                by_name = self._raw_rows(origin, set().union(*wanted.values()))
                for n, names in wanted.items():
                    found[n] += [(origin.table, row) for name in sorted(names) for row in by_name.get(name, [])]
        return [Piece(_plain(row), found[n]) for n, row in enumerate(shown)]

    def _raw_rows(self, origin: Origin, names: set[str]) -> dict[str, list[dict[str, Any]]]:
        """Raw rows of a table by name, without what is null or the same for all."""
        raw = next((raw for raw in self.kind.raw_tables if raw.name == origin.table), None)
        if raw is None or not names or not self.reader.has(raw.table):
            return {}
        columns = [column.name for column in raw.table.columns if origin.shows(column.name)]
        shown = ", ".join([*(f'"{name}"' for name in columns), *(f"{sql} AS {name}" for name, sql in origin.said)])
        narrowed = "$at IS NOT NULL"  # all rows; DuckDB refuses a parameter that the query does not name
        if origin.living:
            # a row whose creation is not known covers all the time before its end
            narrowed = f"coalesce(created_at <= $at, true) AND coalesce({_ENDED} > $at, true)"
        if origin.latest:
            narrowed = (
                f'start_time <= $at QUALIFY row_number() OVER (PARTITION BY "{origin.column}" '
                f"ORDER BY start_time DESC, id DESC) <= {origin.latest}"
            )
        if origin.polled:
            narrowed = (
                f'"{origin.polled}" = (SELECT max("{origin.polled}") FROM {raw.table.qualified} '
                f'WHERE site = $site AND month = $month AND "{origin.polled}" <= $at)'
            )
        frame = self.reader.sql(
            f"SELECT {origin.value} AS _name, {shown} FROM {raw.table.qualified} WHERE site = $site AND month = $month "
            f"AND {origin.value} IN (SELECT unnest($names::VARCHAR[])) AND {narrowed} ORDER BY ALL",
            self._moment | {"names": sorted(names)},
        )
        out: dict[str, list[dict[str, Any]]] = {}
        for row in frame.iter_rows(named=True):
            out.setdefault(row.pop("_name"), []).append(_known_values(row))
        return out


def _named(origin: Origin, row: Mapping[str, Any], before: Sequence[tuple[str, dict[str, Any]]]) -> set[str]:
    """Names of the raw rows that a row, or the raw rows found before, come from."""
    table, _, column = origin.of.rpartition(".")
    values = [found.get(column) for name, found in before if name == table] if table else [row.get(column)]
    return origin.names({str(value) for value in values if value is not None})


def _known_values(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None and name not in {"site", "month"}}


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row without what is null or the same for all; a reason also in words."""
    out = _known_values(row)
    return out | {"reason_in_words": REASONS[out["reason"]]} if "reason" in out else out
