"""Checks of the legacy usage counter, whose hours are read as a partition of a day.

Each passes where the data agree with that reading, and its text is what was found, either way.
"""

from collections.abc import Callable
from datetime import date
from typing import Any, cast

import polars as pl

from usage_assets.core.months import Window
from usage_assets.kinds.openstack.legacy.usage import COUNTS, DAY, HOURS, REPORTS, has_legacy, one_per_day
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.reports.tables import LEGACY_COMPARISON
from usage_assets.reports.tolerance import close_to
from usage_assets.specs.finding import GOOD, Finding
from usage_assets.warehouse import Reader

_PARTS = HOURS[:4]
_WITHOUT = HOURS[1:4]


def partition(reader: Reader, site: OpenStackSite, window: Window) -> dict[date, Finding]:
    """Is total = maintenance + reserved + used + idle, or = reserved + used + idle? The first passes."""
    days = _days(reader, site, window).drop_nulls(list(HOURS))
    days = days.with_columns(
        whole=pl.sum_horizontal(_PARTS), part=pl.sum_horizontal(_WITHOUT), off=pl.col("maint_hours") > 0
    ).with_columns(is_whole=close_to("whole", "total_hours"), is_part=close_to("part", "total_hours"))
    return _by_month(days, window, _partition)


def _partition(days: pl.DataFrame) -> Finding:
    bad = days.filter(~pl.col("is_whole"))
    good, other = days.height - bad.height, days.filter("is_part").height
    text = f"total = maintenance + reserved + used + idle on {good} of {days.height} rows"
    if days["off"].any():
        text += f"; total = reserved + used + idle on {other}"
    else:
        text += "; no maintenance this month, so nothing tells this from reserved + used + idle"
    figures = {"rows": days.height, "rows_with_maintenance": good, "rows_without_maintenance": other}
    if bad.is_empty():
        return Finding(True, text, figures)
    worst = _worst(bad, (pl.col("whole") - pl.col("total_hours")).abs())
    detail = f"total {worst['total_hours']:g} h, parts {worst['whole']:g} h"
    return _failed(bad, f"{text}: the hours are not the partition that they are read as", worst, detail, figures)


def count(reader: Reader, site: OpenStackSite, window: Window) -> dict[date, Finding]:
    """Is total / 24 the count of nodes, or that less the nodes in maintenance? The first passes."""
    days = _counted(reader, site, window).drop_nulls(["cnt", "total_hours"])
    maintenance = pl.col("maint_hours").fill_null(0)
    # the total rounded up to whole machines: one came or went in the course of the day
    is_part_of_a_day = (pl.col("total_hours") / 24).ceil() == pl.col("cnt")
    days = (
        days.with_columns(less=pl.col("counted") - maintenance, off=maintenance > 0)
        .with_columns(is_count=close_to("total_hours", "counted"), is_less=close_to("total_hours", "less"))
        .with_columns(is_part=~pl.col("is_count") & ~pl.col("is_less") & is_part_of_a_day)
    )
    return _by_month(days, window, _count)


def _count(days: pl.DataFrame) -> Finding:
    parts = days.filter("is_part").height
    bad = days.filter(~pl.col("is_count") & ~pl.col("is_part"))
    good, less = days.height - bad.height - parts, bad.filter("is_less").height
    text = f"total / 24 is the count of nodes on {good} of {days.height} rows"
    if parts:
        text += f", and that rounded up on {parts} days on which a machine came or went"
    figures = {"rows": days.height, "rows_count": good, "rows_part_of_a_day": parts}
    figures |= {"rows_count_less_maintenance": less}
    if bad.is_empty():
        if not days["off"].any():
            text += "; no maintenance this month, so nothing tells this from the count less maintenance"
        return Finding(True, text, figures)
    text += f", the count less the nodes in maintenance on {less}, neither on {bad.height - less}"
    worst = _worst(bad, (pl.col("total_hours") - pl.col("counted")).abs())
    return _failed(bad, text, worst, f"total / 24 = {worst['total_hours'] / 24:g}, count {worst['cnt']}", figures)


