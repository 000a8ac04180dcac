"""Bookkeeping tables of the warehouse, written in the same transaction as the rows they speak of."""

from usage_assets.schema import Column, Table, Type

GATES = Table(
    name="gates",
    stage="serving",
    description="Whether the rows of an asset in a site-month are good; where not, the old rows were kept and the "
    "assets downstream leave the month as it was.",
    key=("asset",),
    columns=(
        Column("asset", Type.TEXT, "Asset key, parts joined by slashes", nullable=False),
        Column("ok", Type.BOOL, "The month was written and may be used", nullable=False),
        Column("reason", Type.TEXT, "Why the month was not written"),
        Column("run_id", Type.TEXT, "Dagster run that said so"),
    ),
)

DUMPS = Table(
    name="dumps",
    stage="serving",
    description="The last dump of each raw table and site-month: when the source was read and what it gave.",
    key=("table_name",),
    columns=(
        Column("table_name", Type.TEXT, "Raw table, without its stage", nullable=False),
        Column("extracted_at", Type.INSTANT, "Clock of the source's server when it was read", nullable=False),
        Column("rows", Type.INT, "Rows of the month after the dump", "rows", nullable=False),
        Column("rows_new", Type.INT, "Rows that the month did not hold before", "rows", nullable=False),
        Column("rows_changed", Type.INT, "Rows that another version replaced", "rows", nullable=False),
        Column(
            "rows_moved", Type.INT, "Rows still at the source that no longer touch the month", "rows", nullable=False
        ),
        Column("rows_gone", Type.INT, "Rows kept although the source has lost them", "rows", nullable=False),
        Column(
            "zero_dates", Type.INT, "Instants that are no date at the source, stored as null", "values", nullable=False
        ),
        Column("note", Type.TEXT, "What the source lacks (schema, table, columns)"),
    ),
)

ACCOUNTS = Table(
    name="accounts",
    stage="serving",
    description="Conservation of facts: where the rows and hours of each source went. Hours are entity-hours, "
    "not resource-hours; hours_in = hours_kept + hours_clipped + hours_rejected. Of asset active, in is what occupied "
    "kept, and clipped are the hours stopped, also of servers that were off all month (outside).",
    key=("asset", "source"),
    columns=(
        Column("asset", Type.TEXT, "Fact asset that read the source, parts joined by slashes", nullable=False),
        Column("source", Type.TEXT, "Raw table, without its stage", nullable=False),
        Column("rows_in", Type.INT, "Rows of the month that are not context", "rows", nullable=False),
        Column("rows_kept", Type.INT, "Rows that gave one interval or more", "rows", nullable=False),
        Column("rows_rejected", Type.INT, "Rows in facts.rejects", "rows", nullable=False),
        Column("rows_outside", Type.INT, "Rows whose own span misses the month", "rows", nullable=False),
        Column("hours_in", Type.FLOAT, "Own spans within the month", "entity-hours", nullable=False),
        Column("hours_kept", Type.FLOAT, "Spans of the intervals kept", "entity-hours", nullable=False),
        Column(
            "hours_clipped",
            Type.FLOAT,
            "Own spans of kept rows less what was kept of them and what is excluded",
            "entity-hours",
            nullable=False,
        ),
        Column(
            "hours_rejected",
            Type.FLOAT,
            "Own spans of rejected rows, and what is excluded of kept ones",
            "entity-hours",
            nullable=False,
        ),
        Column("joins", Type.TEXT, "Rows before and after each join, as JSON"),
    ),
)
