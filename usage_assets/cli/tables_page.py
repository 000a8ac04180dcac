"""docs/tables.md, made from the declarations: `python -m usage_assets.cli.tables_page > docs/tables.md`."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from usage_assets.schema.table import Column, Table

if TYPE_CHECKING:
    from usage_assets.specs.raw_table import RawTable

_HEAD = """# Tables

Made from the declarations by `python -m usage_assets.cli.tables_page > docs/tables.md`; do not edit by hand.

The warehouse is one DuckDB file, `$USAGE_DATA/warehouse.duckdb`. A table's schema is the stage that makes it. Every
table begins with `site` (the stem of the site's file) and `month` (first day of the UTC month). Instants are UTC
without a zone, intervals half-open: from `start_at` up to, and not including, `end_at`. A null is something unknown, a
zero is measured. What the numbers mean is in methodology.md.
"""
_STAGES = {
    "raw": "Copies of source rows, by site and month, with every column that is used. They are evidence: a row that "
    "the source has lost is kept and marked. A version of a row that a later dump replaced stands in "
    "`evidence.<table>`: the columns of `raw.<table>` and `seen_to`, the dump that replaced it. Such a table is there "
    "as soon as it has a row, and only ever grows; what was stored at an instant are the rows of both with "
    "seen_from <= instant < seen_to (`usage-assets as-of`).",
    "facts": "Intervals: who held what, from when to when, and what does not count and why. View `facts.timeline` "
    "(site, timestamp, source, entity_id, quantity_type, state) has each interval as two events: state start or end, "
    "quantity_type the metric. Starts less ends up to an instant count the intervals that cover it.",
    "timelines": "Values over time, made from facts alone. Views `timelines.node_hours` and `timelines.gpu_hours` "
    "(site, month, timestamp, metric, nodes or gpus, hours, complete) answer the usual questions: one resource, as "
    "counted here, node types added up; where a node type is unknown the known ones are added and `complete` is false. "
    "View `timelines.usage_site` (site, timestamp, collector_type, count_type, value) has nodes by collector, null "
    "where a node type is unknown; view `timelines.leadtime_site` (site, timestamp, leadtime_type, value) has the "
    "median of the node types.",
    "reports": "What people read: comparisons, audits.",
    "serving": "Bookkeeping, written in the same transaction as the rows that it speaks of. Table "
    "`serving.schema_version` (version, release, applied_at) has one row per upgrade of the file.",
}


def markdown() -> str:
    """The whole page."""
    found = tables()
    contents = [(f"[{t.qualified}](#{t.qualified.replace('.', '')})", t.description) for t, _ in found]
    parts = [_HEAD, _rows(("table", "rows are"), contents)]
    for stage, text in _STAGES.items():
        if own := [part for table, rule in found if table.stage == stage for part in _table(table, rule)]:
            parts += [f"## {stage}", text, *own]
    return "\n\n".join(part.strip() for part in [*parts, *_metrics()]) + "\n"


def tables() -> list[tuple[Table, str]]:
    """Every table of the warehouse; of a raw table also which rows a month of it holds."""
    from usage_assets.facts import tables as facts
    from usage_assets.kinds import KINDS
    from usage_assets.reports import tables as reports
    from usage_assets.timelines import tables as timelines
    from usage_assets.warehouse import bookkeeping

    raw = [(raw.table, _month_rule(raw)) for kind in KINDS.values() for raw in kind.raw_tables]
    shared = [each for module in (facts, timelines, reports, bookkeeping) for each in vars(module).values()]
    own = [asset.table for kind in KINDS.values() for asset in kind.tables]
    declared = {table.qualified: table for table in [*shared, *own] if isinstance(table, Table)}
    return [*raw, *((table, "") for table in declared.values())]


def _month_rule(raw: "RawTable") -> str:
    """The rows that a month of a raw table holds, in words."""
    from usage_assets.specs import raw_table

    match raw.months:
        case raw_table.Whole():
            return "every row there is"
        case raw_table.Dated(column):
            return f"the rows whose `{column}` lies in it"
        case raw_table.Satellite(path):
            owner = path[-1][1]
            return (
                f"the rows that belong, through `{path[0][0]}`, to a row of `raw.{owner}` that it holds; where the "
                "source has lost that row, those whose own created_at to deleted_at touches it"
            )
        case raw_table.Life() as life:
            ends = life.ends[0] if len(life.ends) == 1 else f"the earlier of {' and '.join(life.ends)}"
            if life.ended_when is not None:
                column, values = life.ended_when
                ends += f" (an end only where {column} is {', '.join(values)})"
            text = f"the rows whose life, from created_at to {ends}, touches it"
            if isinstance(life, raw_table.Machine):
                text += (
                    f"; and, marked `is_context`, per {life.identity} the last that ended before and the first that "
                    "began after"
                )
                if life.named_by is not None:
                    text += f", and those that `raw.{life.named_by[0]}` names"
            return text
    msg = f"{raw.name}: {raw.months!r} has no words here; add them"
    raise TypeError(msg)


def _table(table: Table, rule: str) -> Iterator[str]:
    yield from (f"### {table.qualified}", table.description)
    if rule:
        yield f"A month holds {rule}."
    key = ", ".join(f"`{name}`" for name in table.unique_key)
    yield f"Unique: {key}." if key else "Rows may repeat: there is no unique key."
    yield _rows(("column", "type", "unit", "null", "meaning", "source"), map(_column, table.columns))
    if table.rules:
        yield "\n".join(f"- {rule.name}: `{rule.condition}`. {rule.description}." for rule in table.rules)


def _column(column: Column) -> tuple[str, ...]:
    source = f"`{column.source}`" if column.source else ""
    null = "yes" if column.nullable else "no"
    return (f"`{column.name}`", column.type.lower(), column.unit, null, column.description, source)


def _metrics() -> Iterator[str]:
    from usage_assets.kinds import kind_metrics
    from usage_assets.specs.metric import Metric
    from usage_assets.timelines.metrics import metrics_with

    def formula(metric: Metric) -> str:
        if metric.is_counted:
            return "counted from facts"
        if metric.of_time:
            return "when the site was seen"
        text = " + ".join(metric.plus) + "".join(f" - {name}" for name in metric.minus)
        return f"{text} / {' or '.join(metric.over)}" if metric.is_ratio else text

    every = metrics_with(kind_metrics()).by_name.values()
    yield "## Metrics"
    yield "The values of column `metric` in the timelines. A derived metric is null where one of its terms is."
    yield _rows(("metric", "meaning", "made of"), ((f"`{m.name}`", m.description, formula(m)) for m in every))


def _rows(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return "\n".join([line(header), line("---" for _ in header), *map(line, rows)])


if __name__ == "__main__":
    sys.stdout.write(markdown())
