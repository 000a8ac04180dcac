"""RawTable: a source table, the rule of which of its rows a month holds, and its copy in the warehouse."""

from dataclasses import dataclass, field, replace

from usage_assets.schema import Column, Table, Type

HELD_AS_DELETED = Column(
    "deleted",
    Type.BOOL,
    "Whether the service holds the row as deleted, dated or not; null in months read before this was read along",
)
IS_CONTEXT = Column(
    "is_context", Type.BOOL, "Held only to size and type a machine where its own history has a gap", nullable=False
)
GONE_AT = Column("gone_at", Type.INSTANT, "The dump that first missed this row at the source; null while it is there")
EXTRACTED_AT = Column(
    "extracted_at", Type.INSTANT, "The last dump that saw this row (the source's clock)", nullable=False
)
SEEN_FROM = Column(
    "seen_from", Type.INSTANT, "The first dump that saw this version of the row (the source's clock)", nullable=False
)
SEEN_TO = Column("seen_to", Type.INSTANT, "The dump that replaced this version, or no longer held it", nullable=False)


@dataclass(frozen=True)
class Life:
    """A row touches a month when it was created before its end and has not ended before its start.

    `born` is created_at, else the earliest of `else_born`; the end is the least of `ends`. With `ended_when`, the
    single column of `ends` is an end only for rows whose status is one of the values given. A row that its service
    holds as deleted without a deleted_at was deleted at its last change; where that is not known either, it touches
    the month of its birth only.
    """

    ends: tuple[str, ...]
    else_born: tuple[str, ...] = ("updated_at", "deleted_at")
    ended_when: tuple[str, tuple[str, ...]] | None = None

    @property
    def columns(self) -> set[str]:
        """The columns that a row's life is read from, those that a table may lack included."""
        status = {self.ended_when[0]} if self.ended_when else set()
        return {"created_at", "updated_at", "deleted_at", HELD_AS_DELETED.name, *self.ends, *self.else_born, *status}


@dataclass(frozen=True)
class ServerLife(Life):
    """The life of a server, of which `state` says more.

    One whose state is `gone` is deleted, marked or not. One that may be `restored` has deleted_at since that was asked
    for, and lives on. Where deleted_at is lacking, terminated_at or the first successful step `terminated_by` (raw
    table of the steps, raw table of the requests they belong to, name of the step) says when it was deleted.
    """

    terminated_by: tuple[str, str, str] = field(kw_only=True)
    state: str = field(kw_only=True)
    """Column of the state."""
    gone: str = field(kw_only=True)
    restored: str = field(kw_only=True)

    @property
    def columns(self) -> set[str]:
        """The same, and the state."""
        return {*super().columns, self.state}


@dataclass(frozen=True)
class Machine(Life):
    """A row with a life; also held as context: per machine the last that ended before and the first that begins after.

    `identity` is the column that names the machine. `named_by` = (raw table, column): rows that such a row of the
    month names by id are held too.
    """

    identity: str = field(kw_only=True)
    named_by: tuple[str, str] | None = None

    @property
    def columns(self) -> set[str]:
        """The same, and the identity."""
        return {*super().columns, self.identity}


@dataclass(frozen=True)
class Satellite:
    """A row is held where the row it belongs to is; where that is missing at the source, by its own life.

    `path` leads there: (column here, raw table there, column there) per step, the first column being this table's.
    Its own life is that of its created_at and deleted_at.
    """

    path: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Whole:
    """Held whole in every month."""


@dataclass(frozen=True)
class Dated:
    """Held in the month that its date lies in."""

    column: str


MonthRule = Life | Machine | Satellite | Whole | Dated


@dataclass(frozen=True)
class RawTable:
    """A source table and its copy `raw.<database>_<source>`.

    `key` is the primary key at the source. `alternatives` are older names of the table. `renamed` maps a column to the
    name that an older release has for it. `archived` tables have a `shadow_<source>` beside them. Rows with a true
    `skip_flag` are not held. `extends` names a raw table whose rows these stand beside: satellites of that table may
    belong to rows of this one. An `optional` table is not in every release of its service. Of a table `by_columns` only
    the columns named here are granted: its others are nobody's business.
    """

    database: str
    source: str
    description: str
    columns: tuple[Column, ...]
    months: MonthRule
    key: tuple[str, ...] = ("id",)
    alternatives: tuple[str, ...] = ()
    renamed: dict[str, str] = field(default_factory=dict)
    archived: bool = False
    skip_flag: str | None = None
    extends: str | None = None
    optional: bool = False
    by_columns: bool = False

    @property
    def name(self) -> str:
        """Name of the copy, without its stage."""
        return f"{self.database}_{self.source}"

    @property
    def table(self) -> Table:
        """The declaration of the copy."""
        own = tuple(
            replace(
                c,
                source=c.source or f"{self.database}.{self.source}.{c.name}",
                nullable=c.nullable and c.name not in self.key,
            )
            for c in self.columns
        )
        return Table(
            name=self.name,
            stage="raw",
            description=self.description,
            key=self.key,
            columns=(*own, IS_CONTEXT, GONE_AT, EXTRACTED_AT, SEEN_FROM),
        )

    @property
    def versions(self) -> Table:
        """Where versions of its rows go that a dump replaced; made when there is a first one."""
        table = self.table
        return Table(
            name=self.name,
            stage="evidence",
            description=f"Versions of rows of {table.qualified} that a later dump replaced.",
            columns=(*table.columns[2:], SEEN_TO),
        )

    @property
    def instants(self) -> tuple[str, ...]:
        """Columns that hold instants or dates at the source."""
        return tuple(c.name for c in self.columns if c.type in {Type.INSTANT, Type.DATE})
