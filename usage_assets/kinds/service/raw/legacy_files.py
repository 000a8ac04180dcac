"""Files of an older tracker: found by their names, read object by object, so that none is in memory as a whole."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from functools import partial
from pathlib import Path
from typing import IO, Any, Literal, TypeVar

CHUNK = 1 << 16
_BLANK = " \t\n\r"
_CENTS = Decimal(1).scaleb(-12)
_LARGEST = Decimal(10) ** 18
THRESHOLDS = (Decimal("0.5"), Decimal("0.8"), Decimal("0.95"))
WINDOWS = {"per_request": "request", "per_session": "session", "daily": "day", "weekly": "week", "monthly": "month"}
"""How the tracker calls a window -> how limits do."""
_PARTITIONED = re.compile(r"(daily|monthly)_(\d{4}-\d{2}(?:-\d{2})?)\.json")
_OF_USER = re.compile(r"user_(.+)\.json")
Content = Literal["usage", "limits", "users"]
Period = Literal["day", "month"]
_NAMES: dict[str, tuple[Content, Period]] = {
    "daily_usage.json": ("usage", "day"),
    "monthly_usage.json": ("usage", "month"),
    "spending_limits.json": ("limits", "day"),
    "user_profiles.json": ("users", "day"),
    "user_profiles.jsonl": ("users", "day"),
}
_T = TypeVar("_T")


class LegacyError(Exception):
    """What is wrong with a file, or with an object of one."""


@dataclass(frozen=True)
class LegacyFile:
    """A file: what it holds, and what its path says of whose and which period."""

    path: Path
    name: str
    content: Content
    period: Period = "day"
    user: str | None = None
    date: str | None = None


def find_files(folder: Path) -> list[LegacyFile]:
    """The tracker's files below a folder, in the order of their names; others are none of its."""
    names = sorted((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*.json*") if path.is_file())
    found = (_file(name, path) for name, path in names)
    return [file for file in found if file is not None]


def _file(name: str, path: Path) -> LegacyFile | None:
    *folders, last = name.split("/")
    if last in _NAMES:
        content, period = _NAMES[last]
        return LegacyFile(path, name, content, period)
    if folders[-1:] == ["spending_limits"] and (match := _OF_USER.fullmatch(last)):
        return LegacyFile(path, name, "limits", user=match[1])
    match = _PARTITIONED.fullmatch(last)
    if match is None or folders[-4:-3] != ["partitioned"]:
        return None
    return LegacyFile(path, name, "usage", "day" if match[1] == "daily" else "month", folders[-2], match[2])


class _Stream:
    """JSON values of a file one after the other."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._text = ""
        self._at = 0
        self._is_over = False
        self._decoder = json.JSONDecoder(parse_float=Decimal, parse_constant=_no_constant)

    def peek(self) -> str:
        """The next sign that is no blank; '' at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _BLANK:
                    return self._text[self._at]
                self._at += 1
            if not self._more(CHUNK):
                return ""

    def skip(self, sign: str) -> bool:
        """Go over a sign if it is the next one."""
        if self.peek() != sign:
            return False
        self._at += 1
        return True

    def expect(self, sign: str) -> None:
        """Go over a sign that has to be the next one."""
        if not self.skip(sign):
            msg = f"a {sign} is missing after {self._text[max(0, self._at - 40) : self._at]!r}"
            raise LegacyError(msg)

    def value(self) -> Any:
        """The next value as a whole."""
        self.peek()
        while True:
            try:
                found, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if self._more(max(CHUNK, len(self._text) - self._at)):
                    continue
                msg = f"no JSON: {error.msg}"
                raise LegacyError(msg) from None
            if end == len(self._text) and self._more(CHUNK):  # a number may go on
                continue
            self._at = end
            return found

    def _more(self, size: int) -> bool:
        """Read on; what was taken already is dropped."""
        block = "" if self._is_over else self._file.read(size)
        self._is_over = not block
        self._text, self._at = self._text[self._at :] + block, 0
        return bool(block)


def _no_constant(text: str) -> None:
    msg = f"{text} is no number"
    raise LegacyError(msg)


def members(path: Path) -> Iterator[tuple[str | None, Any]]:
    """The members of a file's object with their names, elements of lists one by one; of JSON lines each line.

    `{"u1": {...}}` gives ("u1", {...}); `{"users": [{...}, {...}]}` and `[{...}, {...}]` give each object, the latter
    without a name. LegacyError where the file is no JSON.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            stream = _Stream(file)
            if path.suffix == ".jsonl":
                while stream.peek():
                    yield None, stream.value()
            elif stream.peek() == "[":
                yield from ((None, element) for element in _elements(stream))
            else:
                yield from _of_object(stream)
            if stream.peek():
                msg = "there is more after its end"
                raise LegacyError(msg)
    except UnicodeDecodeError:
        msg = "it is not all UTF-8"
        raise LegacyError(msg) from None


def _of_object(stream: _Stream) -> Iterator[tuple[str, Any]]:
    stream.expect("{")
    if stream.skip("}"):
        return
    while True:
        name = stream.value()
        if not isinstance(name, str):
            msg = f"{str(name)[:40]} is no name"
            raise LegacyError(msg)
        stream.expect(":")
        if stream.peek() == "[":
            yield from ((name, element) for element in _elements(stream))
        else:
            yield name, stream.value()
        if not stream.skip(","):
            break
    stream.expect("}")


def _elements(stream: _Stream) -> Iterator[Any]:
    stream.expect("[")
    if stream.skip("]"):
        return
    while True:
        yield stream.value()
        if not stream.skip(","):
            break
    stream.expect("]")


@dataclass(frozen=True)
class Usage:
    """A total of a user and period, and its requests per model and provider."""

    row: Mapping[str, Any]
    counts: tuple[tuple[str, str, int], ...]


def usages(file: LegacyFile) -> Iterator[Usage | LegacyError]:
    """The totals of a file, and what is wrong with one that can't be read; LegacyError where the file is no JSON."""
    if file.date is not None:
        said = _whole(file.path)
        yield _try(lambda: _usage(file, said, str(said.get("user_id") or file.user), str(file.date)))
        return
    for user, periods in members(file.path):
        for period, said in _object(periods, f"user {user}").items():
            yield _try(partial(_usage, file, said, str(user), period))


def _try(read: Callable[[], _T]) -> _T | LegacyError:
    """What an object says, or what is wrong with it."""
    try:
        return read()
    except LegacyError as fault:
        return fault


def _usage(file: LegacyFile, given: Any, user: str, text: str) -> Usage:
    where = f"{text} of user {user}"
    said = _object(given, where)
    total = _count(said, "total_requests", where)
    failed = min(_count(said, "failed_requests", where), total)
    latency = _number(said, "avg_latency_ms", where)
    row = {
        "period": file.period,
        "date": _date(text, file.period, where),
        "user_id": user,
        "requests": total,
        "succeeded": min(_count(said, "successful_requests", where), total - failed),
        "failed": failed,
        "input_tokens": _count(said, "total_input_tokens", where),
        "output_tokens": _count(said, "total_output_tokens", where),
        "cost": _number(said, "total_cost", where).quantize(_CENTS, ROUND_HALF_EVEN),
        "latency_sum_s": float(latency * total / 1000),
        "latency_n": total,
        "sessions": max(_sessions(said, name, where) for name in ("session_count", "unique_sessions")),
        "updated_at": _instant(said.get("updated_at")),
        "source_file": file.name,
    }
    counts = [
        (part, name, _count(_object(said.get(key) or {}, where), name, where))
        for part, key in (("model", "models_used"), ("provider", "providers_used"))
        for name in said.get(key) or {}
    ]
    return Usage(row, tuple(counts))


def limits(file: LegacyFile) -> Iterator[list[dict[str, Any]] | LegacyError]:
    """The limits of each user of a file: a row per scope and window, the last without either for the user as such."""
    for name, said in _objects(file):
        yield _try(partial(_limits, file, name, said))


def _limits(file: LegacyFile, name: str | None, given: Any) -> list[dict[str, Any]]:
    said = _object(given, f"limits of {name or 'a user'}")
    user = _user(said, file, name)
    shared = {
        "user_id": user,
        "updated_at": _instant(said.get("updated_at")),
        "enabled": said.get("enabled", True) is not False,
        "thresholds": _thresholds(said.get("alert_thresholds"), user),
        "source_file": file.name,
    }
    amounts: list[tuple[str, str | None, str, Any]] = [
        ("user", None, window, _limit(said, old)) for old, window in WINDOWS.items()
    ]
    for part in ("provider", "model"):
        pairs = _object(said.get(f"{part}_limits") or {}, f"{part}_limits of user {user}")
        amounts += [(f"user_{part}", key, "month", value) for key, value in pairs.items()]
    rows = [
        {**shared, "scope_type": scope, "other": other, "window": window,
         "amount": _amount(amount, f"limit per {window} of user {user}").quantize(_CENTS, ROUND_HALF_EVEN)}
        for scope, other, window, amount in amounts
        if amount is not None
    ]  # fmt: skip
    return [*rows, {**shared, "scope_type": None, "other": None, "window": None, "amount": None}]


def _limit(said: Mapping[str, Any], name: str) -> Any:
    return said.get(name, said.get(f"{name}_limit"))


def profiles(file: LegacyFile) -> Iterator[dict[str, Any] | LegacyError]:
    """The users of a file."""
    for name, said in _objects(file):
        yield _try(partial(_profile, file, name, said))


def _profile(file: LegacyFile, name: str | None, given: Any) -> dict[str, Any]:
    said = _object(given, f"profile of {name or 'a user'}")
    active = said.get("active", said.get("is_active"))
    return {
        "user_id": _user(said, file, name),
        **{key: _text(said.get(key)) for key in ("username", "email")},
        "tier": _text(said.get("tier", said.get("user_tier"))),
        "active": active if isinstance(active, bool) else None,
        "updated_at": _instant(said.get("updated_at")),
        "source_file": file.name,
    }


def _user(said: Mapping[str, Any], file: LegacyFile, name: str | None) -> str:
    """Whose an object is: as it says itself, else by the name that it or its file has."""
    found = said.get("user_id") or file.user or name
    if found is None:
        msg = "an object without user_id"
        raise LegacyError(msg)
    return str(found)


def _objects(file: LegacyFile) -> Iterator[tuple[str | None, Any]]:
    """Objects that stand for one user each, by their names; a file of one user is one object."""
    if file.user is not None:
        yield None, _whole(file.path)
    else:
        yield from members(file.path)


def _whole(path: Path) -> Mapping[str, Any]:
    try:
        said = json.loads(path.read_text("utf-8-sig"), parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, UnicodeDecodeError) as error:
        msg = f"no JSON: {error}"
        raise LegacyError(msg) from None
    return _object(said, "its content")


def _object(said: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(said, dict):
        msg = f"{what} is no object"
        raise LegacyError(msg)
    return said


def _amount(said: Any, where: str) -> Decimal:
    try:
        found = Decimal("NaN") if isinstance(said, bool) else said if isinstance(said, Decimal) else Decimal(str(said))
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite() or found < 0 or found >= _LARGEST:
        msg = f"{where}: {str(said)[:40]} is no amount"
        raise LegacyError(msg)
    return found


def _number(said: Mapping[str, Any], name: str, where: str) -> Decimal:
    return _amount(said.get(name) or 0, f"{where}: {name}")


def _count(said: Mapping[str, Any], name: str, where: str) -> int:
    given = said.get(name)
    if type(given) is int and 0 <= given < _LARGEST:
        return given
    found = _number(said, name, where)
    if found != found.to_integral_value():
        msg = f"{where}: {name}: {found} is no whole number"
        raise LegacyError(msg)
    return int(found)


def _sessions(said: Mapping[str, Any], name: str, where: str) -> int:
    found = said.get(name)
    return len(found) if isinstance(found, list) else _count(said, name, where)


def _date(text: str, period: str, where: str) -> date:
    try:
        return date.fromisoformat(text if period == "day" else f"{text}-01")
    except ValueError:
        msg = f"{where}: {text[:40]!r} is no {period}"
        raise LegacyError(msg) from None


def _instant(said: Any) -> datetime | None:
    """An instant as the tracker wrote it: a naive one is by its own clock, others are UTC."""
    try:
        found = datetime.fromisoformat(str(said))
    except ValueError:
        return None
    return found if found.tzinfo is None else found.astimezone(UTC).replace(tzinfo=None)


def _thresholds(said: Any, user: str) -> str:
    parts = said if isinstance(said, list) and said else list(THRESHOLDS)
    return json.dumps([str(_amount(part, f"alert_thresholds of user {user}")) for part in parts])


def _text(said: Any) -> str | None:
    return None if said in (None, "") else str(said)
