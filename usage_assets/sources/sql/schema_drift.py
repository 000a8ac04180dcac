"""Columns that a source had and has no more: a rename must not overwrite what is stored with nulls.

A column that the source never had is null and noted. One of which stored rows hold values was dropped, renamed or is no
longer granted; until someone says that this is known, a dump that would lose those values is refused.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from difflib import get_close_matches

import duckdb

from usage_assets.core.errors import SourceError
from usage_assets.core.months import Window
from usage_assets.sources.sql.reflection import Found
from usage_assets.specs.raw_table import HELD_AS_DELETED
from usage_assets.warehouse import Reader, bound

_SHOWN = 30
_ALIKE = 0.5


def refuse_lost_columns(reader: Reader, window: Window, found: Iterable[Found]) -> None:
    """SourceError where a column is at no source any more of which the months' stored rows, or the latest, hold values.

    Asked before anything is read; a column that only the archive still has is for `refuse_emptied` to judge.
    """
    for item in found:
        lost = [name for name in item.missing if all(item.column(name, at) is None for at in item.relations)]
        if not lost or item.relation is None or not reader.has(item.raw.table):
            continue
        table = item.raw.table.qualified
        latest = f"SELECT max(month) FROM {table} WHERE site = $site"
        held = ", ".join(f'bool_or({_has_value("t", name)}) AS "{name}"' for name in lost)
        frame = reader.sql(
            f"SELECT month, {held} FROM {table} t WHERE site = $site AND gone_at IS NULL AND "
            f"(month IN (SELECT unnest($months::DATE[])) OR month = ({latest})) GROUP BY month ORDER BY month",
            {"site": window.site, "months": list(window.months)},
        )
        for name in lost:
            months = frame.filter(frame[name])["month"].to_list()
            if months:
                raise _lost(window.site, item, name, months)


def refuse_emptied(con: duckdb.DuckDBPyConnection, window: Window, found: Found) -> None:
    """SourceError where a missing column would make null what the attached warehouse holds of rows that are still read.

    Of a row that was archived the archive may have the column still.
    """
    raw = found.raw
    if not found.missing or found.relation is None:
        return
    same = " AND ".join(f'o."{name}" = t."{name}"' for name in ("month", *raw.key))
    for name in found.missing:
        months = con.execute(
            f"SELECT DISTINCT t.month FROM stored.{raw.table.qualified} t JOIN out_{raw.name} o ON {same} "
            f"WHERE t.site = $site AND t.month IN (SELECT unnest($months::DATE[])) AND t.gone_at IS NULL "
            f"AND {_has_value('t', name)} AND NOT coalesce({_has_value('o', name)}, false) ORDER BY 1",
            bound({"site": window.site, "months": list(window.months)}),
        ).fetchall()
        if months:
            raise _lost(window.site, found, name, [month for (month,) in months])


def _has_value(row: str, name: str) -> str:
    """SQL: whether a row holds a value of the column that its loss would take away; a live row's mark is none."""
    return f"{row}.deleted" if name == HELD_AS_DELETED.name else f'{row}."{name}" IS NOT NULL'


def _lost(site: str, found: Found, name: str, months: Sequence[date]) -> SourceError:
    """What is lost, what the source has instead, and what to do."""
    raw, relation = found.raw, found.relation
    assert relation is not None
    declared = {column.name for column in raw.columns} | set(raw.renamed.values())
    others = sorted(set(relation.columns) - declared)
    alike = get_close_matches(name, others, n=1, cutoff=_ALIKE)
    has = ", ".join(others[:_SHOWN]) + (" ..." if len(others) > _SHOWN else "")
    guess = f" (is it {alike[0]} now?)" if alike else ""
    span = f"{months[0]:%Y-%m}" if len(months) == 1 else f"{months[0]:%Y-%m}..{months[-1]:%Y-%m}"
    return SourceError(
        f"site {site}: {raw.name}: column {name} is not in {relation.schema}.{relation.name} any more, or not granted"
        f"{guess}, but rows of {span} hold values of it; nothing was written. Columns there that this release does not "
        f"know: {has or 'none'}. Mend the grants, or have the column back under its name (a view will do); if it was "
        "removed for good, run once with allow_missing (usage-assets backfill --allow-missing)"
    )
