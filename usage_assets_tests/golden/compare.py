"""Build a site with the package and hold the result against the oracle, series by series."""

import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from usage_assets.kinds.openstack.facts import build_facts, read_inputs
from usage_assets.kinds.openstack.facts.build import METRICS_OF, Facts
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.kinds.openstack.timelines.scope import month_node_types, usage_scope
from usage_assets.timelines.usage import UsageFrames, build_usage
from usage_assets_tests.golden.builder import Month, Rows, midnight, next_month
from usage_assets_tests.golden.oracle import Fate, Key, MonthResult, evaluate
from usage_assets_tests.golden.raw_months import month_rows
from usage_assets_tests.golden.stores import Scratch

CLOSE = 1e-6


def build(
    site: OpenStackSite,
    rows: Rows,
    months: Sequence[Month],
    extracted: Mapping[Month, datetime],
    scratch: Scratch | None = None,
) -> tuple[Facts, UsageFrames]:
    """Facts and timelines of some months, from their raw rows."""
    inputs = read_inputs((scratch or Scratch()).reader(rows, site, months, extracted), site, months)
    facts = build_facts(site, months, inputs, extracted)
    usage = build_usage(usage_scope(site), months, facts.intervals, extracted, month_node_types(site, inputs))
    text: dict[Any, Any] = {pl.Categorical: pl.String}
    return facts, UsageFrames(usage.usage.cast(text), usage.steps.cast(text))


def oracle(site: OpenStackSite, rows: Rows, month: Month, extracted: datetime) -> MonthResult:
    """The same month by the oracle."""
    return evaluate(site, month_rows(rows, month, site.first_month), month, extracted)


def differences(
    result: MonthResult, built: tuple[Facts, UsageFrames], month: Month, extracted: datetime, minutes: int = 1440
) -> list[str]:
    """Everything in which the package's month differs from the oracle's."""
    facts, usage = built
    intervals, rejects, accounts = (
        f.filter(pl.col("month") == month) for f in (facts.intervals, facts.rejects, facts.accounts)
    )
    steps, buckets = (f.filter(pl.col("month") == month) for f in (usage.steps, usage.usage))
    return [
        *_steps(result, steps),
        *_buckets(result, buckets, _starts(month, extracted, minutes)),
        *_accounts(result, intervals, rejects, accounts),
    ]


def _steps(result: MonthResult, steps: pl.DataFrame) -> list[str]:
    series: dict[Key, list[tuple[datetime, float | None]]] = defaultdict(list)
    columns = ("metric", "node_type", "resource", "timestamp", "value")
    for metric, node_type, resource, timestamp, value in steps.select(columns).sort("timestamp").iter_rows():
        series[metric, node_type, resource].append((timestamp, value))
    out = []
    for low, values in zip(result.cuts, result.values, strict=False):
        for key in sorted(set(series) | set(values)):
            have = series.get(key, [])
            at = bisect_right([t for t, _ in have], low) - 1
            found = (have[at][1] or 0.0) if at >= 0 else 0.0
            if have and (have[at][1] is None) != result.is_unknown(key):
                out.append(
                    f"step {key} at {low}: package {have[at][1]}, unknown by the oracle: {result.is_unknown(key)}"
                )
            if abs(found - values.get(key, 0.0)) > CLOSE:
                out.append(f"step {key} at {low}: package {found}, oracle {values.get(key, 0.0)}")
    return out


