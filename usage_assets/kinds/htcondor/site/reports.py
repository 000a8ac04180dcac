"""The part of a site's file about reports: which are mailed, when, to whom, and in which words."""

import re
from datetime import time
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from usage_assets.core.text import mail_address
from usage_assets.core.yaml_files import Whole
from usage_assets.sites.base import Strict

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS: tuple[Weekday, ...] = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


def _time(value: Any) -> Any:
    if isinstance(value, time):
        return value
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        # YAML takes 06:00 without quotes for a number
        msg = f"{value!r} is no time of day; write it in quotes, as '06:00'"
        raise ValueError(msg)
    return time(int(found[1]), int(found[2]))


TimeOfDay = Annotated[time, BeforeValidator(_time)]
Address = Annotated[str, AfterValidator(mail_address)]
Words = Annotated[str, Field(min_length=1, max_length=60)]


class Mailing(Strict):
    """A report: `at` is when its period ends by the site's clocks, and from when on it is mailed; without `to` never.

    The month of a monthly report ends at midnight; it is mailed on the first day of the next one, from `at` on.
    """

    at: TimeOfDay = time(6)
    to: tuple[Address, ...] = ()


class Weekly(Mailing):
    """A weekly report: `day` is the one on which its seven days end."""

    day: Weekday = "monday"


class Wording(Strict):
    """Words of a report."""

    backfill: Words = "Backfill"
    allocation: Words = "Allocation"


class Reports(Strict):
    """The reports of a site."""

    daily: Mailing = Mailing()
    weekly: Weekly = Weekly()
    monthly: Mailing = Mailing()
    prefix: Words = "GPU pool"
    """Prefix of subjects."""
    model: Annotated[str, Field(min_length=1, max_length=100)] = "H200"
    """The model whose users are listed, by its display name."""
    days: Annotated[Whole, Field(ge=1, le=4000)] = 40
    """Pages of days and weeks are built for so many days before the newest poll; older ones stay as they are."""
    wording: Wording = Wording()
    channel: str | None = None
    """The mail channel of alerts.yaml whose server sends; none = the first one."""
