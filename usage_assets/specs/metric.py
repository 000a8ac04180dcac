"""Metric: what one number of the timelines means, and how plots show it."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """A metric of the usage timeline.

    A counted metric has no formula. A derived one is the sum of `plus` less the sum of `minus`; a ratio divides the
    first of `plus` by one of `over`. Terms that are `optional` count as nothing where a site has none of them. One
    `of_time` is a share of a bucket's time: made from when the site was seen, not from facts or other metrics.
    """

    name: str
    label: str
    description: str
    colour: str
    plus: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()
    over: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    of_time: bool = False
    is_use: bool = False
    """A term of `occupied`, where a site counts it."""
    kind: Literal["stock", "flow"] = "stock"
    """A stock has a value at every instant and is never summed over time; a flow has a total, never averaged."""

    @property
    def is_counted(self) -> bool:
        """Built from facts, not from other metrics."""
        return not (self.plus or self.of_time)

    @property
    def is_ratio(self) -> bool:
        """A fraction: neither summed over node types nor integrated."""
        return bool(self.over) or self.of_time
