"""What came of a backfill, its exit code, and how it is told."""

from dataclasses import dataclass, field

from usage_assets.cli.console import FAILED, INTERRUPTED, OK, console, errors
from usage_assets.cli.findings import lines
from usage_assets.orchestration.run_faults import Failure

INTERRUPTION = "interrupted: stored data is consistent; run the same command again to continue"


@dataclass
class Outcome:
    """What came of a backfill."""

    runs: int = 0
    failed: list[str] = field(default_factory=list)
    """What is to be said of each failed run."""
    checks: list[Failure] = field(default_factory=list)
    """What checks found in the months that were built."""
    interrupted: bool = False
    interruption: str = INTERRUPTION
    """What is to be said of that."""

    @property
    def code(self) -> int:
        """The exit code."""
        if self.interrupted:
            return INTERRUPTED
        bad = self.failed or any(check.severity == "ERROR" for check in self.checks)
        return FAILED if bad else OK


def report(outcome: Outcome) -> None:
    """Say what failed, errors first; nothing of it scrolls by unseen."""
    for text in outcome.failed:
        errors.print(text, style="red")
    for line in lines(outcome.checks):
        console.print(line.text, style=line.style)
    if outcome.interrupted:
        errors.print(outcome.interruption)
    else:
        bad = f", {len(outcome.failed)} failed" if outcome.failed else ""
        console.print(f"{outcome.runs} run(s){bad}")
