"""Filters of reservations (`["==", "$node_type", "x"]`) read from their text and evaluated over hosts.

A name is a column of computehosts or a capability; both are held as text here. `and` and `or` may nest. A leaf is a
comparison with a text or number: numbers are compared as numbers where both sides are one. A host without that name
does not match, whatever the comparison. An empty filter asks for any host.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce

import polars as pl

HOST_COLUMNS = (
    *("id", "vcpus", "memory_mb", "local_gb", "hypervisor_hostname", "hypervisor_type"),
    *("service_name", "availability_zone", "reservable", "disabled"),
)
"""Columns of computehosts that a filter may name."""
_UNREAD = frozenset({"cpu_info", "hypervisor_version", "status", "trust_id"})
"""Columns of the source that no raw table holds: what names them can't be evaluated."""
_COMPARISONS: dict[str, Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    "==": pl.Expr.eq,
    "!=": pl.Expr.ne,
    "<": pl.Expr.lt,
    "<=": pl.Expr.le,
    ">": pl.Expr.gt,
    ">=": pl.Expr.ge,
}
_JOINERS: dict[str, Callable[[pl.Expr, pl.Expr], pl.Expr]] = {"and": pl.Expr.and_, "or": pl.Expr.or_}


class UnreadableFilterError(ValueError):
    """A filter that follows no known form."""


@dataclass(frozen=True)
class Leaf:
    """One comparison: the name without its `$`, the operator, and the values compared with (several for `in`)."""

    name: str
    operator: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Filter:
    """A filter that was read: a leaf, or several joined by `and` or `or`; no part at all matches every host."""

    joiner: str = "and"
    parts: tuple["Filter | Leaf", ...] = ()

    @property
    def leaves(self) -> Iterator[Leaf]:
        """Every comparison in it."""
        for part in self.parts:
            if isinstance(part, Leaf):
                yield part
            else:
                yield from part.leaves

    def values_of(self, name: str) -> set[str]:
        """The values that a name may have by its comparisons for equality."""
        equal = (leaf for leaf in self.leaves if leaf.name == name and leaf.operator in {"==", "in"})
        return {value for leaf in equal for value in leaf.values}

    def matches(self, have: Mapping[str, pl.Expr]) -> pl.Expr:
        """True for hosts that match; `have` gives the text of a host per name."""
        each = [_leaf(part, have) if isinstance(part, Leaf) else part.matches(have) for part in self.parts]
        return reduce(_JOINERS[self.joiner], each) if each else pl.lit(value=True)


def read_filter(text: str | None) -> Filter:
    """The filter of a text; UnreadableFilterError where it has no known form."""
    if text is None or not text.strip():
        return Filter()
    try:
        data = json.loads(text)
    except ValueError as error:
        raise UnreadableFilterError(text) from error
    if data in ([], "", None):
        return Filter()
    part = _read(data)
    return Filter(parts=(part,)) if isinstance(part, Leaf) else part


def _read(data: object) -> "Filter | Leaf":
    if not isinstance(data, list) or len(data) < 2 or not isinstance(data[0], str):
        raise UnreadableFilterError(str(data))
    head, *rest = data
    operator = head.strip().lower()
    if operator in _JOINERS:
        return Filter(operator, tuple(_read(part) for part in rest))
    name, *values = rest
    if operator == "in" and len(values) == 1 and isinstance(values[0], list):
        values = values[0]
    known = bool(values) if operator == "in" else operator in _COMPARISONS and len(values) == 1
    if not known or not isinstance(name, str) or not name.startswith("$") or name[1:] in _UNREAD:
        raise UnreadableFilterError(str(data))
    return Leaf(name[1:], operator, tuple(map(_text, values)))


def _text(value: object) -> str:
    if isinstance(value, (str, int, float)):
        return str(value)
    raise UnreadableFilterError(str(value))


def _leaf(leaf: Leaf, have: Mapping[str, pl.Expr]) -> pl.Expr:
    column = have.get(leaf.name)
    if column is None:
        return pl.lit(value=False)
    operator = "==" if leaf.operator == "in" else leaf.operator
    return reduce(pl.Expr.or_, [_compare(column, operator, value) for value in leaf.values])


def _compare(column: pl.Expr, operator: str, value: str) -> pl.Expr:
    compare = _COMPARISONS[operator]
    as_text = compare(column, pl.lit(value))
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        return as_text.fill_null(value=False)
    # a text on the host's side has no number: there both are compared as texts
    return pl.coalesce(compare(column.cast(pl.Float64, strict=False), pl.lit(number)), as_text).fill_null(value=False)