def used_beside_reserved(reader: Reader, site: OpenStackSite, window: Window) -> dict[date, Finding]:
    """Does used exceed reserved anywhere? Then used is no part of it, and the two are added."""
    days = _days(reader, site, window).drop_nulls(list(HOURS))
    days = days.with_columns(
        over=pl.col("used_hours") - pl.col("reserved_hours"),
        both=pl.col("used_hours") + pl.col("reserved_hours"),
        room=pl.col("total_hours") - pl.col("maint_hours"),
    ).with_columns(too_much=(pl.col("both") > pl.col("room")) & ~close_to("both", "room"))
    return _by_month(days, window, _used)


def _used(days: pl.DataFrame) -> Finding:
    over, bad = days.filter(pl.col("over") > 0), days.filter("too_much")
    figures = {"rows": days.height, "rows_used_over_reserved": over.height}
    text = f"used exceeds reserved on none of {days.height} rows: used may be a part of reserved"
    if over.height:
        most = _worst(over, pl.col("over"))
        text = (
            f"used exceeds reserved on {over.height} of {days.height} rows ({_where(over)}), "
            f"most by {most['over']:g} h ({most['day']:%Y-%m-%d} {most['node_type']}): "
            "used is no part of reserved, as it is read"
        )
    if bad.is_empty():
        return Finding(True, text, figures)
    worst = _worst(bad, pl.col("both") - pl.col("room"))
    detail = f"reserved + used {worst['both']:g} h, total - maintenance {worst['room']:g} h"
    text += f"; reserved + used exceed total - maintenance on {bad.height}, where they can't stand beside each other"
    return _failed(bad, text, worst, detail, figures | {"rows_too_much": bad.height})


def bounds(reader: Reader, site: OpenStackSite, window: Window) -> dict[date, Finding]:
    """Is any hour negative, or any total above 24 x the count of nodes? Then the check fails."""
    above = (pl.col("total_hours") > pl.col("counted")) & ~close_to("total_hours", "counted")
    days = _counted(reader, site, window).with_columns(
        negative=pl.min_horizontal(HOURS) < 0, double=above.fill_null(value=False)
    )
    return _by_month(days, window, _bounds)


def _bounds(days: pl.DataFrame) -> Finding:
    negative, double = days.filter("negative"), days.filter("double")
    figures = {"rows": days.height, "rows_negative": negative.height, "rows_above_count": double.height}
    text = f"a negative hour on {negative.height} of {days.height} rows, a total above 24 x count on {double.height}"
    if negative.is_empty() and double.is_empty():
        return Finding(True, text, figures)
    if not double.is_empty():
        worst = _worst(double, pl.col("total_hours") - pl.col("counted"))
        detail = f"total {worst['total_hours']:g} h, 24 x count {worst['counted']:g} h"
    else:
        worst = _worst(negative, -pl.min_horizontal(HOURS))
        detail = ", ".join(f"{name} {worst[name]:g}" for name in HOURS if (worst[name] or 0) < 0)
    return _failed(pl.concat([negative, double]).unique(DAY), text, worst, detail, figures)


def source_rows(reader: Reader, site: OpenStackSite, window: Window) -> dict[date, Finding]:
    """Rows that share their day and node type with another, and rows with hours that are null."""
    if not has_legacy(site) or not reader.has(REPORTS):
        return dict.fromkeys(window.months, GOOD)
    rows = reader.frame(REPORTS, window.site, window.months).with_columns(day=pl.col("date").dt.truncate("1d"))
    rows = rows.with_columns(
        doubled=pl.struct(DAY).is_duplicated() & ~pl.struct(DAY).is_first_distinct(),
        empty=pl.any_horizontal(pl.col(name).is_null() for name in HOURS),
    )

    return _by_month(rows, window, _source_rows)


