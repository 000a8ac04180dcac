"""Values of record files, each read from what CSV, JSON, YAML or Parquet hold; ValueError says what is wrong.

Numbers never pass through a float: text is read digit by digit, and what a file holds as a float is taken by its
shortest decimal text.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Any

import polars as pl

PLACES = 12
"""Decimal places of money."""
QUANTITY_PLACES = 9
"""Decimal places of quantities."""
_DIGITS = 38
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,9})?", re.ASCII)
_WHOLE = re.compile(r"[-+]?\d+", re.ASCII)
_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_EXACT = Context(prec=400, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True)
class Field:
    """A column of a record file: how a value is read, the type of its column, and whether a row must have it."""

    read: Callable[[Any], Any]
    dtype: Any
    required: bool = False


def text(*, required: bool = False) -> Field:
    """Opaque text, nothing trimmed; a whole number is its digits."""
    return Field(read_text, pl.String, required)


def money(*, required: bool = False) -> Field:
    """DECIMAL(38,12), exact."""
    return Field(lambda value: read_decimal(value, PLACES), pl.Decimal(_DIGITS, PLACES), required)


def quantity(*, required: bool = False) -> Field:
    """DECIMAL(38,9), exact."""
    return Field(lambda value: read_decimal(value, QUANTITY_PLACES), pl.Decimal(_DIGITS, QUANTITY_PLACES), required)


def whole(*, required: bool = False) -> Field:
    """BIGINT."""
    return Field(read_whole, pl.Int64, required)


def flag(*, required: bool = False) -> Field:
    """BOOLEAN: true or false, yes or no, 1 or 0."""
    return Field(read_flag, pl.Boolean, required)


def instant(*, required: bool = False) -> Field:
    """TIMESTAMP in UTC: ISO 8601, a date is its midnight, a time without an offset is UTC."""
    return Field(read_instant, pl.Datetime("us"), required)


def decimals(*, required: bool = False) -> Field:
    """A list of DECIMAL(38,12): a list, or text such as `0.5 0.8 1` or `[0.5, 0.8, 1]`."""
    return Field(read_decimals, pl.List(pl.Decimal(_DIGITS, PLACES)), required)


def texts(*, required: bool = False) -> Field:
    """Text, or a list of texts, which becomes its JSON text without blanks: `["a","b"]`."""
    return Field(read_texts, pl.String, required)


def read_text(value: Any) -> str:
    """The value as text."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    msg = f"{_shown(value)} is no text; put it in quotes"
    raise ValueError(msg)


def read_texts(value: Any) -> str:
    """The text, or the JSON text of a list of texts."""
    return json_text([read_text(part) for part in value]) if isinstance(value, list) else read_text(value)


def json_text(parts: list[str]) -> str:
    r"""The JSON text of a list of texts, as DuckDB's to_json writes it: no blanks, no \u escapes of letters."""
    return json.dumps(parts, ensure_ascii=False, separators=(",", ":"))


def read_decimal(value: Any, places: int) -> Decimal:
    """The number with so many decimal places; a float is rounded half even to them, text with more is refused."""
    found = _number(value)
    if not found.is_finite() or found.adjusted() >= _DIGITS - places:
        msg = f"{_shown(value)} is too large; at most {_DIGITS - places} digits before the decimal point"
        raise ValueError(msg)
    try:
        out = found.quantize(Decimal(1).scaleb(-places), context=_EXACT)
    except InvalidOperation:  # a million digits
        msg = f"{_shown(value)} is no decimal number of sane length"
        raise ValueError(msg) from None
    if out != found and (isinstance(value, str) or not out):
        msg = f"{_shown(value)} has more than {places} decimal places"
        raise ValueError(msg)
    if out.adjusted() >= _DIGITS - places:
        msg = f"{_shown(value)} is too large; at most {_DIGITS - places} digits before the decimal point"
        raise ValueError(msg)
    return out


def read_whole(value: Any) -> int:
    """The whole number, of 64 bits."""
    if isinstance(value, str) and _WHOLE.fullmatch(value) and len(value) <= 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
        msg = f"{_shown(value)} is no whole number"
        raise ValueError(msg)
    return value


def read_flag(value: Any) -> bool:
    """Whether it is true."""
    found = value if isinstance(value, bool) else _FLAGS.get(str(value).lower())
    if found is None:
        msg = f"{_shown(value)} is neither true nor false"
        raise ValueError(msg)
    return found


def read_instant(value: Any) -> datetime:
    """The instant in naive UTC."""
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if isinstance(value, date) and not isinstance(value, datetime):
            value = datetime.combine(value, datetime.min.time())
        if isinstance(value, datetime):
            return value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        pass
    msg = f"{_shown(value)} is no date or time; write 2026-01-31 or 2026-01-31T12:00:00Z"
    raise ValueError(msg)


def read_decimals(value: Any) -> list[Decimal]:
    """The numbers of a list, or of text that lists them."""
    if isinstance(value, str):
        value = value.strip().removeprefix("[").removesuffix("]").replace(",", " ").replace(";", " ").split()
    if not isinstance(value, list):
        msg = f"{_shown(value)} is no list of numbers; write [0.5, 1]"
        raise ValueError(msg)
    return [read_decimal(part, PLACES) for part in value]


def _number(value: Any) -> Decimal:
    """The value's decimal, however many places it has."""
    if isinstance(value, Decimal):
        return value
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return Decimal(value)
    msg = f"{_shown(value)} is no number; write decimal digits, such as 1.5"
    raise ValueError(msg)


def _shown(value: Any) -> str:
    shown = repr(value) if isinstance(value, str) else str(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
