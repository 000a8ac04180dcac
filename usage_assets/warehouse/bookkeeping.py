"""Bookkeeping tables of the warehouse, written in the same transaction as the rows they speak of."""

from usage_assets.schema import Column, Rule, Table, Type

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
    description="Every dump of each raw table and site-month: when the source was read and what it gave.",
    key=("table_name", "extracted_at"),
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
        Column("run_id", Type.TEXT, "Dagster run that made the dump; null in files of older releases"),
        Column("undated", Type.INT, "Rows held as deleted without a date that end in the month; null before 3", "rows"),
    ),
)

FILES = Table(
    name="files",
    stage="serving",
    description="The source files that a site-month was last read from, and what was found in each: one that is as it "
    "was is not read again.",
    key=("table_name", "file"),
    columns=(
        Column("table_name", Type.TEXT, "Raw table, without its stage", nullable=False),
        Column("file", Type.TEXT, "Path of the file", nullable=False),
        Column("size", Type.INT, "Its size", "bytes", nullable=False),
        Column("modified_ns", Type.INT, "When it was changed last, by its disk", "ns since 1970", nullable=False),
        Column("digest", Type.TEXT, "Hash of its content; null where it was read while it grows"),
        Column("rows", Type.INT, "Rows that were looked at", "rows", nullable=False),
        Column("newest_at", Type.INSTANT, "Latest time in it, as it stands there", "local time"),
        Column("rows_before", Type.INT, "Rows older than that", "rows", nullable=False),
        Column("position", Type.INT, "Number of the last of those rows; null where rows have none", "row"),
        Column("bad_times", Type.INT, "Rows whose time is none, left out", "rows", nullable=False),
        Column("bad_numbers", Type.INT, "Numbers that are none, stored as null", "values", nullable=False),
        Column("cut_texts", Type.INT, "Texts that were too long, cut", "values", nullable=False),
        Column("shifted_times", Type.INT, "Times in the hour that the clock left out", "polls", nullable=False),
        Column("read_at", Type.INSTANT, "When it was read, by the clock of this machine", nullable=False),
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
        Column("reasons", Type.TEXT, "Rejected rows by reason, as JSON, where a reject stands for many rows"),
    ),
)

VERSIONS = Table(
    name="versions",
    stage="serving",
    description="How often the rows of an asset in a site-month were written, and by whom last: a site-month whose "
    "version is the same has the same rows.",
    key=("asset",),
    columns=(
        Column("asset", Type.TEXT, "Asset key, parts joined by slashes", nullable=False),
        Column("version", Type.INT, "1, 2, ...: one more with every write of the month", "writes", nullable=False),
        Column("rows", Type.INT, "Rows of the asset in the month", "rows", nullable=False),
        Column("run_id", Type.TEXT, "Dagster run that wrote them", nullable=False),
        Column("written_at", Type.INSTANT, "When, by the clock of this machine", nullable=False),
    ),
)

MADE_OF = Table(
    name="made_of",
    stage="serving",
    description="What the facts of a site-month were made of, of kinds whose months grow: where that is unchanged and "
    "later rows came, these are added to the facts; else the month is built whole.",
    key=("asset",),
    columns=(
        Column("asset", Type.TEXT, "Kind and stage, joined by a slash", nullable=False),
        Column("mark", Type.TEXT, "Rules and raw rows, as JSON: equal marks have equal facts", nullable=False),
        Column("run_id", Type.TEXT, "Dagster run that made them", nullable=False),
    ),
)

CHECKED = Table(
    name="checked",
    stage="serving",
    description="When the checks of an asset's site-month last looked at its rows. Rows written since are unchecked: "
    "their run goes on, or was killed.",
    key=("asset",),
    columns=(
        Column("asset", Type.TEXT, "Asset key, parts joined by slashes", nullable=False),
        Column("run_id", Type.TEXT, "Dagster run that checked them", nullable=False),
        Column("checked_at", Type.INSTANT, "When they were read, by the clock of this machine", nullable=False),
    ),
)

FAILED_CHECKS = Table(
    name="failed_checks",
    stage="serving",
    description="What the last evaluation of each check found wrong; a check that passes for a site-month has no row.",
    key=("asset", "check_name"),
    columns=(
        Column("asset", Type.TEXT, "Asset key, parts joined by slashes", nullable=False),
        Column("check_name", Type.TEXT, "Check of the asset", nullable=False),
        Column("severity", Type.TEXT, "ERROR, or WARN for a remark", nullable=False),
        Column("text", Type.TEXT, "What it found", nullable=False),
        Column("run_id", Type.TEXT, "Dagster run that evaluated it", nullable=False),
        Column("evaluated_at", Type.INSTANT, "When, by the clock of this machine", nullable=False),
    ),
    rules=(Rule("severity is known", "severity IN ('ERROR', 'WARN')", "A check is an error or a remark"),),
)

HELD_BACK = Table(
    name="held_back",
    stage="serving",
    description="Only in published snapshots: site-months of which the snapshot holds the rows of an earlier "
    "generation, from a stage on, because a check of severity ERROR fails or has not looked at the new rows yet. Where "
    "no earlier generation had the site-month, the snapshot has none of it.",
    key=("stage",),
    columns=(
        Column("stage", Type.TEXT, "First stage held back; those after it are too", nullable=False),
        Column("since_generation", Type.INT, "First generation that held it back", "generations", nullable=False),
        Column("reason", Type.TEXT, "Which checks of which assets, and what they found", nullable=False),
    ),
)
