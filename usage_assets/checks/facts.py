"""What the checks of facts ask: are rows and hours conserved, how much was rejected, does bare metal overlap."""

import json
from collections.abc import Sequence
from datetime import date

from usage_assets.core.months import Window
from usage_assets.facts.tables import INTERVALS, REJECTS
from usage_assets.sites.base import Site
from usage_assets.specs.asset import Asset
from usage_assets.specs.finding import GOOD, Finding
from usage_assets.warehouse import Reader
from usage_assets.warehouse.bookkeeping import ACCOUNTS

REJECTED_SHARE = 0.05
"""A month is pointed out when more of its rows are rejected than this share."""
_HOURS = 1e-6
"""Relative tolerance of sums of hours: spans are exact to the microsecond, their sums are not."""

_STORED = """
SELECT month, source, sum(epoch(end_at - start_at)) / 3600 AS hours
FROM {table} WHERE site = $site AND month IN (SELECT unnest($months::DATE[]))
AND metric IN (SELECT unnest($metrics::VARCHAR[])) GROUP BY ALL
"""


def conservation(asset: str, fact: Asset, reader: Reader, _site: Site, window: Window) -> dict[date, Finding]:
    """Rows in = kept + rejected + outside, hours in = kept + clipped + rejected, and the stored rows say the same."""
    out = dict.fromkeys(window.months, GOOD)
    if not reader.has(ACCOUNTS):
        return out
    accounts = reader.frame(ACCOUNTS, window.site, window.months, where=f"asset = '{asset}'")
    kept = _stored_hours(reader, INTERVALS.qualified, fact, window) if reader.has(INTERVALS) else {}
    rejected = _stored_hours(reader, REJECTS.qualified, fact, window) if reader.has(REJECTS) else {}
    faults: dict[date, list[str]] = {}
    for row in accounts.sort("month", "source").iter_rows(named=True):
        at = (row["month"], row["source"])
        for text in _faults(row, kept.pop(at, 0.0), rejected.pop(at, 0.0)):
            faults.setdefault(row["month"], []).append(f"{row['source']}: {text}")
    for month, source in {*kept, *rejected}:
        faults.setdefault(month, []).append(f"{source}: stored rows that no account speaks of")
    for month, texts in faults.items():
        out[month] = Finding(False, "; ".join(texts), {"faults": len(texts)})
    return out


def _faults(row: dict, kept_hours: float, rejected_hours: float) -> list[str]:
    out = []
    rows = row["rows_kept"] + row["rows_rejected"] + row["rows_outside"]
    if row["rows_in"] != rows:
        out.append(f"{row['rows_in']} rows in, but {rows} kept, rejected or outside")
    for table, join in json.loads(row["joins"] or "{}").items():
        if join["rows_out"] != join["rows_in"]:
            out.append(f"{join['rows_in']} rows before the join with {table}, {join['rows_out']} after it")
    hours = row["hours_kept"] + row["hours_clipped"] + row["hours_rejected"]
    room = _HOURS * max(1.0, row["hours_in"])
    if abs(row["hours_in"] - hours) > room:
        out.append(f"{row['hours_in']:.6f} hours in, but {hours:.6f} kept, clipped or rejected")
    if row["hours_clipped"] < -room:
        out.append(f"{row['hours_clipped']:.6f} hours clipped: more was kept than there was")
    for what, account, stored in (
        ("kept", row["hours_kept"], kept_hours),
        ("rejected", row["hours_rejected"], rejected_hours),
    ):
        if abs(account - stored) > room:
            out.append(f"{account:.6f} hours {what} by the account, {stored:.6f} by the stored rows")
    return out


def _stored_hours(reader: Reader, table: str, fact: Asset, window: Window) -> dict[tuple[date, str], float]:
    found = reader.sql(_STORED.format(table=table), _scope(window, metrics=fact.metrics))
    return {(month, source): hours or 0.0 for month, source, hours in found.iter_rows()}


