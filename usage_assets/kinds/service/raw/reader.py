"""Reader: the parts of one source of events, and the rows of each as SQL in one shape, MAPPED, whatever the source.

A reader says what a row is; whether it counts is judged alike for all of them (`rules`).
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from usage_assets.core.errors import SourceError
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.specs.access_report import ServerAccess

TEXTS = (
    "event_id", "user_id", "team_id", "session_id", "request_id", "model_id", "model_raw", "provider", "event_type",
    "currency", "error", "parameters", "prompt", "prompt_hash", "time_of",
)  # fmt: skip
NUMBERS = (
    "requests", "input_tokens", "output_tokens", "cached_tokens", "cost", "duration_s", "queue_s", "first_output_s",
    "success",
)  # fmt: skip
MAPPED: dict[str, str] = {
    "source_row": "BIGINT",
    **dict.fromkeys(TEXTS, "VARCHAR"),
    "ts": "TIMESTAMP",
    **dict.fromkeys(NUMBERS, "VARCHAR"),
    "meters": "MAP(VARCHAR, VARCHAR)",
    "cost_known": "BOOLEAN",
    "identity": "VARCHAR",
    "reason": "VARCHAR",
}
"""Columns and types of a reader's rows; one that a reader leaves out is null.

source_row: number of the row in its part, from 1; null = its place in the relation (then the relation has every row of
the part, in order). ts: UTC, null = no good time (`zone.instant` reads texts). Numbers are texts as the source has
them: they are judged later, a null is not known. meters: name -> text of the quantity. parameters: JSON. prompt: text
of a prompt, of which a hash is kept. time_of: `start`, `end`, or null = the site's event_time. cost_known: true of a
stated 0 that is a price (a cache hit). model_id: the model's name before the site's aliases; null = model_raw.
identity: text of the whole row, read of rows without an event_id; null = the mapped columns stand for it. reason:
`unreadable`, `not_usage` or `nested` where the reader found it, else null.
"""


BLANK = "blank"
"""Reason of an empty line, which is no row; one without a source_row must not have it."""


class PartError(SourceError):
    """A part that can't be read (a broken file): it is listed as `unreadable`, the others are read."""


@dataclass(frozen=True)
class Part:
    """What is read as a whole or not at all: a file, or a range of a table.

    `name` is the source_file of its rows, unique within the source and the same on every machine: a path relative to
    the source's, or table and range. `fingerprint`: while it is the same, what the part holds is the same; None = not
    known, the part is read each time that a run covers one of its months. `months`: the only ones that it may hold rows
    of; None = any. `handle`: what the reader needs to find it again.
    """

    name: str
    fingerprint: str | None
    months: tuple[date, ...] | None = None
    handle: Any = None


class Reader(ABC):
    """The events of one source of a site."""

    name: str
    """litellm, otel, records or legacy_json: column `reader` of its rows."""

    def __init__(self, site: ServiceSite, source: Any) -> None:
        self.site = site
        self.source = source

    @property
    def time_of(self) -> str:
        """Whether ts of an outcome is its start or its end, where a row does not say it."""
        return self.source.event_time or self.site.event_time

    @property
    def lists_all(self) -> bool:
        """Whether what is not among `parts` any more was removed at its source: its rows are then marked as gone."""
        return True

    @abstractmethod
    def parts(self, months: Collection[date]) -> Sequence[Part]:
        """Every part that there is, in the order of names; of a table the ranges that the months need.

        SourceError where the source itself can't be found: then nothing is stored.
        """

    @abstractmethod
    def rows(self, con: duckdb.DuckDBPyConnection, part: Part) -> AbstractContextManager[str]:
        """SQL of a SELECT that gives the part's rows, columns of MAPPED by name, to be run within the block.

        A row of the source is never left out silently: one that is no request has a `reason`. Values of the site's file
        are literals made by `values.literal`. PartError where the part can't be read.
        """

    def mended(self, part: Part, folder: Path) -> Part | None:
        """A copy in a folder of what can be read of a part that `rows` found broken; None where nothing can."""
        del part, folder
        return None

    def describe(self, con: duckdb.DuckDBPyConnection, part: Part) -> tuple[Sequence[str], Sequence[str]]:
        """Columns of a part that are mapped, and those that are not; for check-site."""
        del con, part
        return (), ()

    def reached(self) -> tuple[Sequence[ServerAccess], Sequence[str]]:
        """How the source's server is reached, and remarks on what it holds; for check-site. Nothing of files."""
        return (), ()

    def grants(self) -> str:
        """What an administrator gives the account that reads; never with a password."""
        return ""
