"""Months beside those of a run that are to be built again: they read months of the run, and these have changed."""

from datetime import date, timedelta

from usage_assets.core.months import Window, month_of, months_between, next_month
from usage_assets.sites.base import Site
from usage_assets.specs.asset import Asset
from usage_assets.specs.kind import Kind
from usage_assets.warehouse import Reader
from usage_assets.warehouse.bookkeeping import CHECKED, VERSIONS


def widened(reader: Reader, kind: Kind, site: Site, window: Window, asset: Asset) -> Window:
    """The window, and the months next to it of an asset whose inputs were written since the asset was."""
    before, after = kind.reach(asset.path)
    if not (before or after) or not window.months or not reader.has(VERSIONS):
        return window
    reach = max(before, after) + max(asset.months_before, asset.months_after)
    inputs = kind.inputs(site, asset)
    name = kind.asset(asset.stage, asset.name)
    near = _shifted(window.months[0], -before), _shifted(window.months[-1], after)
    found = reader.sql(
        f"SELECT DISTINCT own.month FROM {VERSIONS.qualified} own JOIN {VERSIONS.qualified} input "
        "ON input.site = own.site AND input.written_at > own.written_at "
        "AND (input.month BETWEEN own.month - to_months($before) AND own.month + to_months($after) "
        "OR (input.month < own.month AND input.asset IN (SELECT unnest($all_before::VARCHAR[])))) "
        "WHERE own.site = $site AND own.asset = $asset AND own.month BETWEEN $first AND $last "
        "AND input.month BETWEEN $first::DATE - to_months($reach) AND $last::DATE + to_months($reach) "
        "AND input.asset IN (SELECT unnest($inputs::VARCHAR[]))",
        {
            "site": site.key,
            "asset": name,
            "inputs": list(inputs) or [""],
            "all_before": list(kind.upstream(site, asset.all_before)) or [""],
            "before": asset.months_before,
            "after": asset.months_after,
            "first": near[0],
            "last": near[1],
            "reach": reach,
        },
    )
    return _with_adjacent(window, set(found["month"]))


def without_rows(reader: Reader, kind: Kind, site: Site, window: Window, asset: Asset) -> dict[date, str]:
    """The months of an asset whose rows, or rows that they are made of, were removed for good, with the reason."""
    gone = kind.gone(reader, site)
    out: dict[date, str] = {}
    for month in window.months if gone else ():
        first, last = _shifted(month, -asset.months_before), _shifted(month, asset.months_after)
        read = [(name, near) for name in (*asset.after, *asset.optional) for near in months_between(first, last)]
        for name, near in ((asset.path, month), *read):
            if near in gone.get(name, ()):
                out[month] = f"{name} of {near:%Y-%m} was removed: {asset.path} can't be built again, its rows stay"
                break
    return out


def with_unchecked(reader: Reader, kind: Kind, window: Window) -> Window:
    """The window, and the months next to it that were written in the run and not checked since."""
    reaches = [kind.reach(path) for path in kind.declared]
    before, after = (max(sides, default=0) for sides in zip(*reaches, strict=True)) if reaches else (0, 0)
    if not (before or after) or not window.months or not reader.has(VERSIONS):
        return window
    checked = f"LEFT JOIN {CHECKED.qualified} c USING (site, month, asset)" if reader.has(CHECKED) else ""
    found = reader.sql(
        f"SELECT DISTINCT month FROM {VERSIONS.qualified} v {checked} "
        "WHERE site = $site AND month BETWEEN $first AND $last AND starts_with(asset, $kind)"
        + (" AND (c.checked_at IS NULL OR c.checked_at < v.written_at)" if checked else ""),
        {
            "site": window.site,
            "kind": f"{kind.name}/",
            "first": _shifted(window.months[0], -before),
            "last": _shifted(window.months[-1], after),
        },
    )
    return _with_adjacent(window, set(found["month"]))


def _with_adjacent(window: Window, months: set[date]) -> Window:
    first, last = window.months[0], window.months[-1]
    while (earlier := _shifted(first, -1)) in months:
        first = earlier
    while (later := next_month(last)) in months:
        last = later
    return Window(window.site, months_between(first, last))


def _shifted(month: date, by: int) -> date:
    """The month so many months later, or before it."""
    for _ in range(abs(by)):
        month = next_month(month) if by > 0 else month_of(month - timedelta(days=1))
    return month
