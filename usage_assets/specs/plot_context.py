"""What a figure is of, besides its rows: a site, and a month of it or its whole history."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any

from usage_assets.core.months import next_month
from usage_assets.sites.base import Site
from usage_assets.specs.metric import Metric

Figure = dict[str, Any]
Trace = dict[str, Any]
Window = tuple[datetime, datetime]
MACHINES = ("nodes", "devices")


@dataclass(frozen=True)
class Scene:
    """A site, and the month that is drawn; none for the whole history, whose window is that of its rows.

    Values after `extracted_at` do not exist yet. `shares_machines` says that servers hold parts of machines.
    """

    site: Site
    month: date | None = None
    extracted_at: datetime | None = None
    shares_machines: bool = False
    machines: tuple[str, ...] = MACHINES
    """Resources that stand for the site's machines, the best first."""
    node_types: tuple[str, ...] = ()
    """Every node type whose lead times the site has, of all months: what gives each its colour."""
    sites: Mapping[str, Site] = field(default_factory=dict)
    """Every site, for figures across sites."""
    machines_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The same as `machines` of every site, by its key."""
    kind_metrics: tuple[Metric, ...] = ()
    """Metrics of every kind beside those that all kinds share."""
    utilization_of: str | None = None
    """What utilization is a share of, where the site fixes it; see Scope."""
    horizon_days: int = 90
    """How far ahead lead times of the site are looked for."""

    @property
    def window(self) -> Window:
        """Start and end of the month."""
        assert self.month is not None
        return datetime.combine(self.month, time.min), datetime.combine(next_month(self.month), time.min)

    @property
    def label(self) -> str:
        """The time in a title."""
        return f"{self.month:%B %Y}" if self.month else "whole history"

    @property
    def read_at(self) -> datetime | None:
        """Where the month's last reading cuts it, if it does."""
        inside = self.month is not None and self.extracted_at is not None and self.extracted_at < self.window[1]
        return self.extracted_at if inside else None

    @property
    def read_text(self) -> str:
        """That it was read before its end, for the end of a subtitle."""
        return f", read {self.read_at:%Y-%m-%d %H:%M} UTC" if self.read_at else ""
