"""What checks found in a backfill, said shortly: which, in which months, what that means and what to do next."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from usage_assets.checks.meaning import MEANING
from usage_assets.core.months import ranges
from usage_assets.orchestration.run_faults import Failure

_SHOWN = 15
_SENTENCE = 240
HELP = 'docs/operations.md, "What each alert means"'


@dataclass(frozen=True)
class Line:
    """A line of the summary and how it is coloured."""

    text: str
    style: str | None = None


def lines(found: Sequence[Failure]) -> Iterator[Line]:
    """The summary of what checks found, errors first; nothing where they found nothing."""
    groups: dict[tuple[bool, str, str], list[Failure]] = {}
    for one in found:
        groups.setdefault((one.severity != "ERROR", one.check or "", _stage(one.asset)), []).append(one)
    ordered = [groups[key] for key in sorted(groups)]
    for group in ordered[:_SHOWN]:
        yield from _of_check(group)
    if len(ordered) > _SHOWN:
        yield Line(f"... and {len(ordered) - _SHOWN} more checks, shown by the UI")
    if ordered:
        yield from _what_next(found)


def _of_check(group: Sequence[Failure]) -> Iterator[Line]:
    """One check of a stage: assets, sites with their months, what it means, an example."""
    first = group[0]
    assets = list(dict.fromkeys(one.asset for one in group))
    more = f" and {len(assets) - 1} more of {_stage(first.asset)}" if len(assets) > 1 else ""
    style = "yellow" if first.severity != "ERROR" else "red"
    yield Line(f"{first.severity} {first.check} of {assets[0]}{more}: {where(group)}", style)
    if first.check in MEANING:
        yield Line(f"    {MEANING[first.check]}")
    newest = max(group, key=lambda one: one.month)
    lead = " ".join(filter(None, (newest.site, newest.month)))
    said = newest.text if newest.month and newest.month in newest.text else f"{lead}: {newest.text}"
    yield Line(f"    such as {said}"[:_SENTENCE])


def where(group: Sequence[Failure]) -> str:
    """Sites with their failing months as ranges."""
    months: dict[str, set[str]] = {}
    for one in group:
        months.setdefault(one.site, set()).add(one.month)
    parts = []
    for site, several in sorted(months.items()):
        dated = sorted(date.fromisoformat(f"{month}-01") for month in several if month)
        span = f" {ranges(dated)}" + (f" ({len(dated)} months)" if len(dated) > 1 else "") if dated else ""
        parts.append(f"{site or 'all sites'}{span}")
    return "; ".join(parts)


def _what_next(found: Sequence[Failure]) -> Iterator[Line]:
    if any(one.severity == "ERROR" for one in found):
        yield Line(
            "Months with an ERROR are not published: readers keep the last good rows of them, or have none where there "
            "never were any. Warnings hold nothing back."
        )
    else:
        yield Line("Warnings hold nothing back: readers get these months.")
    sites = "".join(f" --site {site}" for site in sorted({one.site for one in found if one.site}))
    yield Line(f"Next: usage-assets status{sites}; what to do about each check: {HELP}; each month in the UI (make ui)")


def _stage(asset: str) -> str:
    return asset.rpartition("/")[0]
