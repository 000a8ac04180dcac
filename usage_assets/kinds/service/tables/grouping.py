"""What sums are grouped by, and the aggregates that daily and monthly sums share."""

from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Protocol

from usage_assets.kinds.service.facts.tables import SERVICE_REQUESTS
from usage_assets.kinds.service.raw.tables import NONE
from usage_assets.kinds.service.tables.declarations import ADDITIVE
from usage_assets.schema import Type

FACTS = SERVICE_REQUESTS.qualified


class SummedSite(Protocol):
    """What sums need of a site's file."""

    @property
    def key(self) -> str:
        """Stem of its file."""

    @property
    def max_request_hours(self) -> float:
        """How long a request may take."""


@dataclass(frozen=True)
class Grouping:
    """Keys of sums beside the date, and which distinct counts the table has."""

    who: str | None
    """Column of the person or team; None of sums by model."""
    distinct: tuple[str, ...]
    """Names of the distinct counts, of `DISTINCT`."""
    constant: str = ""
    """A further column of every row, as SQL."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Key columns in order."""
        return (*((self.who,) if self.who else ()), "model_id", "provider")

    @property
    def names(self) -> str:
        """The keys as SQL names them."""
        return ", ".join(self.keys)

    @property
    def counted(self) -> str:
        """The distinct counts as aggregates of columns named `<count>_of`."""
        return ", ".join(f"count(DISTINCT {name}_of) AS {name}" for name in self.distinct)

    @property
    def more(self) -> str:
        """The further column at the end of a list of columns."""
        return f", {self.constant}" if self.constant else ""

    @property
    def of_facts(self) -> str:
        """The keys as columns of the facts, where a team may be null."""
        return ", ".join(f"coalesce(team_id, '{NONE}') AS team_id" if key == "team_id" else key for key in self.keys)


DISTINCT = {"sessions": "session_id", "users": "user_id", "distinct_prompts": "prompt_hash"}
"""Distinct counts -> column of the facts; null and (none) do not count."""
USER = Grouping("user_id", ("sessions",), "'events' AS source")
TEAM = Grouping("team_id", ("sessions", "users"))
MODEL = Grouping(None, ("sessions", "users", "distinct_prompts"))

LATENCY = (
    "CASE WHEN final_state = 'succeeded' AND requests = 1 THEN round((lead_s + duration_s) * 1e6)::BIGINT END"
)  # fmt: skip
"""Latency in whole microseconds, so that its sums are exact and the same in any order; null = not known."""


def known(column: str) -> str:
    """A column of the facts, null where it holds the text for nothing known."""
    return f"nullif({column}, '{NONE}')"


def added(name: str, kind: Type, column: str = "") -> str:
    """The sum of an additive column over rows of a table that has it: exact, whatever the order of rows."""
    column = column or name
    if kind is Type.FLOAT:  # whole microseconds
        return f"(coalesce(sum(round({column} * 1e6)::BIGINT), 0) / 1e6)::DOUBLE AS {name}"
    return f"coalesce(sum({column}), 0)::{kind} AS {name}"


ADDED = ", ".join(added(column.name, column.type) for column in ADDITIVE)
"""Sums of all additive columns of a table that has them."""


def instant(day: date) -> datetime:
    """Midnight UTC at which a day begins."""
    return datetime.combine(day, time())
