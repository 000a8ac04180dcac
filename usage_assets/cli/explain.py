"""`usage-assets explain`: the intervals that make a number, down to the source rows."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from usage_assets.cli.console import console
from usage_assets.core.text import printable
from usage_assets.facts.tables import RESOURCE_NAMES
from usage_assets.kinds import kind_of
from usage_assets.reports.explain import Answer, Piece, Question, Term, explain
from usage_assets.sites.base import Site
from usage_assets.timelines.metrics import metrics_with
from usage_assets.warehouse import Warehouse

_SPAN = ("start_at", "end_at")
_HEAD = ("entity_id", "node", "node_type")
_HELD = ("project_id", "user_id", "reservation_id", "lease_id")


def show(site: Site, question: Question, *, as_json: bool) -> None:
    """Print the answer, for people or as JSON."""
    with Warehouse.default().read() as reader:
        answer = explain(reader, kind_of(site), site, question)
    if as_json:
        print(json.dumps(document(answer), indent=2, default=str))  # noqa: T201 - for other programs: nothing folded
        return
    for line in lines(site, answer):
        console.print(line)


def document(answer: Answer) -> dict[str, Any]:
    """The answer as JSON has it."""
    out = asdict(answer)
    for fields, term in zip(out["terms"], answer.terms, strict=True):
        fields["agrees_with_usage_steps"] = term.agrees
    return out


def lines(site: Site, answer: Answer) -> list[str]:
    """The answer as text."""
    question = answer.question
    limits = {"type": question.node_type, "of": question.entity}
    parts = [f"{name} {value}" for name, value in limits.items() if value]
    at = ", ".join([f"{question.at:%Y-%m-%d %H:%M} UTC", *parts])
    if question.rejected:
        rows = f"rejected of {question.metric}" if question.metric else "rejected"
        out = [f"{site.name} ({site.key}): {rows} at {at}"]
        counts = ", ".join(f"{reason} {count}" for reason, count in answer.reasons.items())
        out.append(f"  {sum(answer.reasons.values())} row(s): {counts}" if counts else "  nothing")
        return [*out, *_pieces(answer.rejected, sum(answer.reasons.values()))]
    assert question.metric is not None
    metric = metrics_with(kind_of(site).metrics).by_name[question.metric]
    out = [f"{site.name} ({site.key}): {metric.name} at {at}", f"  {metric.description}"]
    if metric.is_ratio:
        out.append(f"  {' + '.join(metric.plus)} / {' or '.join(metric.over)}, whose terms are:")
    elif not metric.is_counted:
        signs = " ".join(f"{'-' if term.weight < 0 else '+'} {term.metric}" for term in answer.terms if term.weight)
        out.append(f"  {_amounts(answer.totals)} = {signs.removeprefix('+ ')}")
    for term in answer.terms:
        head = f"{term.metric}: {_amounts(term.totals)}, of {term.count} interval(s){_compared(term)}"
        out += ["", head, *_pieces(term.pieces, term.count)]
    return out


def _compared(term: Term) -> str:
    """The comparison with timelines.usage_steps at the same instant."""
    if term.steps is None:
        return ""
    if not term.steps:
        return "; not in timelines.usage_steps: build the usage of the month"
    if all(value is None for value in term.steps.values()):
        return "; unknown in timelines.usage_steps: a known gap of a source"
    if term.agrees:
        return "; timelines.usage_steps says the same"
    return f"; TIMELINES.USAGE_STEPS DIFFERS: {_amounts(term.steps)}; build the usage of the month again"


def _pieces(pieces: list[Piece], count: int) -> list[str]:
    out: list[str] = []
    for piece in pieces:
        row = piece.row
        head = " ".join(dict.fromkeys(_text(row[name]) for name in _HEAD if name in row))
        span = " to ".join(f"{row[name]:%Y-%m-%d %H:%M:%S}" for name in _SPAN)
        out += ["", f"  {head}: {span} ({row['metric']}, from {row['source']})"]
        if "reason" in row:
            who = f"; {row['action']}" if "action" in row else ""
            out.append(f"    {row['reason']}: {row['reason_in_words']}{who}")
        names = (*RESOURCE_NAMES, *_HELD, "original_start_at", "original_end_at")
        out.append(f"    {_fields({name: row[name] for name in names if name in row})}")
        out += [f"    raw.{table}: {_fields(found)}" for table, found in piece.origins]
        if not piece.origins:
            out.append(f"    no raw row: {row['source']} is not a table of this month")
    if count > len(pieces):
        out += ["", f"  ... and {count - len(pieces)} more (--limit)"]
    return out


def _amounts(totals: Mapping[str, float | None]) -> str:
    return ", ".join(f"{name} {'unknown' if value is None else f'{value:.10g}'}" for name, value in totals.items())


def _fields(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_text(value)}" for name, value in row.items())


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    text = f"{value:.10g}" if isinstance(value, float) else printable(str(value)[:200])
    return text if len(text) <= 80 else f"{text[:79]}…"
