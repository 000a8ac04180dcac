"""Events as JSON lines: one line per event, in the columns of a usage event, columns without a value left out."""

import hashlib
import hmac
import itertools
import json
import math
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

COLUMNS = frozenset((
    "event_id", "ts", "user_id", "team_id", "session_id", "request_id", "model_id", "provider", "event_type",
    "requests", "input_tokens", "output_tokens", "cached_tokens", "meters", "cost", "currency", "duration_s",
    "queue_s", "first_output_s", "success", "error", "parameters", "prompt_hash",
))  # fmt: skip
"""What an event may hold; other names are left out."""
LONGEST_LINE = 1 << 20
"""Bytes; a longer event loses its parameters, and is dropped if that is not enough."""
Event = tuple[int, str, Mapping[str, Any]]
"""An event as its caller left it, not yet a line: microseconds since 1970 in UTC, its type, columns by name."""
_SPANS = ("duration_s", "queue_s", "first_output_s")
_PROMPTS = frozenset((
    "content", "context", "history", "input", "inputs", "instructions", "messages", "negative_prompt", "prompt",
    "prompts", "query", "response", "suffix", "system", "system_prompt", "text", "texts",
))  # fmt: skip
_DEEPEST = 20
_DIGITS = 38
_LARGEST = 10**_DIGITS
_LONGEST_TEXT = 1 << 16
_plain_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def prompt_hash(prompt: str | bytes, key: str | bytes = b"") -> str:
    """The SHA-256 of a prompt in 64 hex digits, to count repeated prompts without keeping any.

    Short prompts can be guessed from a plain hash; with a secret `key` (HMAC) they cannot.
    """
    text, secret = _bytes(prompt), _bytes(key)
    return hmac.new(secret, text, "sha256").hexdigest() if secret else hashlib.sha256(text).hexdigest()


def _bytes(text: str | bytes) -> bytes:
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text


def event_ids() -> Callable[[], str]:
    """A function that gives a new id at each call: random per process, then counted."""
    prefix, numbers = os.urandom(12).hex(), itertools.count(1)
    return lambda: f"{prefix}-{next(numbers)}"


def line(event: Event, event_id: str, defaults: Mapping[str, Any]) -> bytes | None:
    """An event as one line with its newline; None when it cannot be shortened to `LONGEST_LINE`. Raises nothing.

    Numbers that are not finite, prompts among the parameters and unknown columns are left out; a value that JSON does
    not know is written as its text, a Decimal as text too, so that no digit of it is lost.
    """
    ts, event_type, fields = event
    row: dict[str, Any] = {"event_id": event_id, "ts": _iso(ts), "event_type": event_type}
    for source in (fields, defaults):
        for name, value in source.items():
            if value is not None and name not in row and name in COLUMNS:
                row[name] = value
    for name in _SPANS:
        if isinstance(row.get(name), float):
            row[name] = round(row[name], 6)
    if "parameters" in row:
        row["parameters"] = _without_prompts(row["parameters"])
        if not row["parameters"]:
            del row["parameters"]
    text = _encoded(row)
    if len(text) > LONGEST_LINE and row.pop("parameters", None) is not None:
        text = _encoded(row)
    return text if len(text) <= LONGEST_LINE else None


def unknown_columns(event: Event) -> set[str]:
    """Names of an event that are no columns, such as a misspelt one."""
    return {name for name in event[2].keys() - COLUMNS if not name.startswith("_")}


def _iso(microseconds: int) -> str:
    seconds, rest = divmod(microseconds, 1_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:06}Z"


def _without_prompts(parameters: object) -> dict[object, object]:
    """Parameters but for prompts; nothing of what has no names, for it may be a prompt."""
    named = parameters if isinstance(parameters, Mapping) else {}
    return {name: value for name, value in list(named.items()) if name not in _PROMPTS}


def _encoded(row: dict[str, Any]) -> bytes:
    try:
        return _plain_encoder.encode(row).encode() + b"\n"
    except (TypeError, ValueError, RuntimeError):  # also changed by its owner meanwhile, endless, no Unicode
        return _plain_encoder.encode(_cleaned(row, _DEEPEST)).encode() + b"\n"


def _cleaned(value: object, depth: int) -> Any:
    """A value as JSON knows it: numbers and texts, lists and objects of such, None for what has no value."""
    if value is None or isinstance(value, bool | int | float | Decimal):
        return _number(value)
    if depth and isinstance(value, Mapping):
        cleaned = {_text(name): _cleaned(each, depth - 1) for name, each in list(value.items())}
        return {name: each for name, each in cleaned.items() if each is not None}
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [_cleaned(each, depth - 1) for each in list(value)]
    return _text(value)


def _number(value: float | Decimal | None) -> float | str | None:
    """A finite number of a sensible size, a Decimal as its text; else None."""
    if isinstance(value, Decimal):
        return format(value, "f") if value.is_finite() and -_DIGITS < value.adjusted() < _DIGITS else None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is not None and -_LARGEST < value < _LARGEST else None


def _text(value: object) -> str:
    try:
        text = value.isoformat() if isinstance(value, datetime) else str(value)
    except Exception:  # whatever a stranger's __str__ raises
        text = type(value).__name__
    return text.encode("utf-8", "replace").decode()[:_LONGEST_TEXT]
