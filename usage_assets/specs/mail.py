"""Letters: reports that a site's file wants mailed, as automation sees them: when, to whom, and what they say."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True)
class DueReport:
    """A report that is to be mailed; `report` and `name` tell it from all others of its site."""

    report: str
    name: str
    months: tuple[date, ...]
    """The UTC months that it tells about: they are read again before it is sent."""
    end_at: datetime
    """Where its period ends, naive UTC: it is whole when the site was read after that."""
    due_at: datetime
    """From when on it may be sent, naive UTC."""
    to: Sequence[str]
    channel: str | None = None
    """The mail channel of alerts.yaml whose server sends it; none = the first one."""


@dataclass(frozen=True)
class MailMessage:
    """What a mail says."""

    subject: str
    text: str
    html: str | None = None
