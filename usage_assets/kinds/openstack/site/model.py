"""The file of an OpenStack site."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from usage_assets.core.yaml_files import Real, Whole
from usage_assets.kinds.openstack.raw.tables import BY_NAME
from usage_assets.kinds.openstack.site.personal import Personal, fits
from usage_assets.kinds.openstack.site.rules import Exclusion, MetricSources, known_sources
from usage_assets.sites.base import Gap, Strict
from usage_assets.sites.sql import SqlSite

_BACKTRACKS = re.compile(r"\(\?<?[=!]|\\[1-9]")


Size = Annotated[Real, Field(gt=0, allow_inf_nan=False)]


class NodeType(Strict):
    """Attributes that the databases lack of machines whose hostname matches; names compare without case."""

    type: str | None = None
    gpus: Whole | None = Field(default=None, ge=0)
    vcpus: Size | None = None
    memory_mb: Size | None = None
    disk_gb: Size | None = None


def _patterns_of(what: str) -> AfterValidator:
    """Validates a pattern, or several: each a regular expression that can be matched in one pass."""

    def check(value: Any) -> Any:
        for pattern in (value,) if isinstance(value, str) else value:
            try:
                re.compile(pattern)
            except re.error as error:
                msg = f"{pattern!r} is no pattern of {what}: {error}"
                raise ValueError(msg) from error
            if _BACKTRACKS.search(pattern):
                msg = f"{pattern!r}: a pattern of {what} can't look around ((?=, (?!, (?<=, (?<!) or refer back (\\1)"
                raise ValueError(msg)
        return value

    return AfterValidator(check)


class Maintenance(Strict):
    """Leases for maintenance: those of a project, and those whose name matches."""

    projects: tuple[str, ...] = ()
    lease_name: Annotated[str, _patterns_of("lease names")] | None = None

    @model_validator(mode="after")
    def _names_some(self) -> "Maintenance":
        if not self.projects and self.lease_name is None:
            msg = "name projects, a lease_name, or both; without maintenance leave the key out"
            raise ValueError(msg)
        return self


Database = Literal["nova", "nova_cell0", "nova_api", "blazar", "zun", "chameleon_usage", "keystone"]


class OpenStackSite(SqlSite):
    """A research cloud: Nova, with or without Blazar (reservations) and Zun (containers on edge devices)."""

    kind: Literal["openstack"]
    databases: dict[Database, str] = Field(min_length=1)
    maintenance: Maintenance | None = None
    node_types: Annotated[dict[str, NodeType], _patterns_of("host names")] = Field(default_factory=dict)
    gpu_aliases: Annotated[tuple[str, ...], _patterns_of("PCI aliases")] | None = None
    """PCI aliases of flavors that are GPUs, exact names or patterns; absent: those whose words name GPUs."""
    gpu_extra_spec: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]+$")] | None = None
    """Extra spec of flavors that holds their number of GPUs."""
    utilization_of: Literal["reservable", "total"] | None = None
    project_names: dict[str, str] = Field(default_factory=dict)
    hash_names: bool = False
    personal: Personal = Field(default_factory=dict)
    cleaning_minutes: Whole = Field(default=0, ge=0)
    leadtime_horizon_days: Whole = Field(default=90, ge=1)
    exclusions: tuple[Exclusion, ...] = ()
    sources: Annotated[dict[str, MetricSources], AfterValidator(known_sources)] = Field(default_factory=dict)

    @field_validator("known_gaps")
    @classmethod
    def _of_raw_tables(cls, value: tuple[Gap, ...]) -> tuple[Gap, ...]:
        # a misspelt source would be a gap of nothing, and its zeros would pass for measured ones
        unknown = sorted({gap.source for gap in value} - set(BY_NAME))
        if unknown:
            msg = f"no raw table is named {', '.join(unknown)}; there are {', '.join(sorted(BY_NAME))}"
            raise ValueError(msg)
        return value

    @property
    def listed_sources(self) -> frozenset[str]:
        """Names of the sources that `sources` lists for any metric."""
        return frozenset(source.name for metric in self.sources.values() for source in metric)

    @property
    def files(self) -> tuple[Path, ...]:
        """The operator's inventories."""
        return tuple(source.file for metric in self.sources.values() for source in metric if source.file is not None)

    @model_validator(mode="after")
    def _has_machines(self) -> "OpenStackSite":
        if not {"nova", "blazar"} & set(self.databases):
            msg = "databases: name at least nova, or blazar for a site of edge devices"
            raise ValueError(msg)
        fits(self.personal, self)
        return self
