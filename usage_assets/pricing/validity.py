"""Rows that are valid for a time: half-open [valid_from, valid_to), and what must not overlap."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import TypeVar

from usage_assets.core.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Valid:
    """A row of a file that holds from an instant until another (None = open); `place` is its file and line."""

    place: str
    valid_from: datetime
    valid_to: datetime | None = None

    def covers(self, at: datetime) -> bool:
        """Whether the row is valid at an instant."""
        return self.valid_from <= at and (self.valid_to is None or at < self.valid_to)

    def refuse_empty(self, error: type[UsageError]) -> None:
        """`error` where the row is never valid."""
        if self.valid_to is not None and self.valid_to <= self.valid_from:
            msg = f"{self.place}: valid_to: {self.valid_to} is not after valid_from {self.valid_from}"
            raise error(msg)


_Row = TypeVar("_Row", bound=Valid)


def refuse_overlaps(rows: Iterable[_Row], key: Callable[[_Row], Hashable], named: str, error: type[UsageError]) -> None:
    """`error`, naming both rows, where two rows with one key are valid at one instant."""
    alike: dict[Hashable, list[_Row]] = defaultdict(list)
    for row in rows:
        alike[key(row)].append(row)
    for some in alike.values():
        for first, second in pairwise(sorted(some, key=lambda row: row.valid_from)):
            if first.covers(second.valid_from):
                msg = (
                    f"{second.place} and {first.place}: {named} overlap from {second.valid_from:%Y-%m-%dT%H:%M:%SZ} "
                    f"on; end one of them before (valid_to of the earlier row = valid_from of the later one)"
                )
                raise error(msg)


def text_of(number: Decimal) -> str:
    """A decimal's digits without zeros at its end: 1, 0.95, 1000."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
