"""Declarations of assets: a table or the rows of one that an asset owns, what it is made of, and its checks."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import polars as pl

from usage_assets.schema import Table
from usage_assets.specs.check import Check
from usage_assets.warehouse import Query, Reader, Writer

Extracted = Mapping[date, datetime]
"""When each month was read at its source."""


@dataclass(frozen=True)
class Built:
    """Rows of an asset and, where it rejects rows, those and the accounts.

    `files` are pages that belong to the rows of a month, by their names below the folder of plots: they are written
    once the rows are, and not at all where the month keeps its old ones.
    """

    rows: pl.DataFrame
    rejects: pl.DataFrame | None = None
    accounts: pl.DataFrame | None = None
    files: Mapping[date, Mapping[str, bytes]] = field(default_factory=dict, kw_only=True)


@dataclass(frozen=True)
class Together:
    """A function that makes several assets at once: (site, months, inputs, extracted, names) -> Built by name."""

    make: Callable[[Any, Sequence[date], Any, Extracted, Collection[str]], Mapping[str, Built]]


@dataclass(frozen=True)
class Asset:
    """An asset made month by month of other tables of the warehouse: a whole table, or the rows of one that it owns.

    `read` only reads, while the warehouse's file is held; `make` is pure. Assets with the same `read` are built of one
    read and written in one transaction. Where months do not fit into memory, `select` takes the place of both: the rows
    of one month as queries over the warehouse, each of which is stored before the next one is asked for.
    """

    stage: str
    name: str
    table: Table
    after: tuple[str, ...]
    """Assets of the kind that it is made of, as `<stage>/<table>`: its lineage, and what has to be ready."""
    read: Callable[[Reader, Any, Sequence[date]], Any] | None = None
    """None of facts that the kind reads and builds as a whole: facts/assets.py completes them."""
    make: Callable[[Any, Sequence[date], Any, Extracted], Built] | Together | None = None
    select: Callable[[Writer, Any, date, Extracted], Iterable[Query]] | None = None
    accounts: Callable[[Writer, Any, date], Query] | None = None
    """Of an asset with `select` that owns metrics: where rows and hours of its sources went (serving.accounts)."""
    months_before: int = 0
    """How many months before its own one it reads of what it is made of."""
    months_after: int = 0
    """How many months after its own one it reads: it is built again when their rows change."""
    all_before: tuple[str, ...] = ()
    """Of what it is made of, the assets of which it reads every month before its own one."""
    description: str = ""
    """What it is, where the table's description does not say it."""
    owned: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """A write replaces only rows with these values in a column."""
    rejects_of: tuple[str, ...] = ()
    """Metrics whose rows in facts.rejects it owns."""
    optional: Mapping[str, Callable[[Any], bool]] = field(default_factory=dict)
    """Further assets that it is made of, and at which sites."""
    shown_after: tuple[str, ...] = ()
    """Assets of the same step that it builds on, for the lineage shown."""
    applies: Callable[[Any], bool] = lambda _: True
    """Whether the site has it; where not, its months are written empty."""
    months_at_once: int | None = None
    """How many months' inputs may be in memory at a time; None = all months of a run."""
    views: tuple[str, ...] = ()
    """Views over the table, made anew after each write."""
    checks: tuple[Check, ...] = ()
    """Checks beside those that every asset of its stage has."""
    derived: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Columns that are made of columns with other names: column -> `<stage>/<asset>.<column>` each, for lineage."""
    sharing: tuple[str, ...] = ()
    """Sources whose rows may share what they hold: that one of them owns the time is no fault of the others."""

    @property
    def path(self) -> str:
        """`<stage>/<table>`, as other assets name it."""
        return f"{self.stage}/{self.name}"

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics whose intervals it owns."""
        return tuple(self.owned.get("metric", ()))

    @property
    def sources(self) -> tuple[str, ...]:
        """The raw tables that it is made of at every site."""
        return tuple(name.removeprefix("raw/") for name in self.after if name.startswith("raw/"))
