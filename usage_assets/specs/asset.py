"""What an asset that is one table is declared by; `table_assets` makes them, `kinds` lists them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any

import polars as pl

from usage_assets.core.months import Window
from usage_assets.schema import Table
from usage_assets.warehouse import Reader

if TYPE_CHECKING:
    from usage_assets.specs.finding import Finding


def later(module: str, name: str) -> Callable[..., Any]:
    """A function of the package that is imported when it is first called."""

    def call(*args: Any, **named: Any) -> Any:
        return getattr(import_module(f"usage_assets.{module}"), name)(*args, **named)

    return call


@dataclass(frozen=True)
class Made:
    """What a table asset makes of its inputs: its rows, and where it rejects rows, those and the accounts.

    `files` are pages that belong to the rows of a month, by their names below the folder of plots: they are written
    once the rows are, and not at all where the month keeps its old ones.
    """

    rows: pl.DataFrame
    rejects: pl.DataFrame | None = None
    accounts: pl.DataFrame | None = None
    files: Mapping[date, Mapping[str, bytes]] = field(default_factory=dict, kw_only=True)


@dataclass(frozen=True)
class TableCheck:
    """A check of one asset, one evaluation per month; with `per_run` one per run, and it says what failing is."""

    name: str
    description: str
    evaluate: Callable[[Reader, Any, Window], Mapping[date, "Finding"]]
    warn: bool = False
    per_run: str | None = None


@dataclass(frozen=True)
class TableAsset:
    """An asset that is one table, or its own part of one, made month by month from other tables of the warehouse.

    `read` only reads, while the warehouse's file is held; `make` is pure. `owned` limits what a write replaces to rows
    with these values in a column, `rejects_of` names the metrics of facts.rejects whose rows it owns.
    """

    stage: str
    name: str
    table: Table
    after: tuple[str, ...]
    """Assets of the kind that it is made of, as `<stage>/<table>`: its lineage and its gates."""
    read: Callable[[Reader, Any, Sequence[date]], Any]
    make: Callable[[Any, Sequence[date], Any, Mapping[date, datetime]], Made]
    """(site, months, what read gave, extraction per month) -> the rows of all months."""
    description: str = ""
    owned: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rejects_of: tuple[str, ...] = ()
    applies: Callable[[Any], bool] = lambda _: True
    """Whether the site has it; where not, its months are written empty."""
    views: tuple[str, ...] = ()
    """Views over the table, made anew after each write."""
    publish: Callable[[Any, Mapping[date, pl.DataFrame], Mapping[date, datetime]], Mapping[date, Any]] | None = None
    """(site, rows of each month written, extraction per month): files beside the table; metadata to show per month."""
    checks: tuple[TableCheck, ...] = ()
