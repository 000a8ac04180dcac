"""The sums of requests once more, in plain Python over rows: slow, and written without a look at the queries."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

Row = Mapping[str, Any]
Key = tuple[Any, ...]
_STATES = ("succeeded", "failed", "cancelled", "unfinished")
_TOKENS = ("input_tokens", "output_tokens", "cached_tokens")


def sums(rows: Iterable[Row], who: str | None, *, monthly: bool) -> dict[Key, dict[str, Any]]:
    """By (day or month, who, model, provider) the values of a row of the table."""
    counted: dict[Key, list[Row]] = defaultdict(list)
    busy: dict[Key, Fraction] = defaultdict(Fraction)
    period: Callable[[date], date] = (lambda day: day.replace(day=1)) if monthly else (lambda day: day)
    for row in rows:
        people = (row[who] or "(none)",) if who else ()
        of = (*people, row["model_id"], row["provider"])
        counted[period(_placed(row).date()), *of].append(row)
        for day, seconds in _split(row):
            busy[period(day), *of] += seconds
    return {key: _row(counted.get(key, []), busy.get(key, Fraction())) for key in {*counted, *busy}}


def _placed(row: Row) -> datetime:
    found: datetime = row["ended_at"] or row["submitted_at"]
    return found


def _split(row: Row) -> Iterable[tuple[date, Fraction]]:
    """The seconds that a request is in progress, by day."""
    if row["ended_at"] is None or row["requests"] > 1 or not row["duration_s"]:
        return
    begins = row["started_at"]
    while begins < row["ended_at"]:
        midnight = datetime.combine(begins.date() + timedelta(days=1), time())
        ends = min(midnight, row["ended_at"])
        yield begins.date(), Fraction((ends - begins) // timedelta(microseconds=1), 10**6)
        begins = ends


def _row(rows: list[Row], busy: Fraction) -> dict[str, Any]:
    number = {state: sum(row["requests"] for row in rows if row["final_state"] == state) for state in _STATES}
    good = [row for row in rows if row["final_state"] == "succeeded"]
    latencies = sorted(
        Fraction((row["ended_at"] - row["submitted_at"]) // timedelta(microseconds=1), 10**6)
        for row in good
        if row["requests"] == 1 and row["duration_s"] is not None
    )
    failures: Counter[str] = Counter()
    hours: Counter[int] = Counter()
    for row in rows:
        hours[row["submitted_at"].hour] += row["requests"]
        if row["final_state"] == "failed":
            failures[row["error"]] += row["requests"]
    return {
        "requests": sum(number.values()),
        **number,
        **{name: sum(row[name] or 0 for row in rows) for name in _TOKENS},
        "cost": sum((row["cost"] for row in rows if row["cost"] is not None), Decimal(0)),
        "cost_unrated_requests": sum(row["requests"] for row in good if row["cost"] is None),
        "busy_seconds": float(busy),
        "latency_sum_s": float(sum(latencies)),
        "latency_n": len(latencies),
        "latency_p50_s": _percentile(latencies, Fraction(1, 2)),
        "latency_p95_s": _percentile(latencies, Fraction(95, 100)),
        "sessions": _different(rows, "session_id"),
        "users": _different(rows, "user_id"),
        "distinct_prompts": _different(rows, "prompt_hash"),
        "peak_hour": min((-number, hour) for hour, number in hours.items())[1] if hours else None,
        "failures": dict(failures),
        "first_ts": min(map(_placed, rows), default=None),
        "last_ts": max(map(_placed, rows), default=None),
    }


def _different(rows: list[Row], column: str) -> int:
    return len({row[column] for row in rows} - {None, "(none)"})


def _percentile(values: list[Fraction], share: Fraction) -> float | None:
    if not values:
        return None
    place = share * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return float(values[low] + (values[high] - values[low]) * (place - low))
