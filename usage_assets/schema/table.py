"""Table, Column and Rule: the shape of a table of the warehouse, said once."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import polars as pl


class Type(StrEnum):
    """Column types of the warehouse (DuckDB's names). Instants are naive and UTC."""

    TEXT = "VARCHAR"
    INT = "BIGINT"
    FLOAT = "DOUBLE"
    BOOL = "BOOLEAN"
    INSTANT = "TIMESTAMP"
    DATE = "DATE"
    MONEY = "DECIMAL(38,12)"
    AMOUNTS = "MAP(VARCHAR, DECIMAL(38,9))"


_UNITS = {Type.TEXT: "text", Type.BOOL: "true or false", Type.INSTANT: "UTC instant", Type.DATE: "UTC date"}


@dataclass(frozen=True)
class Column:
    """One column: what it means, in which unit, and where it comes from.

    `unit` may be left out only where the type says it (text, flags, instants, dates).
    """

    name: str
    type: Type
    description: str
    unit: str = ""
    source: str = ""
    nullable: bool = True
    personal: bool = False
    """It names a person: a site may have it hashed or dropped before it is stored."""

    def __post_init__(self) -> None:
        if not self.unit:
            object.__setattr__(self, "unit", _UNITS.get(self.type, ""))


def text(name: str, description: str, *, nullable: bool = True, personal: bool = False) -> Column:
    """A column of texts."""
    return Column(name, Type.TEXT, description, nullable=nullable, personal=personal)


def at(name: str, description: str, unit: str = "", *, nullable: bool = True) -> Column:
    """A column of instants."""
    return Column(name, Type.INSTANT, description, unit, nullable=nullable)


def number(name: str, description: str, unit: str = "number", *, nullable: bool = True) -> Column:
    """A column of whole numbers."""
    return Column(name, Type.INT, description, unit, nullable=nullable)


def real(name: str, description: str, unit: str = "ratio", *, nullable: bool = True) -> Column:
    """A column of numbers with a fraction."""
    return Column(name, Type.FLOAT, description, unit, nullable=nullable)


def money(name: str, description: str, unit: str = "currency", *, nullable: bool = True) -> Column:
    """A column of exact amounts of money, 12 decimals."""
    return Column(name, Type.MONEY, description, unit, nullable=nullable)


def flag(name: str, description: str, *, nullable: bool = True) -> Column:
    """A column of true or false."""
    return Column(name, Type.BOOL, description, nullable=nullable)


def polars_schema(columns: Iterable[Column]) -> pl.Schema:
    """Names and polars types of columns, in order."""
    import polars as pl  # noqa: PLC0415 - site files need table declarations, and few commands need polars

    types: dict[Type, pl.DataType] = {
        Type.TEXT: pl.String(),
        Type.INT: pl.Int64(),
        Type.FLOAT: pl.Float64(),
        Type.BOOL: pl.Boolean(),
        Type.INSTANT: pl.Datetime("us"),
        Type.DATE: pl.Date(),
        Type.MONEY: pl.Decimal(38, 12),
        Type.AMOUNTS: pl.List(pl.Struct({"key": pl.String(), "value": pl.Decimal(38, 9)})),
    }
    return pl.Schema({column.name: types[column.type] for column in columns})


@dataclass(frozen=True)
class Rule:
    """A condition that holds for every row: SQL that is true (or null) for a good row."""

    name: str
    condition: str
    description: str


SITE = Column("site", Type.TEXT, "Site key: the stem of its file in sites/", nullable=False)
MONTH = Column("month", Type.DATE, "First day of the UTC month that the row belongs to", nullable=False)


@dataclass(frozen=True)
class Table:
    """A table of the warehouse: `<stage>.<name>`, columns `site` and `month` first.

    `key` names the columns that are unique together, `site` and `month` included by themselves; an empty key means
    that rows may repeat (evidence of what was rejected).
    """

    name: str
    stage: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = field(default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", (SITE, MONTH, *self.columns))
        unknown = set(self.key) - set(self.names)
        if unknown:
            msg = f"table {self.qualified}: key names no column: {sorted(unknown)}"
            raise ValueError(msg)

    @property
    def qualified(self) -> str:
        """`<stage>.<name>`, as SQL names it."""
        return f"{self.stage}.{self.name}"

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(column.name for column in self.columns)

    @property
    def unique_key(self) -> tuple[str, ...]:
        """The whole unique key, `site` and `month` first; empty where rows may repeat."""
        return ("site", "month", *self.key) if self.key else ()

    @property
    def polars_schema(self) -> pl.Schema:
        """Names and polars types, in order."""
        return polars_schema(self.columns)

    @property
    def ddl(self) -> str:
        """CREATE statement. Uniqueness is checked before a write, so no index slows the file."""
        body = ",\n  ".join(
            f'"{column.name}" {column.type}{"" if column.nullable else " NOT NULL"}' for column in self.columns
        )
        return f"CREATE TABLE IF NOT EXISTS {self.qualified} (\n  {body}\n)"

    def empty(self) -> pl.DataFrame:
        """A frame of this shape with no rows."""
        return self.polars_schema.to_frame()
