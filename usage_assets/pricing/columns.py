"""What the caller says of the rows to price: their columns, and how their meters are billed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Columns:
    """The columns of the rows to price.

    `key` is unique. `at` (TIMESTAMP) chooses rates; `order` orders rows of equal instants for tiers (default: the key).
    `scopes` gives the column of each scope of the rates (VARCHAR), `quantities` that of each meter; `meters` is a
    MAP(VARCHAR, DECIMAL(38,9)) of further ones, in which a name of `quantities` is ignored. `billed` (BOOLEAN) is false
    for rows that no rate is for. `stated` is the source's amount, `stated_currency` its currency (null = the site's),
    `zero_known` (BOOLEAN) is true where a stated 0 is a price although `Billing.zero_is_unknown`.
    """

    key: Sequence[str]
    at: str
    scopes: Mapping[str, str]
    quantities: Mapping[str, str]
    order: Sequence[str] = ()
    meters: str | None = None
    billed: str | None = None
    stated: str | None = None
    stated_currency: str | None = None
    zero_known: str | None = None


@dataclass(frozen=True)
class Billing:
    """How meters are billed, in the site's currency.

    Meters of `optional` are billed where a row applies, all others that a row names must have one where their quantity
    is positive. `deducted` says of which meter another is a part: where a row applies to the part, its quantity is
    taken off the whole's (not below 0). With `zero_is_unknown` a stated 0 counts as not stated.
    """

    currency: str
    optional: frozenset[str] = frozenset()
    deducted: Mapping[str, str] = field(default_factory=dict)
    zero_is_unknown: bool = False
