"""Outcome of a backfill: its exit code, and what is printed of it."""

from dataclasses import dataclass, field

from usage_assets.cli.console import FAILED, INTERRUPTED, OK, console, errors
from usage_assets.cli.findings import lines
from usage_assets.orchestration.run_faults import Failure

INTERRUPTION = "interrupted: stored data is consistent; run the same command again to continue"


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
