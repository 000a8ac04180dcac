"""Outcome of a backfill: its exit code, and the summary that is printed: runs that failed, and what checks found."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from usage_assets.checks.meaning import MEANING
from usage_assets.cli.console import FAILED, INTERRUPTED, OK, console, errors
from usage_assets.core.months import ranges
from usage_assets.orchestration.run_faults import Failure

INTERRUPTION = "interrupted: stored data is consistent; run the same command again to continue"
_SHOWN = 15
_SENTENCE = 240
HELP = 'docs/operations.md, "What each alert means"'


@dataclass
class Outcome:
    """Outcome of a backfill."""

    runs: int = 0
    failed: list[str] = field(default_factory=list)
    """A sentence per failed run."""
    checks: list[Failure] = field(default_factory=list)
    """Failed checks of the months that were built."""
    interrupted: bool = False
    interruption: str = INTERRUPTION
    """The sentence that is printed then."""

    @property
    def code(self) -> int:
        """The exit code."""
        if self.interrupted:
            return INTERRUPTED
        bad = self.failed or any(check.severity == "ERROR" for check in self.checks)
        return FAILED if bad else OK


def report(outcome: Outcome) -> None:
    """Print what failed, errors first, at the end, where it does not scroll by."""
    for text in outcome.failed:
        errors.print(text, style="red")
    for line in lines(outcome.checks):
        console.print(line.text, style=line.style)
    if outcome.interrupted:
        errors.print(outcome.interruption)
    else:
        bad = f", {len(outcome.failed)} failed" if outcome.failed else ""
        console.print(f"{outcome.runs} run(s){bad}")


class Line(NamedTuple):
    """A line of the summary, and its colour."""

    text: str
    style: str | None = None


def lines(found: Sequence[Failure]) -> Iterator[Line]:
    """The summary of what checks found, errors first; nothing where they found nothing."""
    groups: dict[tuple[bool, str, str], list[Failure]] = {}
    for failure in found:
        key = failure.severity != "ERROR", failure.check or "", _stage(failure.asset)
        groups.setdefault(key, []).append(failure)
    for key in sorted(groups)[:_SHOWN]:
        yield from _of_check(groups[key])
    if len(groups) > _SHOWN:
        yield Line(f"... and {len(groups) - _SHOWN} more checks, shown by the UI")
    if not groups:
        return
    if any(failure.severity == "ERROR" for failure in found):
        yield Line(
            "Months with an ERROR are not published: readers keep the last good rows of them, or have none where there "
            "never were any. Warnings hold nothing back."
        )
    else:
        yield Line("Warnings hold nothing back: readers get these months.")
    sites = "".join(f" --site {site}" for site in sorted({failure.site for failure in found if failure.site}))
    yield Line(f"Next: usage-assets status{sites}; what to do about each check: {HELP}; each month in the UI (make ui)")


def _of_check(group: Sequence[Failure]) -> Iterator[Line]:
    """One check of a stage: assets, sites with their months, what it means, an example."""
    first = group[0]
    assets = list(dict.fromkeys(failure.asset for failure in group))
    more = f" and {len(assets) - 1} more of {_stage(first.asset)}" if len(assets) > 1 else ""
    style = "yellow" if first.severity != "ERROR" else "red"
    yield Line(f"{first.severity} {first.check} of {assets[0]}{more}: {where(group)}", style)
    if first.check in MEANING:
        yield Line(f"    {MEANING[first.check]}")
    newest = max(group, key=lambda failure: failure.month)
    lead = " ".join(filter(None, (newest.site, newest.month)))
    text = newest.text if newest.month and newest.month in newest.text else f"{lead}: {newest.text}"
    yield Line(f"    such as {text}"[:_SENTENCE])


def where(group: Sequence[Failure]) -> str:
    """Sites with their failing months as ranges."""
    months: dict[str, set[str]] = {}
    for failure in group:
        months.setdefault(failure.site, set()).add(failure.month)
    parts = []
    for site, several in sorted(months.items()):
        dated = sorted(date.fromisoformat(f"{month}-01") for month in several if month)
        span = f" {ranges(dated)}" + (f" ({len(dated)} months)" if len(dated) > 1 else "") if dated else ""
        parts.append(f"{site or 'all sites'}{span}")
    return "; ".join(parts)


def _stage(asset: str) -> str:
    return asset.rpartition("/")[0]
