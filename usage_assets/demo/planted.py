"""Warnings that the demo is made to give: irregularities of real sites, planted so that the checks can be seen at work.

The README lists them in these words. Whatever else a demo site is warned of is a fault of the demo or of a check.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

NEWEST: Final = "the running month and the one before"


@dataclass(frozen=True)
class Planted:
    """A warning that is meant: site, check, months (texts such as `2024-03`), and what is wrong in them."""

    site: str
    check: str
    months: str
    why: str
    since: str | None = None
    """First month, of what goes on for good; else `months` lists them."""

    def covers(self, site: str, check: str, month: str, newest: Collection[str]) -> bool:
        """Whether a failed check is this warning; `newest` are the running month and the one before."""
        if (site, check) != (self.site, self.check):
            return False
        if self.months == NEWEST:
            return month in newest
        return month >= self.since if self.since is not None else month in self.months.split(", ")


PLANTED: tuple[Planted, ...] = (
    Planted(
        "demo_metal",
        "evidence",
        "2016-04, 2020-02, 2024-03",
        "leases and servers with dates 0000-00-00, a server deleted without a date",
    ),
    Planted(
        "demo_metal",
        "inventory",
        "since 2025-02",
        "two spare machines that the operators' inventory has and no database knows",
        since="2025-02",
    ),
    Planted(
        "demo_metal",
        "unexplained",
        "2016-04, 2020-02, 2024-03",
        "days on which the legacy usage counter lost half of a node type's use",
    ),
    Planted(
        "demo_metal",
        "nodes",
        NEWEST,
        "servers that are shelved now: on bare metal nothing tells which machine they had",
    ),
    Planted(
        "demo_metal",
        "unexplained",
        "2024-09, 2025-10, 2026-04, 2026-05",
        "machines that came or went: the legacy usage counter sees them by Blazar, hours apart from Nova",
    ),
    Planted(
        "demo_metal",
        "unexplained",
        NEWEST,
        "servers that are shelved now: the legacy usage counter counts what they held before",
    ),
    Planted(
        "demo_metal",
        "count",
        "2024-09",
        "machines that were retired while one was in maintenance: the count can be read in two ways",
    ),
    Planted("demo_kvm", "evidence", "2020-02, 2024-03", "servers with dates 0000-00-00, one deleted without a date"),
    Planted(
        "demo_edge", "rejects_share", "2024-02, 2024-06", "containers that never started, in months with few of them"
    ),
    Planted(
        "demo_service",
        "outcome_known",
        "2026-03, 2026-08",
        "images whose outcome nobody wrote, since the generator's processes were killed",
    ),
)


def unplanted(failed: Iterable[tuple[str, str, str]], today: date) -> Iterator[tuple[str, str, str]]:
    """Failed checks (site, check, month) that no planted irregularity explains."""
    running = today.replace(day=1)
    newest = {f"{month:%Y-%m}" for month in (running, running - timedelta(days=1))}
    for site, check, month in failed:
        if not any(each.covers(site, check, month, newest) for each in PLANTED):
            yield site, check, month


def readme_table() -> str:
    """The list as the README shows it."""
    rows = [f"| `{each.site}` | `{each.check}` | {each.months} | {each.why} |" for each in PLANTED]
    return "\n".join(["| site | warning | months | planted |", "| --- | --- | --- | --- |", *rows]) + "\n"
