"""Preset: the mapping of a well-known format, which a site's file names in place of writing it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from usage_assets.kinds.service.site import mapping as site_mapping

Value = Callable[[str], str]
"""Column or path into JSON -> SQL of its text; NULL where the source has no such column."""


def _none(value: Value) -> Mapping[str, str]:
    del value
    return {}


@dataclass(frozen=True)
class Preset:
    """A mapping as site files have them, and what it takes beyond that.

    `expressions`: columns of MAPPED that only SQL can say, made of `value(path)`; they win over those of `mapping`, and
    a site's own mapping wins over both. `reason`: SQL of the reason why a row is no event, else null. `table`: that of
    the database. `lines`: of a text file with several events in a line, SQL (of the lines) of one line per event.
    `event_time`: of the format's time. `null`: texts that stand for no value beside the site's.
    """

    mapping: site_mapping.Mapping
    filter: site_mapping.Filter = field(default_factory=dict)
    expressions: Callable[[Value], Mapping[str, str]] = _none
    reason: Callable[[Value], str] | None = None
    table: str | None = None
    lines: Callable[[str], str] | None = None
    event_time: Literal["start", "end"] | None = None
    null: tuple[str, ...] = ()
