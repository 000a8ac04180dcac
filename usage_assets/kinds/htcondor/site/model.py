"""The file of a GPU pool that HTCondor runs: where its snapshots lie, and the rules for hosts and devices."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from usage_assets.core.errors import SiteError
from usage_assets.core.yaml_files import Real, Whole
from usage_assets.kinds.htcondor.pool.rules import Pool
from usage_assets.kinds.htcondor.site.host_lists import hosts_of, masks_of, read_hosted, read_masked
from usage_assets.kinds.htcondor.site.reports import Reports
from usage_assets.sites.base import BaseSite, Gap, Strict, expand

MONTH = "{month}"
FILES = (f"gpu_state_{MONTH}.db", f"gpu_state_{MONTH}.parquet")
_BEGINS_WITH_NAME = re.compile(r"^\$\{[A-Za-z_][A-Za-z0-9_]*\}")


def _one_or_many(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _beside_the_site(value: str, info: ValidationInfo) -> str:
    """A folder of the site's file: below that file's own, unless a variable names it."""
    folder = (info.context or {}).get("folder")
    return value if folder is None or _BEGINS_WITH_NAME.match(value) else str(folder / value)


def _pattern(value: str) -> str:
    if "/" in value or "\\" in value or "\0" in value:
        msg = f"{value!r} names a folder; put it in folder, and only the file's name here"
        raise ValueError(msg)
    if value.count(MONTH) != 1:
        msg = f"{value!r} must hold {MONTH} once, where the file's name has its month: gpu_state_{MONTH}.parquet"
        raise ValueError(msg)
    return value


def _folder(value: str, info: ValidationInfo) -> str:
    if not value.strip() or "\0" in value:
        msg = "names no folder"
        raise ValueError(msg)
    if MONTH in value:
        msg = f"{value!r}: {MONTH} belongs into the names of files; name each folder"
        raise ValueError(msg)
    return _beside_the_site(value, info)


class Snapshots(Strict):
    """A folder with files of snapshots; those of a month match one of the patterns, `{month}` being 2025-03."""

    folder: Annotated[str, AfterValidator(_folder)]
    files: Annotated[
        tuple[Annotated[str, AfterValidator(_pattern)], ...], BeforeValidator(_one_or_many), Field(min_length=1)
    ] = FILES

    def path(self, site: str) -> Path:
        """The folder with its variables expanded; SiteError where one is not set."""
        return Path(expand(self.folder, where=f"site {site}: snapshots"))


def _names_one_file(pattern: str) -> bool:
    return pattern.endswith(".parquet") and not re.search(r"[*?]", pattern)


def _folders(value: object) -> object:
    entries = value if isinstance(value, (list, tuple)) else [value]
    return tuple({"folder": entry} if isinstance(entry, str) else entry for entry in entries)


_SECRET = {"capability", "claimid", "claimids", "claimidlist", "pairedclaimid", "childclaimids", "transferkey"}


def _address(value: str) -> str:
    if not re.fullmatch(r"[\w.\-:\[\]${}]{1,300}", value, flags=re.ASCII):
        msg = f"{value!r} is no address of a collector; write host or host:port, such as cm.pool.example.edu:9618"
        raise ValueError(msg)
    return value


def _condition(value: str) -> str:
    if not value.strip() or not value.isprintable() or len(value) > 2000:
        msg = f"{value[:100]!r} is no condition on slots; write one line such as 'Pool == \"campus\"'"
        raise ValueError(msg)
    return value


def _attribute(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_]\w{0,99}", value, flags=re.ASCII):
        msg = f"{value!r} is no name of an attribute of a slot"
        raise ValueError(msg)
    if value.lower() in _SECRET:
        msg = f"{value} is what a slot is claimed with, and belongs in no file"
        raise ValueError(msg)
    return value


class Collector(Strict):
    """The pool that `usage-assets collect` asks: its collector, or several of them that know the same slots."""

    pool: Annotated[
        tuple[Annotated[str, AfterValidator(_address)], ...], BeforeValidator(_one_or_many), Field(min_length=1)
    ]
    constraint: Annotated[str, AfterValidator(_condition)] | None = None
    """Further condition on slots, beside that they have GPUs."""
    projection: tuple[Annotated[str, AfterValidator(_attribute)], ...] = ()
    """Attributes that files hold beside those that the product reads."""
    folder: Annotated[str, AfterValidator(_beside_the_site)] | None = None


class HostFile(Strict):
    """A file beside the site's one."""

    file: Path

    @field_validator("file")
    @classmethod
    def _beside_the_site(cls, value: Path, info: ValidationInfo) -> Path:
        folder = (info.context or {}).get("folder")
        if folder is None or value.parts[:1] == ("${USAGE_DATA}",):
            return Path(expand(str(value), where="file"))
        return Path(folder / value)


def _or_file(otherwise: Callable[[object], object]) -> BeforeValidator:
    """`{file: ...}` as such, which would pass for a host named file; all else as `otherwise` reads it."""

    def read(value: object, info: ValidationInfo) -> object:
        if isinstance(value, dict) and set(value) == {"file"}:
            return HostFile.model_validate(value, context=info.context)
        return value if isinstance(value, HostFile) else otherwise(value)

    return BeforeValidator(read)


class Band(Strict):
    """GPUs with less memory than `below` GB (and not less than the band before): without a bound the last band."""

    label: Annotated[str, Field(min_length=1, max_length=40)]
    below: Annotated[Real, Field(gt=0, allow_inf_nan=False)] | None = None