def _source_rows(rows: pl.DataFrame) -> Finding:
    doubled, empty = rows["doubled"].sum(), rows["empty"].sum()
    text = (
        f"{doubled} of {rows.height} rows share their day and node type with another, of which the latest counts; "
        f"{empty} have a null, which makes what is derived from it null"
    )
    passed = not doubled and not empty
    figures = {"rows": rows.height, "rows_doubled": doubled, "rows_with_nulls": empty}
    return Finding(passed, "" if passed else text, figures)


def _days(reader: Reader, site: OpenStackSite, window: Window) -> pl.DataFrame:
    """One row per day and node type of the cache of reports; none for a site that has no caches."""
    rows = reader.frame(REPORTS, window.site, window.months if has_legacy(site) else [])
    return one_per_day(rows.lazy()).collect()


def _counted(reader: Reader, site: OpenStackSite, window: Window) -> pl.DataFrame:
    """_days() with the count of nodes, and 24 times it as `counted`: null where the other cache has no row."""
    days = _days(reader, site, window)
    counts = one_per_day(reader.frame(COUNTS, window.site, window.months).lazy()).select(*DAY, "cnt").collect()
    return days.join(counts, on=DAY, how="left").with_columns(counted=pl.col("cnt").cast(pl.Float64) * 24)


def _by_month(rows: pl.DataFrame, window: Window, evaluate: Callable[[pl.DataFrame], Finding]) -> dict[date, Finding]:
    """The finding of each month that has rows; the others are good."""
    found = {month: evaluate(each) for (month,), each in rows.group_by("month")}
    return dict.fromkeys(window.months, GOOD) | cast("dict[date, Finding]", found)


def _failed(bad: pl.DataFrame, text: str, worst: dict[str, Any], detail: str, figures: dict[str, int]) -> Finding:
    at = f"{worst['day']:%Y-%m-%d} {worst['node_type']}"
    more = {"days": bad["day"].n_unique(), "node_types": bad["node_type"].n_unique(), "worst": at}
    return Finding(False, f"{text}. {_where(bad)}; worst {at}: {detail}", figures | more)


def _where(rows: pl.DataFrame) -> str:
    names = rows["node_type"].unique().sort().to_list()
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f"{rows['day'].n_unique()} day(s), node types {shown}"


def _worst(rows: pl.DataFrame, by: pl.Expr) -> dict[str, Any]:
    return rows.sort(by, *DAY, descending=[True, False, False, False]).row(0, named=True)


def unexplained(reader: Reader, site: OpenStackSite, window: Window) -> dict[date, Finding]:
    """Share of the days and node types whose difference has no cause, per metric, and the worst days."""
    if not has_legacy(site) or not reader.has(LEGACY_COMPARISON):
        return dict.fromkeys(window.months, GOOD)
    rows = reader.frame(LEGACY_COMPARISON, window.site, window.months, where="difference IS NOT NULL")
    bad = (pl.col("cause") == "unexplained").fill_null(value=False)
    return _by_month(rows.with_columns(bad=bad), window, _unexplained)


def _unexplained(rows: pl.DataFrame) -> Finding:
    shares = rows.group_by("metric").agg(pl.col("bad").mean()).sort("metric")
    figures: dict[str, Any] = {"rows": rows.height, **{f"{metric}_share": share for metric, share in shares.rows()}}
    bad = rows.filter("bad")
    if bad.is_empty():
        return Finding(True, f"all of {rows.height} differences are small or have a cause", figures)
    parts = ", ".join(f"{metric} {share:.1%}" for metric, share in shares.rows() if share)
    days = (
        bad.group_by("date").agg(pl.col("difference").abs().sum()).sort("difference", "date", descending=[True, False])
    )
    worst = ", ".join(f"{day:%Y-%m-%d} ({hours:g} h)" for day, hours in days.head(3).rows())
    figures["worst_days"] = worst
    return Finding(False, f"unexplained differences: {parts} of the rows; worst days {worst}", figures)
