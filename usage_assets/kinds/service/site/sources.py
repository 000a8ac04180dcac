"""Where the events of a service come from: one model per reader, told apart by `reader`."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, model_validator

from usage_assets.core.yaml_files import Real
from usage_assets.kinds.service.site.mapping import Filter, Mapping
from usage_assets.sites.base import Strict, expand

_BEGINS_WITH_NAME = re.compile(r"^\$\{[A-Za-z_][A-Za-z0-9_]*\}")


def beside_the_site(value: str, info: ValidationInfo) -> str:
    """A path of the site's file: below that file's own folder, unless it is absolute or a variable names it."""
    if not value.strip() or "\0" in value:
        msg = "names no file"
        raise ValueError(msg)
    folder = (info.context or {}).get("folder")
    return value if folder is None or _BEGINS_WITH_NAME.match(value) else str(folder / value)


def _pattern(value: str) -> str:
    if not value or value.startswith("/") or "\0" in value or ".." in value.split("/"):
        msg = f"{value!r} is no pattern of names below path; write one such as *.jsonl or **/*.jsonl.gz"
        raise ValueError(msg)
    return value


def _many(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


SitePath = Annotated[str, AfterValidator(beside_the_site)]
Patterns = Annotated[tuple[Annotated[str, AfterValidator(_pattern)], ...], BeforeValidator(_many), Field(min_length=1)]
Words = Annotated[tuple[str, ...], BeforeValidator(_many)]
Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


class _Source(Strict):
    """What every source has. `name` begins the source_file of its rows; by default the number of later sources does."""

    name: Label | None = None
    event_time: Literal["start", "end"] | None = None
    """Whether ts of an outcome is its start or its end, where the source differs from the site."""

    def expanded(self, value: str, site: str) -> str:
        """A path or URL with its variables; SiteError where one is not set."""
        return expand(value, where=f"site {site}: sources")


def _require_one_place(url: str | None, path: str | None) -> None:
    if (url is None) == (path is None):
        msg = "name either the database (url), or the files (path)"
        raise ValueError(msg)


class LiteLLM(_Source):
    """The database of a LiteLLM proxy, or files that hold its log's columns."""

    reader: Literal["litellm"]
    url: str | None = None
    table: str = "LiteLLM_SpendLogs"
    path: SitePath | None = None
    pattern: Patterns = ("*.jsonl", "*.jsonl.gz", "*.csv", "*.csv.gz", "*.parquet")
    user_from: Literal["user", "end_user"] = "user"
    """Who the person is where a row names both the key's user and the one that the request names."""
    rollups: Literal["compare", "fill"] = "compare"
    """`fill`: sums per day stand in for days that were never read and whose rows the log no longer has."""

    @model_validator(mode="after")
    def _is_somewhere(self) -> "LiteLLM":
        _require_one_place(self.url, self.path)
        return self


class Otel(_Source):
    """OTLP JSON lines, or flattened spans. One `service_name` or `scope` counts: a call may have a span at each."""

    reader: Literal["otel"]
    path: SitePath
    pattern: Patterns = ("*.jsonl", "*.jsonl.gz", "*.json", "*.json.gz", "*.parquet")
    service_name: Words = ()
    scope: Words = ()
    model_id: str | None = None
    """Model of spans that name none."""
    provider: str | None = None
    sampled: bool = False
    """Spans are a sample: refused, as they can't be counted, unless `scale` says of how many one stands for."""
    scale: Annotated[Real, Field(ge=1)] | None = None


class Records(_Source):
    """JSON lines, CSV or Parquet, or a table of a database, with a mapping; by default the columns are those of events.

    `format` is read from a file's ending by default. A mapping changes those of a preset column by column. `null`:
    texts that stand for no value. `filter`: rows that have other texts in these columns are `not_usage`.
    """

    reader: Literal["records"]
    url: str | None = None
    table: str | None = None
    path: SitePath | None = None
    pattern: Patterns = ("*.jsonl", "*.jsonl.gz", "*.ndjson", "*.csv", "*.csv.gz", "*.parquet")
    format: Literal["jsonl", "csv", "parquet"] | None = None
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    preset: str | None = None
    mapping: Mapping | None = None
    filter: Filter = Field(default_factory=dict)
    null: Words = ("",)
    timezone: str | None = None
    """Zone of naive times, where it is not the site's."""

    @model_validator(mode="after")
    def _is_somewhere(self) -> "Records":
        if self.url is not None and self.table is None and self.preset is None:
            msg = "url needs the table to read"
            raise ValueError(msg)
        _require_one_place(self.url, self.path)
        return self


class LegacyJson(_Source):
    """Totals per day and month in files of an older tracker; reports have them, events do not."""

    reader: Literal["legacy_json"]
    path: SitePath


Source = Annotated[LiteLLM | Otel | Records | LegacyJson, Field(discriminator="reader")]


def located(source: LiteLLM | Otel | Records | LegacyJson, site: str) -> Path | None:
    """The folder or file of a source with its variables; None of a database."""
    return None if source.path is None else Path(source.expanded(source.path, site))
