"""The mapping of a source as SQL: for each column of MAPPED an expression over the source's columns or JSON paths."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from usage_assets.kinds.service.raw.preset import Preset, Value
from usage_assets.kinds.service.raw.values import coalesce, literal, replaced
from usage_assets.kinds.service.raw.zone import UNITS, epoch, instant, utc
from usage_assets.kinds.service.site.mapping import DURATIONS, TARGETS, TIMES, FieldMap
from usage_assets.kinds.service.site.mapping import Mapping as SiteMapping

OWN = SiteMapping.model_validate({name: name for name in sorted(TARGETS - {"ended", "first_output"})})
"""The columns of events by their own names."""


def mapping_of(own: SiteMapping | None, preset: Preset | None) -> SiteMapping:
    """What a site's file maps, over what its preset does; without either the columns of events."""
    if own is None and preset is None:
        return OWN
    base = preset.mapping if preset is not None else SiteMapping()
    if own is None:
        return base
    return SiteMapping.model_construct(fields=base.fields | own.fields, meters=base.meters | own.meters)


@dataclass(frozen=True)
class Columns:
    """How a source's columns are read: the text of a column or path, its instant where typed, its quantities."""

    value: Value
    time: Callable[[str, str | None], str | None]
    meters: Callable[[str], str]


def expressions(
    mapping: SiteMapping, own: SiteMapping | None, preset: Preset | None, columns: Columns, zone: str | None
) -> dict[str, str]:
    """SQL of each column of MAPPED that the mapping gives; `own` is the part of it that the site's file has."""
    value, time = columns.value, columns.time
    out: dict[str, str] = {}
    times = {name: _time(field, value, time, zone) for name, field in mapping.fields.items() if name in TIMES}
    if "ts" in times:
        out["ts"] = times["ts"]
    for name, field in mapping.fields.items():
        if name in DURATIONS:
            out[name] = _duration(field, value)
        elif name not in TIMES:
            out[name] = _text(field, value)
    for until, name in (("ended", "duration_s"), ("first_output", "first_output_s")):
        if until in times and "ts" in times and name not in out:
            out[name] = f"((epoch_us({times[until]}) - epoch_us({times['ts']})) / 1e6)::VARCHAR"
    if mapping is OWN:
        out["meters"] = columns.meters("meters")
    elif mapping.meters:
        out["meters"] = _meters(mapping.meters, value)
    if preset is not None:
        kept = set(own.fields) if own is not None else set()
        out |= {name: sql for name, sql in preset.expressions(value).items() if name not in kept}
    return out


def paths_of(mapping: SiteMapping) -> list[str]:
    """The columns and paths that a mapping names."""
    fields = (*mapping.fields.values(), *mapping.meters.values())
    return list(dict.fromkeys(path for field in fields for path in field.from_))


def _text(field: FieldMap, value: Value) -> str:
    if field.value is not None:
        return literal(field.value)
    found = replaced(coalesce(*(value(path) for path in field.from_)), field.values)
    return found if field.default is None else f"coalesce({found}, {literal(field.default)})"


def _time(field: FieldMap, value: Value, time: Callable[[str, str | None], str | None], zone: str | None) -> str:
    zone = field.zone or zone
    if field.value is not None:
        return instant(literal(field.value), zone)
    typed = {path: time(path, zone) for path in field.from_}
    parts = []
    for path in field.from_:
        at = typed[path]
        if at is not None:
            parts.append(at)
        elif field.unit is not None:
            parts.append(epoch(value(path), field.unit, field.origin))
        else:
            parts.append(instant(value(path), zone))
    return coalesce(*parts)


def _duration(field: FieldMap, value: Value) -> str:
    """Seconds as text; digits move, so that nothing is rounded on the way."""
    text = _text(field, value)
    places = UNITS.get(field.unit or "s", 0)
    if not places or field.value is not None:
        return text
    scaled = f"(TRY_CAST({text} AS DOUBLE) / 1e{places})::VARCHAR"
    return f"CASE WHEN TRY_CAST({text} AS DOUBLE) IS NULL THEN {text} ELSE {scaled} END"


def _meters(meters: Mapping[str, FieldMap], value: Value) -> str:
    names = ", ".join(literal(name) for name in meters)
    amounts = ", ".join(_text(field, value) for field in meters.values())
    return f"map([{names}], [{amounts}]::VARCHAR[])"


def as_instant(column: str, kind: str, zone: str | None) -> str | None:
    """SQL of a typed time of a source as UTC; None of other types. A naive one needs a zone."""
    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"({column} AT TIME ZONE 'UTC')"
    if kind.startswith("TIMESTAMP") or kind == "DATE":
        wall = f"({column})::TIMESTAMP" if kind != "TIMESTAMP_NS" else f"make_timestamp(epoch_ns({column}) // 1000)"
        return utc(wall, zone) if zone is not None else "NULL::TIMESTAMP"
    return None
