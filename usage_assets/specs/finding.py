"""Finding: the outcome of one check in one month."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

_NAMES = 5


@dataclass(frozen=True)
class Finding:
    """What a check found in one month; `text` is a sentence that needs no context but site and month."""

    passed: bool
    text: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Whole lists of names of which the text has the first, by what they are."""
    notices: Mapping[str, str] = field(default_factory=dict)
    """Sentences that people are told once each, whatever becomes of the check: id -> sentence."""


GOOD = Finding(True, "")


def failing(findings: Mapping[date, Finding]) -> list[date]:
    """The months that fail, in order."""
    return sorted(month for month, finding in findings.items() if not finding.passed)


def few(names: Sequence[str]) -> str:
    """The first of some names; the dots say that there are more."""
    return ", ".join(names[:_NAMES]) + (", ..." if len(names) > _NAMES else "")
