"""Lines of OTLP as the specification writes them, and what the reader makes of them."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import duckdb

from usage_assets.kinds.service.raw.otel import OtelReader
from usage_assets.kinds.service.site.model import ServiceSite

START = 1_772_704_800_123_456_789
"""2026-03-05 10:00:00.123456789 in nanoseconds since 1970."""
CHAT = {"gen_ai.operation.name": "chat"}


def attributes(values: Mapping[str, object]) -> list[dict[str, Any]]:
    """Attributes in OTLP's form: 64-bit integers are decimal text."""
    return [{"key": key, "value": _value(value)} for key, value in values.items()]


def _value(value: object) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(each) for each in value]}}
    return {"stringValue": value}


def span(id_: str, said: Mapping[str, object] = CHAT, *, parent: str = "", trace: str = "t1", **more: Any) -> Any:
    """A span of 2.5 s."""
    return {
        "traceId": trace, "spanId": id_, "parentSpanId": parent, "name": "chat small", "kind": 3,
        "startTimeUnixNano": str(START), "endTimeUnixNano": str(START + 2_500_000_000),
        "attributes": attributes(said), "status": {"code": 1}, **more,
    }  # fmt: skip


def line(spans: Iterable[Any], service: str = "vllm", scope: str = "lib", **resource: object) -> str:
    """A line of a collector's file exporter, of spans of one resource and scope."""
    said = {"service.name": service, **{name.replace("_", "."): value for name, value in resource.items()}}
    scoped = {"scope": {"name": scope, "version": "1"}, "spans": list(spans)}
    return json.dumps({"resourceSpans": [{"resource": {"attributes": attributes(said)}, "scopeSpans": [scoped]}]})


def reader_of(path: Path, **source: Any) -> OtelReader:
    """The reader of a site whose only source are the files below a path."""
    said = {"reader": "otel", "path": str(path), **source}
    site = ServiceSite.model_validate(
        {"kind": "service", "key": "here", "name": "Here", "first_month": "2025-01", "sources": [said]}
    )
    return OtelReader(site, site.sources[0])


def events(reader: OtelReader) -> dict[str, list[dict[str, Any]]]:
    """The rows of each file by its name, in the order of their numbers; all files on one connection."""
    con = duckdb.connect()
    out = {}
    for part in reader.parts([]):
        with reader.rows(con, part) as sql:
            out[part.name] = con.sql(f"SELECT * FROM ({sql}) ORDER BY source_row").pl().to_dicts()
    return out


def reasons(reader: OtelReader) -> dict[str, str | None]:
    """The reason of each span of all files by the last sign of its event_id: its span's name in these tests."""
    return {row["event_id"][-1:]: row["reason"] for rows in events(reader).values() for row in rows}
