"""The file of a service's site."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from usage_assets.core.yaml_files import Real, Whole
from usage_assets.kinds.service.raw.tables import EVENT_TYPES
from usage_assets.kinds.service.site.reports import Reports
from usage_assets.kinds.service.site.sources import Source, beside_the_site
from usage_assets.sites.base import BaseSite, Gap, Strict, expand
from usage_assets.sites.sql import PersonalRule, Tls

Days = Annotated[Whole, Field(ge=1, le=36_500)]
Share = Annotated[Real, Field(ge=0, le=1)]
Positive = Annotated[Real, Field(gt=0, allow_inf_nan=False)]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
PERSONAL = ("user_id", "team_id", "session_id")
"""Columns of events that a site's file may have hashed or dropped."""


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ValueError, OSError, KeyError):
        msg = f"{value!r} is no time zone that this machine knows; write its IANA name, such as America/Chicago"
        raise ValueError(msg) from None
    return value


def _file(value: str, info: ValidationInfo) -> Path:
    return Path(expand(beside_the_site(value, info), where="file"))


def _currency(value: str) -> str:
    if not 1 <= len(value) <= 10 or not value.isprintable() or value != value.strip():
        msg = f"{value!r} is no currency; write its code, such as USD"
        raise ValueError(msg)
    return value


def _many(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Zone = Annotated[str, AfterValidator(_zone)]
File = Annotated[Path, BeforeValidator(_file)]


class Retention(Strict):
    """After how many days months may be removed; none = kept for ever."""

    raw_events_days: Days | None = None
    facts_days: Days | None = None
    aggregates_days: Days | None = None


class Recommend(Strict):
    """Thresholds of recommendations (section 8 of the rules)."""

    window_days: Days = 30
    unused_days: Days = 30
    rare: Positive = 0.1
    failing: Share = 0.5
    often: Positive = 0.5
    rising: Positive = 1.2
    steady_success: Share = 0.9
    slow_s: Positive = 300.0
    unreliable: Share = 0.8
    cv: Positive = 0.5
    lookahead_hours: Annotated[Whole, Field(ge=1, le=168)] = 2
    min_requests: Annotated[Whole, Field(ge=1)] = 20


class ServiceSite(BaseSite):
    """A service that answers requests with models, read from its events."""

    not_keys: ClassVar[frozenset[str]] = frozenset({"litellm", "otel", "records", "legacy_json", "fields"})

    kind: Literal["service"]
    timezone: Zone | None = None
    """Zone of times that name none; without it such a row is refused."""
    reporting_tz: Zone = "UTC"
    """Name of the zone of periods in limits and reports."""
    currency: Annotated[str, AfterValidator(_currency)] = "USD"
    event_time: Literal["start", "end"] = "start"
    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    aliases: dict[str, str] = Field(default_factory=dict)
    """Model as sources spell it -> model_id."""
    accept: Annotated[tuple[str, ...], BeforeValidator(_many)] = ()
    """Event types beside those that are known."""
    rates: File | None = None
    exchange_rates: File | None = None
    limits: File | None = None
    inventory: File | None = None
    users: File | None = None
    max_parallel: Annotated[Whole, Field(ge=1)] | dict[str, Annotated[Whole, Field(ge=1)]] | None = None
    """Requests that run at once: of the service, or per model_id."""
    keep_prompts: bool = False
    zero_cost: Literal["stated", "unknown"] = "stated"
    """`unknown`: a stated cost of 0 counts as not stated, but for those that a reader knows."""
    max_request_hours: Annotated[Whole, Field(ge=1, le=744)] = 24
    late_days: Annotated[Whole, Field(ge=0, le=366)] = 7
    retention: Retention = Retention()
    recommend: Recommend = Recommend()
    performance_window_days: Days = 7
    preload_bytes: Annotated[Whole, Field(ge=0)] | None = None
    reports: Reports = Reports()
    """The usage reports that are mailed."""
    default_tiers: bool = False
    week_start: Weekday = "monday"
    personal: dict[str, PersonalRule] = Field(default_factory=dict)
    """Columns of events that name people -> hash or drop."""
    new_columns: Literal["accept", "aside", "refuse"] = "accept"
    """A file with columns that no rule names: read and told, set aside (listed as unreadable), or refused."""
    tls: Tls | None = None
    """How connections to databases are encrypted."""

    @field_validator("known_gaps")
    @classmethod
    def _of_the_events(cls, value: tuple[Gap, ...]) -> tuple[Gap, ...]:
        unknown = sorted({gap.source for gap in value} - {"usage_events"})
        if unknown:
            msg = f"no raw table is named {', '.join(unknown)}; there is usage_events"
            raise ValueError(msg)
        return value

    @field_validator("personal")
    @classmethod
    def _are_columns(cls, value: dict[str, PersonalRule]) -> dict[str, PersonalRule]:
        names = {name.removeprefix("usage_events."): rule for name, rule in value.items()}
        unknown = sorted(set(names) - set(PERSONAL))
        if unknown:
            msg = f"{', '.join(unknown)}: only these columns may be hidden: {', '.join(PERSONAL)}"
            raise ValueError(msg)
        return names

    @model_validator(mode="after")
    def _sources_have_own_names(self) -> "ServiceSite":
        names = [source.name for source in self.sources if source.name is not None]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            msg = f"sources: two of them are named {', '.join(twice)}; give each a name of its own"
            raise ValueError(msg)
        return self

    @property
    def zone(self) -> ZoneInfo:
        """The zone of periods in limits and reports."""
        return ZoneInfo(self.reporting_tz)

    @property
    def event_types(self) -> tuple[str, ...]:
        """Event types that are known or accepted."""
        return tuple(dict.fromkeys((*EVENT_TYPES, *self.accept)))

    @property
    def files(self) -> tuple[Path, ...]:
        """Rates, exchange rates, limits, inventory and users, of those that the site has."""
        named = (self.rates, self.exchange_rates, self.limits, self.inventory, self.users)
        return tuple(path for path in named if path is not None)

    def labels(self) -> tuple[str, ...]:
        """By what the source_file of each source's rows begins: `name/`, `2/` of the second source, '' of the first."""
        return tuple(
            f"{source.name or number}/" if source.name or number > 1 else ""
            for number, source in enumerate(self.sources, 1)
        )

    def capacity(self, model_id: str) -> int | None:
        """Requests of a model that run at once; None where the site's file does not say it."""
        return self.max_parallel.get(model_id) if isinstance(self.max_parallel, dict) else self.max_parallel
