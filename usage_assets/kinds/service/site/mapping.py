"""The mapping of a source's columns to those of events, as a site's file has it."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from usage_assets.sites.base import Strict

Unit = Literal["s", "ms", "us", "ns", "auto"]
Name = Annotated[str, Field(min_length=1, max_length=500)]
TARGETS = frozenset({
    "event_id", "ts", "ended", "first_output", "user_id", "team_id", "session_id", "request_id", "model_id", "provider",
    "event_type", "requests", "input_tokens", "output_tokens", "cached_tokens", "cost", "currency", "duration_s",
    "queue_s", "first_output_s", "success", "error", "parameters", "prompt", "prompt_hash", "time_of",
})  # fmt: skip
"""Columns of events that a mapping may name. `ended` and `first_output` are times: they give duration_s and
first_output_s where those are not mapped; `prompt` gives prompt_hash."""
TIMES = ("ts", "ended", "first_output")
DURATIONS = ("duration_s", "queue_s", "first_output_s")


def _text(value: Any) -> Any:
    """Constants and keys of YAML as texts: true, 1, 1.5."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


def _texts(value: Any) -> Any:
    return {_text(key): _text(text) for key, text in value.items()} if isinstance(value, dict) else value


def _many(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _words(value: Any) -> Any:
    return tuple(map(_text, value)) if isinstance(value, list | tuple) else (_text(value),)


Text = Annotated[str, BeforeValidator(_text)]


class FieldMap(Strict):
    """Where a column of events comes from: the first of `from` that is not null, else `default`; or a constant `value`.

    `from` names columns, or paths into JSON: `usage.input_tokens`. `values` replaces texts, others stay. `unit` is that
    of a number: of times since 1970 (or since `origin`), of durations; `zone` of naive times.
    """

    from_: Annotated[tuple[Name, ...], BeforeValidator(_many), Field(alias="from")] = ()
    value: Text | None = None
    default: Text | None = None
    values: Annotated[dict[str, str], BeforeValidator(_texts)] = Field(default_factory=dict)
    unit: Unit | None = None
    origin: datetime | None = None
    zone: str | None = None

    @field_validator("origin", mode="before")
    @classmethod
    def _midnight(cls, value: Any) -> Any:
        return datetime(value.year, value.month, value.day) if type(value) is date else value

    @model_validator(mode="after")
    def _says_one_thing(self) -> "FieldMap":
        if bool(self.from_) == (self.value is not None):
            msg = "name either the column (from), or a constant (value)"
            raise ValueError(msg)
        if self.origin is not None and self.unit is None:
            msg = "origin needs the unit of the numbers that count from it"
            raise ValueError(msg)
        return self


def _of_name(value: Any) -> Any:
    """`user_id: who` is `user_id: {from: who}`."""
    return {"from": value} if isinstance(value, str | list) else value


OneField = Annotated[FieldMap, BeforeValidator(_of_name)]


class Mapping(Strict):
    """Columns of events by their name, and the quantities of `meters` by theirs."""

    fields: dict[str, OneField] = Field(default_factory=dict)
    meters: dict[Name, OneField] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _split(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            msg = "expected columns of events, each with the column that it comes from: {user_id: who}"
            raise ValueError(msg)
        return {"fields": {name: value for name, value in data.items() if name != "meters"}, **_meters(data)}

    @field_validator("fields")
    @classmethod
    def _are_known(cls, value: dict[str, FieldMap]) -> dict[str, FieldMap]:
        unknown = sorted(set(value) - TARGETS)
        if unknown:
            msg = f"events have no column {', '.join(unknown)[:200]}; there are {', '.join(sorted(TARGETS))}, meters"
            raise ValueError(msg)
        units = sorted(name for name, field in value.items() if field.unit and name not in {*TIMES, *DURATIONS})
        if units:
            msg = f"{', '.join(units)}: unit is for times and durations"
            raise ValueError(msg)
        return value


def _meters(data: dict[str, Any]) -> dict[str, Any]:
    return {"meters": data["meters"]} if "meters" in data else {}


Filter = dict[Name, Annotated[tuple[str, ...], BeforeValidator(_words)]]
"""Which rows are usage: column or path -> texts of which it has to have one."""
