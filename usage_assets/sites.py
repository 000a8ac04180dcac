"""Site files -> typed models. A site is one deployment; `kind` says which model its file has."""

import os
import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from usage_assets import settings
from usage_assets.errors import SiteError
from usage_assets.site_rules import Exclusion, MetricSources, known_sources

_KEY = re.compile(r"^[a-z][a-z0-9_]*$")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_RESOLUTION = re.compile(r"^(\d+)(d|h|m)$")
_BACKTRACKS = re.compile(r"\(\?<?[=!]|\\[1-9]")
_MINUTES = {"d": 1440, "h": 60, "m": 1}


def _month(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}", value):
        return date(int(value[:4]), int(value[5:]), 1)
    if isinstance(value, date) and value.day == 1:
        return value
    msg = f"{value!r} is not a month; write it as 2016-01"
    raise ValueError(msg)


Month = Annotated[date, BeforeValidator(_month)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Gap(_Strict):
    """A time for which a source is known to hold no history: metrics made from it are null there."""

    source: str
    start: Annotated[date, Field(alias="from")] = date.min
    end: Annotated[date, Field(alias="to")]

    @model_validator(mode="after")
    def _has_a_length(self) -> "Gap":
        if self.end <= self.start:
            msg = f"to {self.end} does not lie after from {self.start}"
            raise ValueError(msg)
        return self


class NodeType(_Strict):
    """What the databases do not say of the machines whose hostname matches."""

    type: str | None = None
    gpus: int | None = Field(default=None, ge=0)


def _pattern(value: str, what: str) -> str:
    """The pattern, if it is a regular expression that can be matched in one pass."""
    try:
        re.compile(value)
    except re.error as error:
        msg = f"{value!r} is no pattern of {what}: {error}"
        raise ValueError(msg) from error
    if _BACKTRACKS.search(value):
        msg = f"{value!r}: a pattern of {what} can't look around ((?=, (?!, (?<=, (?<!) or refer back (\\1)"
        raise ValueError(msg)
    return value


class Maintenance(_Strict):
    """Which leases keep machines for maintenance: those of a project, and those whose name matches."""

    projects: tuple[str, ...] = ()
    lease_name: Annotated[str, AfterValidator(lambda value: _pattern(value, "lease names"))] | None = None

    @model_validator(mode="after")
    def _names_some(self) -> "Maintenance":
        if not self.projects and self.lease_name is None:
            msg = "name projects, a lease_name, or both; without maintenance leave the key out"
            raise ValueError(msg)
        return self


class Annotation(_Strict):
    """A remark that plots show at a date."""

    at: date
    text: str


class BaseSite(_Strict):
    """What every kind of site has."""

    key: str
    name: str
    first_month: Month = date(2016, 1, 1)
    resolution: str = "1d"
    known_gaps: tuple[Gap, ...] = ()
    annotations: tuple[Annotation, ...] = ()

    @field_validator("resolution")
    @classmethod
    def _divides_a_day(cls, value: str) -> str:
        match = _RESOLUTION.match(value)
        minutes = int(match[1]) * _MINUTES[match[2]] if match else 0
        if not minutes or 1440 % minutes:
            msg = f"{value!r} does not divide a day; write 1d, 1h, 30m ..."
            raise ValueError(msg)
        return value

    @property
    def bucket_minutes(self) -> int:
        """Width of a bucket of the usage timeline."""
        match = _RESOLUTION.match(self.resolution)
        assert match is not None
        return int(match[1]) * _MINUTES[match[2]]


Database = Literal["nova", "nova_cell0", "nova_api", "blazar", "zun", "chameleon_usage", "keystone"]


class OpenStackSite(BaseSite):
    """A research cloud: Nova, with or without Blazar (reservations) and Zun (containers on edge devices)."""

    kind: Literal["openstack"]
    databases: dict[Database, str] = Field(min_length=1)
    maintenance: Maintenance | None = None
    node_types: dict[str, NodeType] = {}
    utilization_of: Literal["reservable", "total"] | None = None
    project_names: dict[str, str] = {}
    hash_names: bool = False
    cleaning_minutes: int = Field(default=0, ge=0)
    leadtime_horizon_days: int = Field(default=90, ge=1)
    exclusions: tuple[Exclusion, ...] = ()
    sources: dict[str, MetricSources] = {}

    @field_validator("sources")
    @classmethod
    def _of_its_metric(cls, value: dict[str, MetricSources]) -> dict[str, MetricSources]:
        known_sources(value)
        return value

    @field_validator("node_types")
    @classmethod
    def _patterns(cls, value: dict[str, NodeType]) -> dict[str, NodeType]:
        for pattern in value:
            _pattern(pattern, "host names")
        return value

    @field_validator("known_gaps")
    @classmethod
    def _of_raw_tables(cls, value: tuple[Gap, ...]) -> tuple[Gap, ...]:
        if not value:
            return value
        from usage_assets.raw.openstack import BY_NAME  # noqa: PLC0415 - loads polars, which few commands need

        # a misspelt source would be a gap of nothing, and its zeros would pass for measured ones
        unknown = sorted({gap.source for gap in value} - set(BY_NAME))
        if unknown:
            msg = f"no raw table is named {', '.join(unknown)}; there are {', '.join(sorted(BY_NAME))}"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _has_machines(self) -> "OpenStackSite":
        if not {"nova", "blazar"} & set(self.databases):
            msg = "databases: name at least nova, or blazar for a site of edge devices"
            raise ValueError(msg)
        return self


# one model per kind; with a second kind this becomes a union discriminated by `kind`
Site = OpenStackSite
_ADAPTER: TypeAdapter[Site] = TypeAdapter(Site)
KINDS: tuple[str, ...] = ("openstack",)


def load_site(path: Path) -> Site:
    """The site of one file; SiteError names file, line and key."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        msg = f"{path.name}: can't be read ({error.strerror}); look at USAGE_SITES"
        raise SiteError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"{path.name}: is not UTF-8 text"
        raise SiteError(msg) from error
    if not _KEY.match(path.stem):
        msg = f"{path.name}: a site's key is its file's name: small letters, digits and _, beginning with a letter"
        raise SiteError(msg)
    data, lines = _parse(path, text)
    kind = data.get("kind")
    if kind not in KINDS:
        msg = f"{path.name}:{lines.get(('kind',), 1)}: kind is {kind!r}; allowed: {', '.join(KINDS)}"
        raise SiteError(msg)
    try:
        return _ADAPTER.validate_python(
            {**data, "key": path.stem, "name": data.get("name", path.stem)}, context={"folder": path.parent}
        )
    except ValidationError as error:
        raise SiteError(_describe(path, error, lines)) from None


def load_sites(folder: Path | None = None) -> dict[str, Site]:
    """All sites of a folder by key, sorted; SiteError names every bad file."""
    folder = settings.sites_dir() if folder is None else folder
    if not folder.is_dir():
        msg = f"{folder}: no such folder of site files; set USAGE_SITES"
        raise SiteError(msg)
    sites: dict[str, Site] = {}
    faults: list[str] = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            sites[path.stem] = load_site(path)
        except SiteError as error:
            faults.append(str(error))
    if faults:
        raise SiteError("\n".join(faults))
    return sites


def expand(url: str, *, where: str) -> str:
    """The URL with `${NAME}` taken from the environment; `USAGE_DATA` has its usual default."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        found = str(settings.data_dir()) if name == "USAGE_DATA" else os.environ.get(name)
        if found is None:
            msg = f"{where}: the environment has no {name}; set it (it is named in the site's file)"
            raise SiteError(msg)
        return found

    return _VARIABLE.sub(value, url)


def utc_now() -> datetime:
    """The wall clock as naive UTC, the one place that asks for it."""
    return datetime.now(tz=UTC).replace(tzinfo=None)


def _parse(path: Path, text: str) -> tuple[dict[str, Any], dict[tuple[str | int, ...], int]]:
    """The file's mapping and the line of each key path; YAML itself would take the last of two equal keys."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        msg = f"{path.name}:{line}: is not YAML ({getattr(error, 'problem', error)})"
        raise SiteError(msg) from error
    if not isinstance(data, dict):
        msg = f"{path.name}:1: expected keys and values, found {type(data).__name__}; see docs/adding-a-site.md"
        raise SiteError(msg)
    lines: dict[tuple[str | int, ...], int] = {}
    _walk(path, root, (), lines)
    return data, lines


def _walk(
    path: Path, node: yaml.Node | None, prefix: tuple[str | int, ...], lines: dict[tuple[str | int, ...], int]
) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            at = (*prefix, key.value)
            if at in lines:
                msg = f"{path.name}:{key.start_mark.line + 1}: {_dotted(at)} stands twice (also in line {lines[at]})"
                raise SiteError(msg)
            lines[at] = key.start_mark.line + 1
            _walk(path, value, at, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[*prefix, index] = value.start_mark.line + 1
            _walk(path, value, (*prefix, index), lines)


def _describe(path: Path, error: ValidationError, lines: dict[tuple[str | int, ...], int]) -> str:
    out = []
    for fault in error.errors(include_url=False, include_input=False):
        at = tuple(part for part in fault["loc"] if part != "[key]")
        line = next((lines[at[:n]] for n in range(len(at), 0, -1) if at[:n] in lines), 1)
        text = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            allowed = sorted(field.alias or name for name, field in Site.model_fields.items() if name != "key")
            text = "unknown key" + (f"; allowed: {', '.join(allowed)}" if len(at) == 1 else "")
        out.append(f"{path.name}:{line}: {_dotted(at)}: {text}" if at else f"{path.name}:{line}: {text}")
    return "\n".join(out)


def _dotted(at: tuple[str | int, ...]) -> str:
    return ".".join(map(str, at))
