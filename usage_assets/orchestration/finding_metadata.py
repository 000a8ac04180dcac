"""Findings as Dagster's metadata: those of a run, and of one month."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg

from usage_assets.core.markdown import markdown_table
from usage_assets.core.text import cut, printable
from usage_assets.specs.finding import Finding, failing

_SHOWN = 24
_TEXT = 1500
_SENTENCE = 200


def of_run(findings: Mapping[date, Finding], *, of_now: bool = False) -> dict[str, Any]:
    """Metadata: what a run found in its own months, those that fail as a table, a finding per line.

    `failing` names every one of them, however many, for programs: alerts and commands tell of each once. What is
    `of_now` is no month's.
    """
    bad = failing(findings)
    named = [("" if of_now else f"{month:%Y-%m}", cut(findings[month].text, _SENTENCE)) for month in bad]
    out: dict[str, Any] = {"failing": dg.MetadataValue.json([{"month": at, "text": text} for at, text in named])}
    if bad:
        rows = [{"month": f"{month:%Y-%m}", "found": cut(findings[month].text, _TEXT)} for month in bad[:_SHOWN]]
        out["this_run"] = records(("month", "found"), rows)
    figures = [
        {"month": f"{month:%Y-%m}", **{name: _plain(value) for name, value in findings[month].figures.items()}}
        for month in bad[:_SHOWN]
    ]
    out |= lists(findings)
    notices = [
        {"month": f"{month:%Y-%m}", "id": key, "text": cut(text, _SENTENCE)}
        for month, found in sorted(findings.items())
        for key, text in found.notices.items()
    ]
    if notices:
        out["notices"] = dg.MetadataValue.json(notices)
    if any(len(row) > 1 for row in figures):
        out["figures"] = dg.MetadataValue.json(figures)
    good = [(f"{month:%Y-%m}", found.text) for month, found in sorted(findings.items()) if found.passed and found.text]
    if good:
        out["passing"] = dg.MetadataValue.md(markdown_table(("month", "found"), good[-_SHOWN:]))
    return out


def records(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> dg.TableMetadataValue:
    """A table that the UI shows where it stands, without a click; its cells are text, never markup."""
    shown = [
        {name: printable(value) if isinstance(value := row[name], str) else value for name in columns} for row in rows
    ]
    schema = dg.TableSchema(columns=[dg.TableColumn(name, "string") for name in columns])
    return dg.MetadataValue.table(records=[dg.TableRecord(row) for row in shown], schema=schema)


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


def description(site: str, month: date, finding: Finding, more: str = "") -> str | None:
    """The sentence of one month's evaluation, and what `more` is to be said; nothing of a good one without either."""
    said = finding.text or ("holds" if more else "")
    parts = [cut(f"site {site} {month:%Y-%m}: {said}", _TEXT)] if said else []
    return "\n\n".join([*parts, *([more] if more else [])]) or None


def _plain(value: object) -> object:
    return value if isinstance(value, (bool, int, float, str)) else str(value)