def _bands(value: object) -> object:
    """`{44: <48GB, rest: >80GB}` would hide the order: a list of {below, label} it is."""
    if not isinstance(value, (list, tuple)):
        msg = "expected a list such as [{below: 44, label: <48GB}, {label: 48GB and more}]"
        raise ValueError(msg)
    return value


def _minutes(value: int) -> int:
    if 1440 % value:
        msg = f"{value} does not divide a day; write 5, 15, 30 ..."
        raise ValueError(msg)
    return value


Words = tuple[Annotated[str, Field(min_length=1, max_length=200)], ...]
Minutes = Annotated[Whole, Field(ge=1, le=1440), AfterValidator(_minutes)]


class HTCondorSite(BaseSite):
    """A pool of GPUs under HTCondor, read from snapshots of its slots in files by month."""

    kind: Literal["htcondor"]
    snapshots: Annotated[tuple[Snapshots, ...], BeforeValidator(_folders), Field(min_length=1)]
    poll_minutes: Annotated[Whole, Field(ge=1, le=1440)] = 15
    counted_minutes: Annotated[Minutes, Field(alias="bucket_minutes")] = 15
    """Width of the buckets in which polls are counted, `bucket_minutes` of the file."""
    timezone: str = "UTC"
    hosted: Annotated[tuple[str, ...] | HostFile, _or_file(hosts_of)] = ()
    masked: Annotated[dict[str, str] | HostFile, _or_file(masks_of)] = Field(default_factory=dict)
    filtered_devices: Words | None = None
    flagship: Words | None = None
    memory_bands: Annotated[tuple[Band, ...], BeforeValidator(_bands), Field(min_length=1)] | None = None
    display_names: dict[str, Annotated[str, Field(min_length=1, max_length=200)]] = Field(default_factory=dict)
    reports: Reports = Reports()
    collector: Collector | None = None

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ValueError, OSError, KeyError) as error:
            known = " that this machine knows" if isinstance(error, KeyError) else ""
            msg = f"{value!r} is no time zone{known}; write its IANA name, such as America/Chicago"
            raise ValueError(msg) from None
        return value

    @field_validator("memory_bands")
    @classmethod
    def _in_order(cls, value: tuple[Band, ...] | None) -> tuple[Band, ...] | None:
        if value is None:
            return None
        bounds = [math.inf if band.below is None else band.below for band in value]
        if bounds != sorted(set(bounds)) or bounds[-1] != math.inf:
            msg = "bands stand in order, each with a greater bound (below), the last one without a bound"
            raise ValueError(msg)
        return value

    @field_validator("known_gaps")
    @classmethod
    def _of_the_snapshots(cls, value: tuple[Gap, ...]) -> tuple[Gap, ...]:
        unknown = sorted({gap.source for gap in value} - {"gpu_state"})
        if unknown:
            msg = f"no raw table is named {', '.join(unknown)}; there is gpu_state"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _collects_what_is_read(self) -> "HTCondorSite":
        if self.collector is not None and (number := len(self._collected())) != 1:
            msg = (
                "collector: name the one folder of snapshots that polls are written to (folder), with a pattern of "
                f"Parquet files without * or ?, such as gpu_state_{MONTH}.parquet; there are {number}"
            )
            raise ValueError(msg)
        return self

    def _collected(self) -> list[tuple[Snapshots, str]]:
        """Folders that polls may be written to, with the pattern of the months' files."""
        folder = None if self.collector is None else self.collector.folder
        return [
            (each, next(filter(_names_one_file, each.files)))
            for each in dict.fromkeys(self.snapshots)
            if folder in {None, each.folder} and any(map(_names_one_file, each.files))
        ]

    def collected(self) -> tuple[Path, str]:
        """Folder and pattern of the files that `usage-assets collect` writes; SiteError where it does not."""
        if self.collector is None:
            msg = f"site {self.key}: its file names no collector to ask; add `collector: {{pool: host:port}}`"
            raise SiteError(msg)
        ((snapshots, pattern),) = self._collected()
        return snapshots.path(self.key), pattern

    @property
    def zone(self) -> ZoneInfo:
        """The zone of the wall clock that the snapshots' times are of."""
        return ZoneInfo(self.timezone)

    @property
    def files(self) -> tuple[Path, ...]:
        """Lists of hosts."""
        return tuple(hosts.file for hosts in (self.hosted, self.masked) if isinstance(hosts, HostFile))

    def hosted_hosts(self) -> tuple[str, ...]:
        """Machines of hosted or reserved capacity; SiteError where their file has a fault."""
        return read_hosted(self.hosted.file) if isinstance(self.hosted, HostFile) else self.hosted

    def masked_hosts(self) -> dict[str, str]:
        """Machines out of the statistics, with the reason; SiteError where their file has a fault."""
        return read_masked(self.masked.file) if isinstance(self.masked, HostFile) else dict(self.masked)

    def pool(self) -> Pool:
        """The rules for counting; files of hosts are read now, SiteError where one has a fault."""
        bands = tuple((math.inf if b.below is None else b.below, b.label) for b in self.memory_bands or ()) or None
        optional: dict[str, Any] = {"filtered": self.filtered_devices, "flagship": self.flagship, "bands": bands}
        return Pool(
            poll_minutes=self.poll_minutes,
            bucket_minutes=self.counted_minutes,
            timezone=self.timezone,
            hosted=frozenset(self.hosted_hosts()),
            masked=self.masked_hosts(),
            display_names=dict(self.display_names),
            **{name: value for name, value in optional.items() if value is not None},
        )
