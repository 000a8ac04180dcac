"""SQL of exact numbers: decimals as whole numbers of 128 bits, rounding half even, and small frames as tables.

An overflow of 128 bits is an error of DuckDB, never a wrong number; TRY makes it null.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import duckdb
import polars as pl

UNIT = 10**12
"""Units of money in one: amounts are whole numbers of 1e-12."""
LARGEST = 2**126
"""Whole numbers below it leave room to add two of them."""
LARGEST_COST = 10**37
"""Units below it, and two of them, have the 26 digits that money has before its point."""


def name(column: str) -> str:
    """A column's name, quoted."""
    return '"' + column.replace('"', '""') + '"'


def scaled(value: str, places: int) -> str:
    """HUGEINT: the decimal times 10^places, its further places rounded."""
    one = 10**places
    value = f"CAST({value} AS DECIMAL(38,{places}))"
    part = f"CAST(CAST({value} - floor({value}) AS DECIMAL({places + 1},{places})) * {one} AS HUGEINT)"
    return f"(CAST(floor({value}) AS HUGEINT) * {one}::HUGEINT + {part})"


def scaled_float(value: str, places: int) -> str:
    """HUGEINT: the shortest decimal text of a DOUBLE times 10^places, its further places rounded.

    Below 10^9 a float that is a number of millionths is told without its text, which takes ten times as long: texts of
    15 digits are those of different floats, so the shortest one is that number.
    """
    millionths = f"round({value} * 1e6)"
    short = f"abs({value}) < 1e9 AND {millionths} / 1e6 = {value}"
    text = scaled(f"CAST({value} AS VARCHAR)", places)
    # DuckDB reads the text 5e-11 as 1e-9, though it is nearer to 0
    return (
        f"CASE WHEN {short} THEN CAST({millionths} AS HUGEINT) * {10 ** (places - 6)} "
        f"WHEN abs({value}) < 5e-{places + 1} THEN 0::HUGEINT ELSE {text} END"
    )


def unscaled(value: str, places: int) -> str:
    """DECIMAL(38,places): the whole number divided by 10^places."""
    one = f"{10**places}::HUGEINT"
    part = f"CAST({value} % {one} AS DECIMAL({places + 1},0)) * CAST(1e-{places} AS DECIMAL({places + 1},{places}))"
    return f"CAST(CAST({value} // {one} AS DECIMAL(38,{places})) + {part} AS DECIMAL(38,{places}))"


def half_even(dividend: str, divisor: str) -> str:
    """HUGEINT: the quotient of two whole numbers from 0 on, rounded half even."""
    rest, quotient = f"({dividend} % {divisor})", f"({dividend} // {divisor})"
    up = f"{rest} > {divisor} - {rest} OR ({rest} = {divisor} - {rest} AND {quotient} % 2 = 1)"
    return f"({quotient} + CASE WHEN {up} THEN 1 ELSE 0 END)"


def any_of(conditions: Iterable[str]) -> str:
    """Whether one of the conditions is true; a null one is not."""
    return "(" + " OR ".join(["false", *(f"coalesce({condition}, false)" for condition in conditions)]) + ")"


def keep(con: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, str], rows: Sequence[Sequence[Any]]) -> None:
    """Put rows into a temporary table of columns and DuckDB types, in place of one of that name.

    Whole numbers of HUGEINT columns go as text: a frame has no such type.
    """
    types: dict[str, Any] = {
        "VARCHAR": pl.String, "HUGEINT": pl.String, "INTEGER": pl.Int32, "BOOLEAN": pl.Boolean, "DATE": pl.Date,
        "TIMESTAMP": pl.Datetime("us"), "DECIMAL(38,12)": pl.Decimal(38, 12),
    }  # fmt: skip
    cells = list(zip(*rows, strict=True)) or [()] * len(columns)
    made = {}
    for (column, kind), values in zip(columns.items(), cells, strict=True):
        texts = kind == "HUGEINT"
        made[column] = pl.Series([None if v is None else str(v) for v in values] if texts else values,
                                 dtype=types[kind])  # fmt: skip
    frame = f"{table}_frame"
    con.register(frame, pl.DataFrame(made))
    wanted = ", ".join(f"CAST({name(column)} AS {kind}) AS {name(column)}" for column, kind in columns.items())
    con.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT {wanted} FROM {frame}").fetchall()
    con.unregister(frame)