def _starts(month: Month, extracted: datetime, minutes: int) -> list[tuple[datetime, datetime]]:
    """The buckets of a month, the last one of a running month cut at its extraction."""
    limit = min(midnight(next_month(month)), extracted)
    starts = [midnight(month) + timedelta(minutes=minutes * n) for n in range(31 * 1440 // minutes)]
    return [(start, min(start + timedelta(minutes=minutes), limit)) for start in starts if start < limit]


def _buckets(result: MonthResult, buckets: pl.DataFrame, starts: list[tuple[datetime, datetime]]) -> list[str]:
    out = []
    found: dict[datetime, dict[Key, tuple[float | None, float | None]]] = defaultdict(dict)
    columns = ("timestamp", "metric", "node_type", "resource", "value", "hours")
    for timestamp, metric, node_type, resource, value, hours in buckets.select(columns).iter_rows():
        found[timestamp][metric, node_type, resource] = (value, hours)
    if sorted(found) != [start for start, _ in starts]:
        out.append(f"buckets {sorted(found)[:1]}..{sorted(found)[-1:]} ({len(found)}), not {len(starts)}")
    if len({frozenset(series) for series in found.values()}) > 1:
        out.append("buckets do not all have the same series")
    base = "total" if any(key[0] == "occupied_ondemand" for values in result.values for key in values) else "reservable"
    for day, until in starts:
        length = (until - day) / timedelta(hours=1)
        expected = result.hours(day, until)
        mine = found.get(day, {})
        for key in sorted(set(expected) | set(mine)):
            value, hours = mine.get(key, (None, None))
            if key[0] in _DERIVED or key[0] == "utilization":
                out += _derived(mine, key, day, base)
                continue
            if key in mine and (value is None) != result.is_unknown(key):
                out.append(f"day {day:%m-%d} {key}: package {value}, unknown by the oracle: {result.is_unknown(key)}")
            want = expected.get(key, 0.0)
            if abs((hours or 0.0) - want) > CLOSE or abs((value or 0.0) - want / length) > CLOSE:
                out.append(f"day {day:%m-%d} {key}: package {value} {hours}, oracle {want / length} {want}")
    return out


_OPTIONAL = ("maintenance", "occupied_maintenance")  # terms of sites that name maintenance
_DERIVED: dict[str, dict[str, int]] = {
    "occupied": {"occupied_reservation": 1, "occupied_ondemand": 1, "occupied_unknown": 1, "occupied_maintenance": 1},
    "stopped": {"occupied": 1, "active": -1},
    "idle": {"committed": 1, "occupied_reservation": -1},
    "ondemand_capacity": {"total": 1, "reservable": -1, "maintenance": -1},
    "available_reservable": {"reservable": 1, "committed": -1},
    "available_ondemand": {"total": 1, "reservable": -1, "maintenance": -1, "occupied_ondemand": -1},
    "available": {"available_reservable": 1, "available_ondemand": 1},
}


def _derived(mine: Mapping[Key, tuple[float | None, float | None]], key: Key, day: datetime, base: str) -> list[str]:
    """A derived value is its formula over the values of its terms; a share is of `base`."""
    metric, node_type, resource = key
    value, hours = mine[key]
    if metric == "utilization":
        terms, over = {"occupied": 1}, mine[base, node_type, resource][0]
    else:
        terms, over = _DERIVED[metric], 1.0
    parts = [
        (mine[name, node_type, resource][0], mine[name, node_type, resource][1], sign)
        for name, sign in terms.items()
        if name not in _OPTIONAL or (name, node_type, resource) in mine
    ]
    unknown = any(part[0] is None for part in parts) or not over
    want = None if unknown else sum((part[0] or 0) * part[2] for part in parts) / (over or 1)
    integral = None if unknown or metric == "utilization" else sum((part[1] or 0) * part[2] for part in parts)
    same = all(
        (a is None) == (b is None) and abs((a or 0) - (b or 0)) <= CLOSE for a, b in ((value, want), (hours, integral))
    )
    return [] if same else [f"day {day:%m-%d} {key}: package {value} {hours}, from its terms {want} {integral}"]


def _accounts(result: MonthResult, intervals: pl.DataFrame, rejects: pl.DataFrame, accounts: pl.DataFrame) -> list[str]:
    out: list[str] = []
    rows = {(row["asset"].split("/")[-1], row["source"]): row for row in accounts.iter_rows(named=True)}
    for (asset, source), fates in result.fates.items():
        row = rows.get((asset, source))
        if row is None:
            if fates:
                out.append(f"account {asset} {source}: none for {len(fates)} rows")
            continue
        out += [f"account {asset} {source}: {text}" for text in _account(fates, row)]
        mine = rejects.filter(pl.col("metric").is_in(METRICS_OF[asset]), pl.col("source") == source)
        taken = mine.filter(pl.col("reason") == "excluded")
        mine = mine.filter(pl.col("reason") != "excluded")
        if abs(_hours(taken) - sum(fate.hours_excluded for fate in fates)) > CLOSE:
            expected = sum(fate.hours_excluded for fate in fates)
            out.append(f"rejects {asset} {source}: {_hours(taken)} h excluded, oracle {expected} h")
        wanted = [fate.reasons for fate in fates if fate.fate == "rejected" for _ in range(fate.pieces)]
        if not _matches(mine["reason"].to_list(), wanted):
            shown = [sorted(reasons) for reasons in wanted]
            out.append(f"rejects {asset} {source}: package {sorted(mine['reason'])}, oracle allows {shown}")
        kept = intervals.filter(pl.col("metric").is_in(METRICS_OF[asset]), pl.col("source") == source)
        hours = _hours(kept)
        if abs(hours - sum(fate.hours_kept for fate in fates)) > CLOSE:
            out.append(f"intervals {asset} {source}: {hours} h, oracle {sum(fate.hours_kept for fate in fates)} h")
    return out


def _hours(frame: pl.DataFrame) -> float:
    return sum((frame["end_at"] - frame["start_at"]).dt.total_microseconds().to_list()) / 3.6e9


def _account(fates: Sequence[Fate], row: Mapping[str, Any]) -> list[str]:
    count = {name: sum(fate.fate == name for fate in fates) for name in ("kept", "rejected", "outside")}
    kept = sum(fate.hours_kept for fate in fates)
    taken = sum(fate.hours_excluded for fate in fates if fate.fate == "kept")
    wanted = {
        "rows_in": len(fates),
        **{f"rows_{name}": number for name, number in count.items()},
        "hours_in": sum(fate.hours_in for fate in fates),
        "hours_kept": kept,
        "hours_clipped": sum(fate.hours_in for fate in fates if fate.fate != "rejected") - kept - taken,
        "hours_rejected": sum(fate.hours_in for fate in fates if fate.fate == "rejected") + taken,
    }
    out = [f"{name} {row[name]}, oracle {value}" for name, value in wanted.items() if abs(row[name] - value) > CLOSE]
    if abs(row["hours_in"] - row["hours_kept"] - row["hours_clipped"] - row["hours_rejected"]) > CLOSE:
        out.append(f"hours are not conserved: {json.dumps({k: v for k, v in row.items() if 'hours' in k})}")
    return out


def _matches(found: list[str], allowed: list[frozenset[str]]) -> bool:
    """Whether every rejected row can have one of the reasons found (each used once)."""
    if len(found) != len(allowed):
        return False
    if not allowed:
        return True
    first = min(allowed, key=lambda reasons: len(reasons & set(found)))
    others = list(allowed)
    others.remove(first)
    return any(_matches([*found[:i], *found[i + 1 :]], others) for i in {found.index(r) for r in first & set(found)})
