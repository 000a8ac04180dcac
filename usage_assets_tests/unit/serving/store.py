"""A warehouse of two tables whose rows say which state they are of."""

from collections.abc import Sequence
from datetime import date

import polars as pl

from usage_assets.checks.record import Evaluated, record
from usage_assets.schema import Column, Table, Type
from usage_assets.specs.finding import GOOD, Finding
from usage_assets.warehouse import Warehouse

JAN, FEB = date(2020, 1, 1), date(2020, 2, 1)
BOTH = (JAN, FEB)


def _table(stage: str) -> Table:
    return Table(
        name="things",
        stage=stage,
        description="Things.",
        columns=(Column("state", Type.INT, "State", "states"), Column("n", Type.INT, "Number", "things")),
    )


RAW, FACTS, TIMELINES, REPORTS = (_table(stage) for stage in ("raw", "facts", "timelines", "reports"))
ALL = (RAW, FACTS, TIMELINES, REPORTS)


def write(
    warehouse: Warehouse,
    state: int,
    *,
    site: str = "a",
    months: Sequence[date] = BOTH,
    tables: Sequence[Table] = ALL,
    rows: int = 1,
    checked: bool = True,
    bad: dict[date, Table] | None = None,
) -> None:
    """Write every table's months with this state, as a run does, and have them checked; `bad` months fail a check."""
    run = f"run {state}"
    with warehouse.write("test") as writer:
        for table in tables:
            frame = pl.DataFrame(
                [(site, month, state, n) for month in months for n in range(rows)],
                schema=table.polars_schema,
                orient="row",
            )
            writer.replace(table, frame, site=site, months=months, asset=asset(table), run_id=run)
    if checked:
        found = {
            table: {m: Finding(False, "it does not add up") if (bad or {}).get(m) == table else GOOD for m in months}
            for table in tables
        }
        evaluated = [Evaluated(asset(table), "conservation", "ERROR", found[table]) for table in tables]
        record(warehouse, site, months, run, evaluated, checked=[asset(table) for table in tables])


def asset(table: Table) -> str:
    return f"kind/{table.stage}/{table.name}"
