"""Exclusions and sources of metrics in a site's file: models only, facts apply them."""

from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from usage_assets.core import settings
from usage_assets.kinds.openstack.raw.tables import BY_NAME
from usage_assets.schema import Type

FilledText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Policy = Literal["authoritative", "gap_fill", "supplement"]

HAVE_INTERVALS = (
    *("nova_compute_nodes", "nova_services", "nova_instances", "nova_cell0_instances"),
    *("blazar_computehosts", "blazar_computehost_allocations", "blazar_devices", "blazar_device_allocations"),
    "zun_container",
)
"""Raw tables whose rows make intervals."""
HAVE_ALLOCATIONS = ("blazar_leases", "blazar_reservations")
"""Raw tables whose rows bound allocations: without the row, the allocations do not run."""

INVENTORY = "inventory"
LEGACY_COUNTS = "chameleon_usage_node_count_cache"
SOURCES_OF_METRIC = {"total": ("nova_compute_nodes", "nova_services", INVENTORY, LEGACY_COUNTS)}
"""The sources to choose from by metric; other metrics have no choice."""


class _Rule(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _instant(value: object) -> object:
    """A date, or an instant of any zone, as naive UTC."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            msg = f"{value!r} is no date; write it as 2019-05-01 or 2019-05-01 12:00"
            raise ValueError(msg) from None
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    return datetime.combine(value, time()) if isinstance(value, date) else value


Instant = Annotated[datetime, BeforeValidator(_instant)]


class Exclusion(_Rule):
    """Time of rows that does not count: of those whose columns have one of the values, within `[start, end)`.

    `where` holds each value as the text that the warehouse shows of it; a null bound is open.
    """

    table: str
    where: dict[str, tuple[str, ...]]
    start: Annotated[Instant | None, Field(alias="from")] = None
    end: Annotated[Instant | None, Field(alias="to")] = None
    reason: FilledText
    by: FilledText

    @model_validator(mode="before")
    @classmethod
    def _matches_columns(cls, value: Any) -> Any:
        if not isinstance(value, dict) or "table" not in value or not isinstance(value.get("where"), dict):
            return value
        return {**value, "where": _texts(str(value["table"]), value["where"])}

    @model_validator(mode="after")
    def _has_a_length(self) -> "Exclusion":
        if self.start is not None and self.end is not None and self.end <= self.start:
            msg = f"to {self.end} does not lie after from {self.start}"
            raise ValueError(msg)
        return self

    @property
    def explanation(self) -> str:
        """By whom the time was excluded, and why, as facts.rejects shows it."""
        return f"excluded by {self.by}: {self.reason}"


def _texts(table: str, where: dict[Any, Any]) -> dict[str, tuple[str, ...]]:
    """Column -> the texts that its value may have."""
    tables = (*HAVE_INTERVALS, *HAVE_ALLOCATIONS)
    if table not in tables:
        msg = f"rows of {table!r} can't be excluded, only those of {', '.join(tables)}"
        raise ValueError(msg)
    if not where:
        msg = "where names no column; to exclude every row of the table, name a column with all its values"
        raise ValueError(msg)
    types = {column.name: column.type for column in BY_NAME[table].columns}
    out = {}
    for column, wanted in where.items():
        if column not in types:
            msg = f"{table} has no column {column}; there are {', '.join(types)}"
            raise ValueError(msg)
        values = wanted if isinstance(wanted, (list, tuple)) else [wanted]
        if not values:
            msg = f"where.{column} names no value"
            raise ValueError(msg)
        out[column] = tuple(_text(column, value, types[column]) for value in values)
    return out


def _text(column: str, value: object, kind: Type) -> str:
    if value is None or isinstance(value, (list, dict)):
        msg = f"where.{column}: {value!r} is no value; name one, or a list of them"
        raise ValueError(msg)
    if kind == Type.TEXT and not isinstance(value, str):
        # YAML reads 0123 as a number, and an id of digits only would never match
        msg = f"where.{column}: the column is text, YAML reads {value!r} as a {type(value).__name__}; put it in quotes"
        raise ValueError(msg)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):
        at = _instant(value)
        assert isinstance(at, datetime)
        return at.isoformat(" ")
    return repr(float(value)) if kind == Type.FLOAT and isinstance(value, int) else str(value)


class MetricSource(_Rule):
    """A source of a metric, and its policy beside others."""

    name: str
    policy: Policy
    file: Path | None = None

    @field_validator("file")
    @classmethod
    def _beside_the_site(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is not None and value.parts[:1] == ("${USAGE_DATA}",):
            return settings.data_dir().joinpath(*value.parts[1:])
        folder = (info.context or {}).get("folder")
        return value if value is None or folder is None else folder / value

    @model_validator(mode="after")
    def _has_a_file(self) -> "MetricSource":
        if (self.name == INVENTORY) != (self.file is not None):
            msg = (
                f"{INVENTORY} needs file: the CSV, JSON or Parquet file with its machines"
                if self.file is None
                else f"{self.name} is a raw table and has no file; only {INVENTORY} has one"
            )
            raise ValueError(msg)
        return self


def _with_defaults(value: object) -> object:
    """Names alone become sources; the first is authoritative, the others fill gaps."""
    if not isinstance(value, (list, tuple)):
        msg = "expected a list of sources, such as [nova_compute_nodes, {name: inventory, file: inventory.csv}]"
        raise ValueError(msg)
    entries = [{"name": entry} if isinstance(entry, str) else entry for entry in value]
    return tuple(
        {"policy": "gap_fill" if number else "authoritative"} | entry if isinstance(entry, dict) else entry
        for number, entry in enumerate(entries)
    )


MetricSources = Annotated[tuple[MetricSource, ...], BeforeValidator(_with_defaults)]


def known_sources(sources: dict[str, MetricSources]) -> dict[str, MetricSources]:
    """The sources; ValueError if a metric has no choice, or a source is none of its own or stands twice."""
    for metric, listed in sources.items():
        allowed = SOURCES_OF_METRIC.get(metric)
        if allowed is None:
            msg = f"{metric} has no sources to choose from; only {', '.join(SOURCES_OF_METRIC)} has"
            raise ValueError(msg)
        names = [source.name for source in listed]
        unknown = sorted(set(names) - set(allowed))
        if unknown:
            msg = f"{metric} can't be made from {', '.join(unknown)}; its sources are {', '.join(allowed)}"
            raise ValueError(msg)
        if len(set(names)) < len(names):
            msg = f"{metric} names a source twice: {', '.join(names)}"
            raise ValueError(msg)
        if not set(names) - {LEGACY_COUNTS}:
            msg = f"{metric} needs a source with machines: {', '.join(allowed[:-1])}"
            raise ValueError(msg)
    return sources
