"""Messages: alerts grouped per site and asset, errors first, in bounded texts for people and programs."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import quote

from usage_assets.alerts.causes import ERROR, FILE, MAIL, NIGHTLY, RECOVERED, RUN, WARN
from usage_assets.alerts.state import Item
from usage_assets.core import settings
from usage_assets.core.months import next_month
from usage_assets.core.text import one_line

GROUPS = 20
MAIL_BYTES, SLACK_CHARACTERS, JSON_BYTES = 16_000, 3_000, 100_000
_CHECKS = 8
"""Checks shown of one asset."""
_SENTENCES = 3
_MONTHS = 300
_SITES = 4
_NAME = 120
_LATE_SECONDS = 600
_FAILED = {RUN: "run", NIGHTLY: "nightly", FILE: "can't be used", MAIL: "not mailed"}
_BACK = {RUN: "a run succeeded", NIGHTLY: "nightly is back", FILE: "can be used again", MAIL: "mailed again"}
_WORDS = {ERROR: ("error", "errors"), WARN: ("warning", "warnings"), RECOVERED: ("recovered", "recovered")}


@dataclass(frozen=True)
class Line:
    """One check of a group: its months, sentences, examples, and the newest run that found them."""

    check: str
    months: str
    count: int
    sentences: tuple[str, ...]
    samples: tuple[str, ...]
    run_id: str
    was: str


@dataclass(frozen=True)
class Group:
    """The checks of one asset of one site with one severity."""

    severity: str
    site: str
    asset: str
    lines: tuple[Line, ...]

    @property
    def title(self) -> str:
        """Site and asset."""
        return " ".join(part for part in (self.site, self.asset) if part) or "usage_assets"


@dataclass(frozen=True)
class Message:
    """Content for a channel; `errors`, `warnings` and `recovered` count checks, runs and nightlies, not months."""

    subject: str
    groups: tuple[Group, ...]
    errors: int = 0
    warnings: int = 0
    recovered: int = 0
    left_out: int = 0
    """Groups beyond those that are shown."""
    note: str = ""

    @classmethod
    def of(cls, items: Sequence[Item], now: datetime) -> "Message":
        """The message of these items."""
        found: dict[tuple[str, str, str], dict[str, list[Item]]] = {}
        for item in items:
            cause = item.cause
            found.setdefault((item.severity, cause.site, cause.asset), {}).setdefault(cause.check, []).append(item)
        counts = dict.fromkeys(_WORDS, 0)
        for (severity, _, _), checks in found.items():
            counts[severity] += len(checks)
        order = list(_WORDS)
        keys = sorted(found, key=lambda key: (order.index(key[0]), key[1:]))
        groups = [
            Group(key[0], _name(key[1]), _name(key[2]), tuple(_line(*check) for check in sorted(found[key].items())))
            for key in keys[:GROUPS]
        ]
        totals = [f"{number} {_WORDS[name][number != 1]}" for name, number in counts.items() if number]
        sites = sorted({_name(site) for _, site, _ in found if site})
        more = [f"{len(sites) - _SITES} more"] * (len(sites) > _SITES)
        where = f" ({', '.join([*sites[:_SITES], *more])})" if sites else ""
        oldest = min((item.at for item in items), default=now.timestamp())
        since = f"waiting since {datetime.fromtimestamp(oldest, tz=UTC):%Y-%m-%d %H:%M} UTC"
        return cls(
            f"usage_assets: {', '.join(totals) or 'nothing to tell'}{where}",
            tuple(groups),
            counts[ERROR],
            counts[WARN],
            counts[RECOVERED],
            len(found) - len(groups),
            since if now.timestamp() - oldest > _LATE_SECONDS else "",
        )

    @property
    def severity(self) -> str:
        """The worst severity in it."""
        return ERROR if self.errors else WARN if self.warnings else RECOVERED

    def text(self, limit: int = MAIL_BYTES) -> str:
        """Plain text of at most `limit` bytes of UTF-8."""
        return self._fit(limit, lambda text: len(text.encode()), slack=False)

    def slack(self, limit: int = SLACK_CHARACTERS) -> str:
        """Slack's markup of at most `limit` characters; what comes from databases can't be markup."""
        return self._fit(limit, len, slack=True)

    def as_json(self, limit: int = JSON_BYTES) -> bytes:
        """For programs, at most `limit` bytes."""
        shown, left_out = list(self.groups), self.left_out
        while True:
            body = {
                "subject": self.subject,
                "text": self.text(min(MAIL_BYTES, limit // 4)),
                "errors": self.errors,
                "warnings": self.warnings,
                "recovered": self.recovered,
                "groups": [_mapping(group) for group in shown],
                "groups_left_out": left_out,
            }
            out = json.dumps(body, ensure_ascii=False).encode()
            if len(out) <= limit or not shown:
                return out
            shown.pop()
            left_out += 1

    def _fit(self, limit: int, size: Callable[[str], int], *, slack: bool) -> str:
        """Head, as many groups as fit (of the first at least its first lines), and how many do not."""
        head = _escape(self.subject) if slack else self.subject
        parts = [head, self.note] if self.note else [head]
        blocks = [_text(group, slack=slack) for group in self.groups]
        for shown in range(len(blocks), 0, -1):
            out = "\n\n".join([*parts, *blocks[:shown], *self._foot(len(blocks) - shown)])
            if size(out) <= limit:
                return out
        lines = blocks[0].split("\n") if blocks else []
        for kept in range(len(lines) - 1, -1, -1):
            first = "\n".join([*lines[:kept], "  ..."])
            out = "\n\n".join([*parts, first, *self._foot(len(blocks) - 1)])
            if size(out) <= limit:
                return out
        out = "\n\n".join(parts)
        return out if size(out) <= limit else head[: limit // 4]

    def _foot(self, cut: int) -> list[str]:
        missing = cut + self.left_out
        return [f"... and {missing} more site(s) and asset(s) are left out; see {settings.ui_url()}"] if missing else []


def trial(now: datetime) -> Message:
    """The message that `usage-assets alert-test` sends."""
    note = f"Sent at {now:%Y-%m-%d %H:%M} UTC by usage-assets alert-test: alerts reach you by this channel."
    return Message("usage_assets: test of alerts", (), note=note)


def ranges(months: Iterable[str]) -> str:
    """Months as ranges, `2016-01..2016-05, 2017-02`, bounded in length."""
    spans: list[list[str]] = []
    for month in sorted(set(months) - {""}):
        if spans and _follows(spans[-1][-1], month):
            spans[-1][1:] = [month]
        else:
            spans.append([month])
    out = ""
    for number, span in enumerate(spans):
        part = _name("..".join(span))
        if len(out) + len(part) > _MONTHS:
            return f"{out} and {len(spans) - number} more"
        out += f", {part}" if out else part
    return out


def _follows(month: str, other: str) -> bool:
    try:
        return f"{next_month(date.fromisoformat(f'{month}-01')):%Y-%m}" == other
    except ValueError:
        return False


def _line(check: str, items: list[Item]) -> Line:
    items = sorted(items, key=lambda item: item.cause.month)
    sentences: dict[str, str] = {}
    for item in items:
        month = item.cause.month
        lead = f"{month}: " if month and len(items) > 1 and month not in item.text else ""
        sentences.setdefault(item.text, lead + item.text)
    samples = [item.sample for item in items if item.sample][:_SENTENCES]
    newest = max(items, key=lambda item: item.at)
    return Line(
        _name(check),
        ranges(item.cause.month for item in items),
        len(items),
        tuple(sentences.values())[:_SENTENCES],
        tuple(dict.fromkeys(samples)),
        newest.ref if check != NIGHTLY else "",
        newest.was,
    )


def _title(line: Line, group: Group) -> str:
    """The check and its months, in a few words."""
    months = f", {line.count} month(s): {line.months}" if line.count > 1 else f": {line.months}" if line.months else ""
    if group.severity == RECOVERED:
        return _BACK.get(line.check, f"{line.check} holds again (was {line.was})") + months
    return _FAILED.get(line.check, _check_of(line)) + months


def _check_of(line: Line) -> str:
    """The name of the check; of a notice its id stands behind it."""
    return line.check.partition(" ")[0]


def _links(line: Line, group: Group) -> list[tuple[str, str]]:
    """(word, address) of pages of the UI for the check."""
    base = settings.ui_url()
    out = []
    if line.run_id:
        out.append(("run", f"{base}/runs/{quote(line.run_id, safe='')}"))
    if group.asset.count("/") and line.check not in {RUN, NIGHTLY, FILE, MAIL}:
        path = "/".join(quote(part, safe="") for part in group.asset.split("/"))
        out.append(("checks", f"{base}/assets/{path}?view=checks&checkDetail={quote(_check_of(line), safe='')}"))
    return out


def _text(group: Group, *, slack: bool) -> str:
    """A group as plain text, or in Slack's markup."""
    escape = _escape if slack else str
    out = [f"*{group.severity}* {escape(group.title)}" if slack else f"{group.severity} {group.title}"]
    for line in group.lines[:_CHECKS]:
        links = _links(line, group)
        if slack:
            marked = " ".join(f"<{_escape(url)}|{word}>" for word, url in links)
            out.append(f"• {_escape(_title(line, group))} {marked}".rstrip())
        else:
            out.append(f"  {_title(line, group)}")
        if group.severity != RECOVERED:
            out += [f"    {'' if slack else '- '}{escape(sentence)}" for sentence in line.sentences]
            out += [f"    for example: {escape(sample)}" for sample in line.samples]
        if not slack:
            out += [f"    {url}" for _, url in links]
    if len(group.lines) > _CHECKS:
        out.append(f"  ... and {len(group.lines) - _CHECKS} more check(s)")
    return "\n".join(out)


def _mapping(group: Group) -> dict[str, Any]:
    checks = [vars(line) | {"links": dict(_links(line, group))} for line in group.lines[:_CHECKS]]
    for check in checks:
        del check["run_id"]  # a link leads there
    left_out = max(len(group.lines) - _CHECKS, 0)
    head = {"severity": group.severity, "site": group.site, "asset": group.asset}
    return head | {"checks": checks, "checks_left_out": left_out}


def _escape(text: str) -> str:
    """The text with & < > escaped: nothing else is markup to Slack that mentions people or hides a link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _name(text: str) -> str:
    return one_line(text)[:_NAME]