def rejects_share(asset: str, fact: Asset, reader: Reader, _site: Site, window: Window) -> dict[date, Finding]:
    """A month is pointed out when much of it was rejected; the reasons say why.

    What is rejected since the site believes another source of the machine, or since what it holds is shared, is none.
    """
    out = dict.fromkeys(window.months, GOOD)
    if not reader.has(ACCOUNTS):
        return out
    sums = reader.sql(
        f"SELECT month, sum(rows_in)::BIGINT, sum(rows_rejected)::BIGINT FROM {ACCOUNTS.qualified} "
        "WHERE site = $site AND month IN (SELECT unnest($months::DATE[])) AND asset = $asset "
        "AND source IN (SELECT unnest($sources::VARCHAR[])) GROUP BY month",
        # what a further source says that others already count is no fault of its rows
        {"asset": asset} | _scope(window, sources=fact.sources),
    )
    many = [month for month, rows_in, rejected in sums.iter_rows() if rows_in and rejected / rows_in > REJECTED_SHARE]
    if not many:
        return out
    reasons, wanted = _reasons(reader, fact.metrics, window), _as_wanted(reader, fact, window)
    for month, rows_in, found in sums.filter(sums["month"].is_in(many)).iter_rows():
        as_wanted = wanted.get(month, 0)
        rejected = found - as_wanted
        if rejected / rows_in > REJECTED_SHARE:
            counts = dict(reasons.get(month, []))
            counts["duplicate"] = counts.get("duplicate", 0) - as_wanted
            why = ", ".join(f"{reason} {count}" for reason, count in counts.items() if count > 0)
            text = f"{rejected} of {rows_in} rows rejected ({rejected / rows_in:.1%}): {why}"
            out[month] = Finding(False, text, {"rows_in": rows_in, "rows_rejected": rejected})
    return out


def overlaps(
    metrics: Sequence[str], sharing: Sequence[str], reader: Reader, _site: Site, window: Window
) -> dict[date, Finding]:
    """A month is pointed out when servers overlap on one machine: all but the last one's time was rejected.

    Rows of the sources in `sharing` may share a machine.
    """
    out = dict.fromkeys(window.months, GOOD)
    for month, reasons in _reasons(reader, metrics, window, but=sharing).items():
        count = dict(reasons).get("duplicate", 0)
        if count:
            out[month] = Finding(False, f"{count} span(s) of servers overlap on one machine", {"spans": count})
    return out


# rows of a source of which another one counts the same machine in the month, and rows that share what they hold with
# others: neither is a fault of the rows
_AS_WANTED = f"""
SELECT month, count(DISTINCT (source, entity_id, original_start_at)) AS n
FROM {REJECTS.qualified} r
WHERE site = $site AND month IN (SELECT unnest($months::DATE[])) AND metric IN (SELECT unnest($metrics::VARCHAR[]))
AND source IN (SELECT unnest($sources::VARCHAR[])) AND reason = 'duplicate'
AND (
  source IN (SELECT unnest($sharing::VARCHAR[])) AND metric <> $unbooked
  OR metric = 'total' AND EXISTS (
    FROM {INTERVALS.qualified} i WHERE i.site = $site AND i.month = r.month AND i.metric = 'total'
    AND i.entity_id = r.entity_id AND i.source <> r.source
  )
)
GROUP BY month
"""


def _as_wanted(reader: Reader, fact: Asset, window: Window) -> dict[date, int]:
    """How many rows were rejected as duplicate by month though nothing is wrong with them."""
    if not (reader.has(REJECTS) and reader.has(INTERVALS)):
        return {}
    scope = _scope(window, metrics=fact.metrics, sources=fact.sources, sharing=fact.sharing)
    params = scope | {"unbooked": fact.name}  # the metric of rows rejected before their booking was looked at
    return dict(reader.sql(_AS_WANTED, params).iter_rows())


def _reasons(
    reader: Reader, metrics: Sequence[str], window: Window, *, but: Sequence[str] = ()
) -> dict[date, list[tuple[str, int]]]:
    if not reader.has(REJECTS):
        return {}
    found = reader.sql(
        f"SELECT month, reason, count(*) AS n FROM {REJECTS.qualified} WHERE site = $site "
        "AND month IN (SELECT unnest($months::DATE[])) AND metric IN (SELECT unnest($metrics::VARCHAR[])) "
        "AND source NOT IN (SELECT unnest($but::VARCHAR[])) GROUP BY ALL ORDER BY month, n DESC",
        _scope(window, metrics=metrics, but=but),
    )
    out: dict[date, list[tuple[str, int]]] = {}
    for month, reason, count in found.iter_rows():
        out.setdefault(month, []).append((reason, count))
    return out


def _scope(window: Window, **lists: Sequence[str]) -> dict[str, object]:
    """Parameters of a query: the site, the months, and lists by their names."""
    return {"site": window.site, "months": list(window.months), **{name: list(each) for name, each in lists.items()}}
