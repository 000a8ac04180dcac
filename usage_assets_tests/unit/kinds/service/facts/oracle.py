"""Folding once more, event by event in plain Python, as the rules say it."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any

OUTCOMES = ("complete", "failed", "cancelled")
_FILLED = ("user_id", "team_id", "session_id", "model_id", "provider", "input_tokens", "output_tokens",
           "cached_tokens", "error", "prompt_hash")  # fmt: skip
Event = Mapping[str, Any]


def requests(events: Iterable[Event], currency: str) -> list[dict[str, Any]]:
    """The requests of some events, by request_id."""

    def named(event: Event) -> str:
        return event.get("request_id") or event["event_id"]

    folded = [event for event in events if event["event_type"] in (*OUTCOMES, "request", "start")]
    return [_request(name, list(group), currency) for name, group in groupby(sorted(folded, key=named), key=named)]


def _request(name: str, events: list[Event], currency: str) -> dict[str, Any]:
    events.sort(key=lambda event: (event["ts"], event["event_id"].encode()))
    outcomes = [event for event in events if event["event_type"] in OUTCOMES]
    good = [event for event in outcomes if _is_good(event)]
    deciding = (good or outcomes[-1:] or events[-1:])[0]
    order = [deciding] + [event for event in reversed(events) if event is not deciding]
    row = {name: _first(order, name) for name in _FILLED}
    priced = next((event for event in order if event.get("cost") is not None), {})
    submitted, started, ended = _times(events, outcomes, deciding)
    if outcomes:
        state = {True: "succeeded", False: "failed"}[bool(good)]
        state = "cancelled" if deciding["event_type"] == "cancelled" else state
    else:
        state = "unfinished"
    alone = len(outcomes) == len(events)
    knows = _pure(deciding) and outcomes and (not alone or deciding.get("duration_s") is not None)
    cost = None if priced.get("cost") is None else Decimal(priced["cost"])
    own = (priced.get("currency") or currency) == currency
    place = ended or submitted
    return row | {
        "site": "chat", "month": place.date().replace(day=1), "request_id": name, "event_id": deciding["event_id"],
        "submitted_at": submitted, "started_at": started, "ended_at": ended, "final_state": state,
        "requests": deciding.get("requests", 1), "attempts": len(outcomes), "meters": _meters(order),
        "stated_cost": cost, "stated_currency": priced.get("currency"), "cost": cost if own else None,
        "cost_source": "unrated" if cost is None else "stated" if own else "unconverted",
        "duration_s": (ended - started).total_seconds() if knows and started and ended else None,
        "lead_s": None if started is None else (started - submitted).total_seconds(),
        "error": (row["error"] or "(none)") if state == "failed" else None, "reader": "records",
        **{name: row[name] or "(none)" for name in ("user_id", "model_id", "provider")},
    }  # fmt: skip


def _is_good(event: Event) -> bool:
    return event["event_type"] == "complete" and event.get("success") is not False


def _pure(event: Event) -> bool:
    return event.get("requests", 1) == 1


def _first(order: list[Event], name: str) -> Any:
    return next((event[name] for event in order if event.get(name) is not None), None)


def _meters(order: list[Event]) -> dict[str, Decimal] | None:
    found: dict[str, Decimal] = {}
    for event in order:
        for key, value in (event.get("meters") or {}).items():
            found.setdefault(key, Decimal(value))
    return found or None


def _seconds(event: Event, name: str) -> timedelta | None:
    found = event.get(name) if _pure(event) else None
    return None if found is None else timedelta(seconds=found)


def _times(
    events: list[Event], outcomes: list[Event], deciding: Event
) -> tuple[datetime, datetime | None, datetime | None]:
    asked = [event["ts"] for event in events if event["event_type"] == "request"]
    begun = [event["ts"] for event in events if event["event_type"] == "start"]
    duration, queue = _seconds(deciding, "duration_s"), _seconds(deciding, "queue_s")
    ended: datetime | None
    started: datetime | None
    if not outcomes:
        submitted, started, ended = (asked or begun)[0], (begun or [None])[0], None
    elif asked or begun:
        submitted, ended = (asked or begun)[0], deciding["ts"]
        started = submitted if queue is None else submitted + queue
        if duration is not None:
            started = ended - duration
        started = begun[0] if begun else started
    else:
        submitted = min(_alone(event)[0] for event in outcomes)
        _, started, ended = _alone(deciding)
    if started is not None and ended is not None:
        started = min(started, ended)
    return (submitted if started is None else min(submitted, started)), started, ended


def _alone(event: Event) -> tuple[datetime, datetime, datetime]:
    """Submitted, started and ended of an outcome by itself."""
    none = timedelta(0)
    duration, queue = _seconds(event, "duration_s") or none, _seconds(event, "queue_s") or none
    if event["time_of"] == "end":
        return event["ts"] - duration - queue, event["ts"] - duration, event["ts"]
    return event["ts"], event["ts"] + queue, event["ts"] + queue + duration
