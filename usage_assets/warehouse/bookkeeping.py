"""Bookkeeping tables of the warehouse, written in the same transaction as the rows they speak of."""

from usage_assets.schema import Rule, Table, at, flag, number, real, text

GATES = Table(
    name="gates",
    stage="serving",
    description="Whether the rows of an asset in a site-month are good; where not, the old rows were kept and the "
    "assets downstream leave the month as it was.",
    key=("asset",),
    columns=(
        text("asset", "Asset key, parts joined by slashes", nullable=False),
        flag("ok", "The month was written and may be used", nullable=False),
        text("reason", "Why the month was not written"),
        text("run_id", "Dagster run that said so"),
    ),
)

DUMPS = Table(
    name="dumps",
    stage="serving",
    description="Every dump of each raw table and site-month: when the source was read and what it gave.",
    key=("table_name", "extracted_at"),
    columns=(
        text("table_name", "Raw table, without its stage", nullable=False),
        at("extracted_at", "Clock of the source's server when it was read", nullable=False),
        number("rows", "Rows of the month after the dump", "rows", nullable=False),
        number("rows_new", "Rows that the month did not hold before", "rows", nullable=False),
        number("rows_changed", "Rows that another version replaced", "rows", nullable=False),
        number("rows_moved", "Rows still at the source that no longer touch the month", "rows", nullable=False),
        number("rows_gone", "Rows kept although the source has lost them", "rows", nullable=False),
        number("zero_dates", "Instants that are no date at the source, stored as null", "values", nullable=False),
        text("note", "What the source lacks (schema, table, columns)"),
        text("run_id", "Dagster run that made the dump; null in files of older releases"),
        number("undated", "Rows held as deleted without a date that end in the month; null before 3", "rows"),
    ),
)

FILES = Table(
    name="files",
    stage="serving",
    description="The source files that a site-month was last read from, and what was found in each: one that is as it "
    "was is not read again.",
    key=("table_name", "file"),
    columns=(
        text("table_name", "Raw table, without its stage", nullable=False),
        text("file", "Path of the file", nullable=False),
        number("size", "Its size", "bytes", nullable=False),
        number("modified_ns", "When it was changed last, by its disk", "ns since 1970", nullable=False),
        text("digest", "Hash of its content; null where it was read while it grows"),
        number("rows", "Rows that were looked at", "rows", nullable=False),
        at("newest_at", "Latest time in it, as it stands there", "local time"),
        number("rows_before", "Rows older than that", "rows", nullable=False),
        number("position", "Number of the last of those rows; null where rows have none", "row"),
        number("bad_times", "Rows whose time is none, left out", "rows", nullable=False),
        number("bad_numbers", "Numbers that are none, stored as null", "values", nullable=False),
        number("cut_texts", "Texts that were too long, cut", "values", nullable=False),
        number("shifted_times", "Times in the hour that the clock left out", "polls", nullable=False),
        at("read_at", "When it was read, by the clock of this machine", nullable=False),
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
        text("asset", "Fact asset that read the source, parts joined by slashes", nullable=False),
        text("source", "Raw table, without its stage", nullable=False),
        number("rows_in", "Rows of the month that are not context", "rows", nullable=False),
        number("rows_kept", "Rows that gave one interval or more", "rows", nullable=False),
        number("rows_rejected", "Rows in facts.rejects", "rows", nullable=False),
        number("rows_outside", "Rows whose own span misses the month", "rows", nullable=False),
        real("hours_in", "Own spans within the month", "entity-hours", nullable=False),
        real("hours_kept", "Spans of the intervals kept", "entity-hours", nullable=False),
        real(
            "hours_clipped",
            "Own spans of kept rows less what was kept of them and what is excluded",
            "entity-hours",
            nullable=False,
        ),
        real(
            "hours_rejected",
            "Own spans of rejected rows, and what is excluded of kept ones",
            "entity-hours",
            nullable=False,
        ),
        text("joins", "Rows before and after each join, as JSON"),
        text("reasons", "Rejected rows by reason, as JSON, where a reject stands for many rows"),
    ),
)

VERSIONS = Table(
    name="versions",
    stage="serving",
    description="How often the rows of an asset in a site-month were written, and by whom last: a site-month whose "
    "version is the same has the same rows.",
    key=("asset",),
    columns=(
        text("asset", "Asset key, parts joined by slashes", nullable=False),
        number("version", "1, 2, ...: one more with every write of the month", "writes", nullable=False),
        number("rows", "Rows of the asset in the month", "rows", nullable=False),
        text("run_id", "Dagster run that wrote them", nullable=False),
        at("written_at", "When, by the clock of this machine", nullable=False),
    ),
)

MADE_OF = Table(
    name="made_of",
    stage="serving",
    description="What the facts of a site-month were made of, of kinds whose months grow: where that is unchanged and "
    "later rows came, these are added to the facts; else the month is built whole.",
    key=("asset",),
    columns=(
        text("asset", "Kind and stage, joined by a slash", nullable=False),
        text("mark", "Rules and raw rows, as JSON: equal marks have equal facts", nullable=False),
        text("run_id", "Dagster run that made them", nullable=False),
    ),
)

CHECKED = Table(
    name="checked",
    stage="serving",
    description="When the checks of an asset's site-month last looked at its rows. Rows written since are unchecked: "
    "their run goes on, or was killed.",
    key=("asset",),
    columns=(
        text("asset", "Asset key, parts joined by slashes", nullable=False),
        text("run_id", "Dagster run that checked them", nullable=False),
        at("checked_at", "When they were read, by the clock of this machine", nullable=False),
    ),
)

FAILED_CHECKS = Table(
    name="failed_checks",
    stage="serving",
    description="What the last evaluation of each check found wrong; a check that passes for a site-month has no row.",
    key=("asset", "check_name"),
    columns=(
        text("asset", "Asset key, parts joined by slashes", nullable=False),
        text("check_name", "Check of the asset", nullable=False),
        text("severity", "ERROR, or WARN for a remark", nullable=False),
        text("text", "What it found", nullable=False),
        text("run_id", "Dagster run that evaluated it", nullable=False),
        at("evaluated_at", "When, by the clock of this machine", nullable=False),
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
        text("stage", "First stage held back; those after it are too", nullable=False),
        number("since_generation", "First generation that held it back", "generations", nullable=False),
        text("reason", "Which checks of which assets, and what they found", nullable=False),
    ),
)
