"""What a kind gives when later raw rows are added to the stored facts of a month."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from usage_assets.specs.kind import Facts


@dataclass(frozen=True)
class AppendedFacts:
    """Facts of later raw rows: they replace the rows of the month that reach beyond `since`.

    The accounts are those of the whole month, `fingerprint` is the month's new one.
    """

    since: datetime
    facts: Facts
    fingerprint: str
