"""The part of a site's file about reports: which are mailed, when, to whom, and in which words."""

from typing import Annotated, Literal

from pydantic import Field

from usage_assets.core.yaml_files import Whole
from usage_assets.sites.base import Strict
from usage_assets.sites.mailing import Mailing

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS: tuple[Weekday, ...] = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
Words = Annotated[str, Field(min_length=1, max_length=60)]


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
