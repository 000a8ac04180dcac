"""What the files of sites of every kind have in common."""

import re
from datetime import date
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from usage_assets.core import settings
from usage_assets.core.errors import SiteError
from usage_assets.core.yaml_files import Whole

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_RESOLUTION = re.compile(r"^(\d+)(d|h|m)$")
_OWNER = re.compile(r"team:[\w.-]+|[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}")  # as Dagster takes them
_MINUTES = {"d": 1440, "h": 60, "m": 1}


def _month(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}", value):
        return date(int(value[:4]), int(value[5:]), 1)
    if isinstance(value, date) and value.day == 1:
        return value
    msg = f"{value!r} is not a month; write it as 2016-01"
    raise ValueError(msg)


Month = Annotated[date, BeforeValidator(_month)]


class Strict(BaseModel):
    """A part of a site's file: no unknown keys, and never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Gap(Strict):
    """A time for which a source is known to hold no history: metrics made from it are null there."""

    source: str
    start: Annotated[date, Field(alias="from")] = date.min
    end: Annotated[date, Field(alias="to")]

    @model_validator(mode="after")
    def _has_a_length(self) -> "Gap":
        if self.end <= self.start:
            msg = f"to {self.end} does not lie after from {self.start}"
            raise ValueError(msg)
        return self


class Annotation(Strict):
    """A remark that plots show at a date."""

    at: date
    text: str


class BaseSite(Strict):
    """What every kind of site has."""

    not_keys: ClassVar[frozenset[str]] = frozenset()
    """Parts of a fault's place that the models add, and that are no keys of the file."""

    kind: str
    key: str
    name: str
    first_month: Month = date(2016, 1, 1)
    resolution: str = "1d"
    settle_days: Whole = Field(default=31, ge=0, le=366)
    """How long after its end a month is read again every night: deletions and extensions arrive late."""
    known_gaps: tuple[Gap, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    owners: tuple[str, ...] = ()
    """Who answers for the site's numbers, as the UI shows it: mail addresses, and teams as team:NAME."""

    @field_validator("owners")
    @classmethod
    def _can_be_shown(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for owner in value:
            if not _OWNER.fullmatch(owner):
                msg = f"{owner!r} is no owner; write team:NAME or a mail address"
                raise ValueError(msg)
        return value

    @field_validator("resolution")
    @classmethod
    def _divides_a_day(cls, value: str) -> str:
        match = _RESOLUTION.match(value)
        minutes = int(match[1]) * _MINUTES[match[2]] if match else 0
        if not minutes or 1440 % minutes:
            msg = f"{value!r} does not divide a day; write 1d, 1h, 30m ..."
            raise ValueError(msg)
        return value

    @property
    def files(self) -> tuple[Path, ...]:
        """Files that the site's file names and that a backup saves with it."""
        return ()

    @property
    def bucket_minutes(self) -> int:
        """Width of a bucket of the usage timeline."""
        match = _RESOLUTION.match(self.resolution)
        assert match is not None
        return int(match[1]) * _MINUTES[match[2]]


Site = BaseSite
"""A site of any kind."""


def expand(url: str, *, where: str) -> str:
    """The URL with `${NAME}` taken from the environment or the secrets file; `USAGE_DATA` has its usual default."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        found = str(settings.data_dir()) if name == "USAGE_DATA" else settings.secret(name)
        if found is None:
            msg = f"{where}: the environment has no {name}, nor has the secrets file; set it (the site's file names it)"
            raise SiteError(msg)
        return found

    return _VARIABLE.sub(value, url)
