"""Causes of alerts, the troubles found of them, and when two findings are the same."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from usage_assets.core.text import line

ERROR, WARN, RECOVERED = "ERROR", "WARN", "RECOVERED"
RUN, NIGHTLY, FILE, MAIL = "run", "nightly", "file", "mail"
"""In place of a check's name: a run, the nightly of a site, a file of the operator, the mail of a report."""

_SENTENCE = 400
_MASKS = (
    re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE),
    re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?: ?Z| ?UTC|[+-]\d{2}:?\d{2})?)?"),
    re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{7,}\b", re.IGNORECASE),
    re.compile(r"\d+(?:[.,:]\d+)*(?:e[+-]?\d+)?", re.IGNORECASE),
)


@dataclass(frozen=True, order=True)
class Cause:
    """Identity of an alert: a check of an asset in a month of a site, a run's month, a nightly, a file, a mail."""

    site: str
    asset: str
    check: str
    """Name of the check, or one of RUN, NIGHTLY, FILE, MAIL."""
    month: str = ""
    """As 2026-10; empty where there is none."""


@dataclass(frozen=True)
class Trouble:
    """A cause that fails, with severity and text, and the run that found it."""

    cause: Cause
    severity: str
    text: str
    ref: str = ""
    """Id of the run that found it; of a nightly the instant at which it was due."""
    sample: str = ""
    """Figures or rows as examples, on one line."""

    @property
    def fingerprint(self) -> str:
        """Text that has to change before the cause is reported again."""
        return f"{self.severity} {masked(self.text)}"


@dataclass(frozen=True)
class Verdict:
    """Result of one evaluation of an asset's check: its troubles, and which causes it covers.

    Known causes of `asset` and `check` that lie in `site` and `months` (None: in all) and are no trouble have
    recovered. `ref` is the run that evaluated it.
    """

    asset: str
    check: str
    site: str | None
    months: frozenset[str] | None
    troubles: Mapping[Cause, Trouble] = field(default_factory=dict)
    ref: str = ""
    unseen: Collection[str] = ()
    """Sites that can't be checked now: an evaluation of all sites does not clear their causes."""

    def clears(self, cause: Cause) -> bool:
        """Whether a known cause of this asset and check has recovered."""
        of_site = cause.site not in self.unseen if self.site is None else cause.site == self.site
        of_month = self.months is None or not cause.month or cause.month in self.months
        return of_site and of_month and cause not in self.troubles


def masked(text: str) -> str:
    """The sentence without what differs from night to night: numbers, instants, hashes, ids of runs."""
    for mask in _MASKS:
        text = mask.sub("#", text)
    return " ".join(text.split())


def sentence(text: str) -> str:
    """Text of any source as one line of bounded length."""
    return line(text, _SENTENCE)
