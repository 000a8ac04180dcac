"""Finding: the outcome of one check in one month, and the summary of many months."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import dagster as dg

from usage_assets.presentation import markdown_table
from usage_assets.text import cut

_SHOWN = 24
_TEXT = 1500
_SENTENCE = 200
_NAMES = 5


@dataclass(frozen=True)
class Finding:
    """What a check found in one month; `text` is a sentence that needs no context but site and month."""

    passed: bool
    text: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Whole lists of names of which the text has the first, by what they are."""


GOOD = Finding(True, "")


def failing(findings: Mapping[date, Finding]) -> list[date]:
    """The months that fail, in order."""
    return sorted(month for month, finding in findings.items() if not finding.passed)


def summary(site: str, findings: Mapping[date, Finding], what: str) -> str:
    """One sentence that names the failing months of a site."""
    bad = failing(findings)
    if not bad:
        return f"site {site}: {len(findings)} month(s), none {what}"
    names = ", ".join(f"{month:%Y-%m}" for month in bad[:_SHOWN]) + (" ..." if len(bad) > _SHOWN else "")
    return f"site {site}: {len(bad)} of {len(findings)} month(s) {what}: {names}"


def table(findings: Mapping[date, Finding]) -> dict[str, Any]:
    """Metadata: the failing months as a table, and what is said of others.

    `failing` names every failing month, however many, for programs: alerts tell of each once.
    """
    bad = failing(findings)
    good = [(f"{month:%Y-%m}", found.text) for month, found in sorted(findings.items()) if found.passed and found.text]
    said = {"passing": dg.MetadataValue.md(markdown_table(("month", "found"), good[-_SHOWN:]))} if good else {}
    if not bad:
        return {"failing_months": 0, **said}
    rows = [(f"{month:%Y-%m}", findings[month].text) for month in bad[:_SHOWN]]
    full = cut("\n\n".join(f"{month}: {text}" for month, text in rows), _TEXT)
    figures = [
        {"month": f"{month:%Y-%m}", **{name: _plain(value) for name, value in findings[month].figures.items()}}
        for month in bad[:_SHOWN]
    ]
    out: dict[str, Any] = {
        "failing_months": len(bad),
        "failing": dg.MetadataValue.json(
            [{"month": f"{month:%Y-%m}", "text": cut(findings[month].text, _SENTENCE)} for month in bad]
        ),
        "months": dg.MetadataValue.md(markdown_table(("month", "found"), rows)),
        "details": full,
        **lists(findings),
        **said,
    }
    if any(len(row) > 1 for row in figures):
        out["figures"] = dg.MetadataValue.json(figures)
    return out


def few(names: Sequence[str]) -> str:
    """The first of some names; the dots say that there are more."""
    return ", ".join(names[:_NAMES]) + (", ..." if len(names) > _NAMES else "")


def lists(findings: Mapping[date, Finding]) -> dict[str, Any]:
    """Metadata: the names that failing months speak of, whole, a row per month and name."""
    rows = [
        (f"{month:%Y-%m}", what, name)
        for month in failing(findings)
        for what, names in findings[month].names.items()
        for name in names
    ]
    return {"names": dg.MetadataValue.md(markdown_table(("month", "what", "name"), rows))} if rows else {}


def metadata(site: str, month: date, finding: Finding) -> dict[str, Any]:
    """Metadata of one month's evaluation."""
    return {"site": site, "month": f"{month:%Y-%m}"} | {name: _plain(value) for name, value in finding.figures.items()}


def description(site: str, month: date, finding: Finding) -> str | None:
    """The sentence of one month's evaluation; nothing to say of a good one without remarks."""
    return cut(f"site {site} {month:%Y-%m}: {finding.text}", _TEXT) if finding.text else None


def _plain(value: object) -> object:
    return value if isinstance(value, (bool, int, float, str)) else str(value)
