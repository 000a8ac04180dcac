"""Spans of OTLP JSON lines, and of tables that a collector flattened them to, in one shape; SQL only."""

from collections.abc import Mapping, Sequence

from usage_assets.kinds.service.raw.values import coalesce, identifier, literal

SPAN = (
    "source_row", "is_readable", "trace", "span", "parent", "name", "start_ns", "end_ns", "status", "trace_state",
    "scope", "service", "keys", "texts", "resource_keys", "resource_texts",
)  # fmt: skip
"""Columns of a span. Instants are nanoseconds since 1970, null where not known; attributes are two lists, of names and
of the texts of their values."""

_VALUE = '{"stringValue":"VARCHAR","intValue":"VARCHAR","doubleValue":"VARCHAR","boolValue":"VARCHAR"}'
_ATTRIBUTES = f'[{{"key":"VARCHAR","value":{_VALUE}}}]'
_SPAN = (
    '{"traceId":"VARCHAR","spanId":"VARCHAR","parentSpanId":"VARCHAR","name":"VARCHAR","traceState":"VARCHAR",'
    '"startTimeUnixNano":"VARCHAR","endTimeUnixNano":"VARCHAR","status":{"code":"VARCHAR"}}'
)
_OLDER_SCOPES = "$.instrumentationLibrarySpans[*]"  # before OTLP 0.15


def of_lines(lines: str, *, after: int = 0) -> str:
    """SQL of the spans of OTLP lines, columns SPAN; `lines` is a relation whose column `line` is a line each, in order.

    A line that is no OTLP object is one row with is_readable = false. source_row counts rows of the file, not lines;
    `after` so many that come before.
    """
    resources = _unnested("j", "json_type(j, '$.resourceSpans') = 'ARRAY'", "json_extract(j, '$.resourceSpans[*]')")
    scopes = _unnested(
        "r", "true", f"list_concat(json_extract(r, '$.scopeSpans[*]'), json_extract(r, {literal(_OLDER_SCOPES)}))"
    )
    spans = _unnested("s", "true", "json_extract(s, '$.spans[*]')")
    columns = {
        "is_readable": "s IS NOT NULL",
        "trace": "s.traceId",
        "span": "s.spanId",
        "parent": "nullif(s.parentSpanId, '')",
        "name": "s.name",
        "start_ns": _nanoseconds("s.startTimeUnixNano"),
        "end_ns": _nanoseconds("s.endTimeUnixNano"),
        "status": _status("s.status.code"),
        "trace_state": "s.traceState",
        "scope": "scope",
        "service": _attribute("resource", "service.name"),
        "keys": "list_transform(attributes, lambda a: a.key)",
        "texts": f"list_transform(attributes, lambda a: {_text('a')})",
        "resource_keys": "list_transform(resource, lambda a: a.key)",
        "resource_texts": f"list_transform(resource, lambda a: {_text('a')})",
    }
    return (
        f"WITH parsed AS (SELECT TRY_CAST(line AS JSON) AS j FROM {lines} WHERE trim(line) <> ''), "
        f"resources AS (SELECT {resources} AS r FROM parsed), "
        f"scopes AS (SELECT {_parsed('r', '$.resource.attributes')} AS resource, {scopes} AS s FROM resources), "
        "spans AS (SELECT resource, coalesce(s->>'$.scope.name', s->>'$.instrumentationLibrary.name') AS scope, "
        f"{spans} AS s FROM scopes), "
        f"attributed AS (SELECT resource, scope, json_transform(s, {literal(_SPAN)}) AS s, "
        f"{_parsed('s', '$.attributes')} AS attributes FROM spans) "
        f"SELECT row_number() OVER () + {after} AS source_row, {_listed(columns)} FROM attributed"
    )


def _unnested(of: str, condition: str, list_: str) -> str:
    """A row per element; one null where there is nothing to take apart, so that a bad line stays a row."""
    return f"unnest(CASE WHEN {of} IS NOT NULL AND {condition} THEN {list_} ELSE [CAST(NULL AS JSON)] END)"


def _parsed(of: str, path: str) -> str:
    """Attributes as a list of key and value."""
    return f"coalesce(json_transform(json_extract({of}, {literal(path)}), {literal(_ATTRIBUTES)}), [])"


def _listed(columns: Mapping[str, str]) -> str:
    return ", ".join(f"{sql} AS {name}" for name, sql in columns.items())


def _text(attribute: str) -> str:
    return coalesce(*(f"{attribute}.value.{kind}Value" for kind in ("string", "int", "double", "bool")))


def _attribute(list_: str, key: str) -> str:
    return f"list_transform(list_filter({list_}, lambda a: a.key = {literal(key)}), lambda a: {_text('a')})[1]"


def _nanoseconds(text: str) -> str:
    """Nanoseconds since 1970 as a number; null where there are none, and for 0, by which emitters say so."""
    return f"nullif(TRY_CAST({text} AS UBIGINT), 0)"


def _status(code: str) -> str:
    """unset, ok or error, of a number or its name."""
    return (
        f"CASE WHEN upper({code}) IN ('2', 'ERROR', 'STATUS_CODE_ERROR') THEN 'error' "
        f"WHEN upper({code}) IN ('1', 'OK', 'STATUS_CODE_OK') THEN 'ok' ELSE 'unset' END"
    )


FLAT: Mapping[str, tuple[str, ...]] = {
    "trace": ("traceid",),
    "span": ("spanid",),
    "parent": ("parentspanid", "parentid"),
    "name": ("spanname", "name", "operationname"),
    "start": ("starttimeunixnano", "timestamp", "starttime", "start"),
    "end": ("endtimeunixnano", "endtime", "end"),
    "duration": ("duration", "durationnano", "durationns"),
    "status": ("statuscode", "status"),
    "trace_state": ("tracestate",),
    "scope": ("scopename", "instrumentationscope", "otelscopename"),
    "service": ("servicename",),
    "attributes": ("spanattributes", "attributes"),
    "resource": ("resourceattributes", "resource"),
}
"""Names of columns that flattened spans have, small letters without the signs between words; the first found counts.
A duration is in nanoseconds."""
_NEEDED = ("trace", "span", "start")


def lacking(columns: Mapping[str, str]) -> list[str]:
    """What a table of flattened spans must have and does not; `columns` are its names and DuckDB types."""
    found = _found(columns)
    return [FLAT[name][0] for name in _NEEDED if name not in found]


def _found(columns: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Column and type of each part of a span that a table has."""
    plain = {"".join(sign for sign in name.lower() if sign.isalnum()): name for name in reversed(list(columns))}
    out = {}
    for part, names in FLAT.items():
        there = [plain[name] for name in names if name in plain]
        if there:
            out[part] = (there[0], columns[there[0]])
    return out


def of_table(relation: str, columns: Mapping[str, str], row: str = "row_number() OVER ()") -> str:
    """SQL of the spans of a flattened table, columns SPAN; `columns` are its names and DuckDB types.

    Attributes are a map, a structure or a text of JSON; without any, columns with a dot in their name are attributes.
    """
    found = _found(columns)
    text = {name: f"CAST({identifier(column)} AS VARCHAR)" for name, (column, _) in found.items()}
    start = _instant(*found["start"])
    end = _instant(*found["end"]) if "end" in found else "CAST(NULL AS UBIGINT)"
    if "duration" in found and "end" not in found:
        end = f"TRY_CAST({start} + TRY_CAST({text['duration']} AS UBIGINT) AS UBIGINT)"
    dotted = [name for name in columns if "." in name]
    span_map = _map(*found["attributes"]) if "attributes" in found else _map_of(dotted)
    resource = _map(*found["resource"]) if "resource" in found else _map_of([])
    service = coalesce(*(text[name] for name in ("service",) if name in text), "resource['service.name']")
    shown = {
        "is_readable": "true",
        **{name: f"nullif({text[name]}, '')" if name in text else "NULL" for name in ("trace", "span", "parent")},
        "name": text.get("name", "NULL"),
        "start_ns": start,
        "end_ns": end,
        "status": _status(text.get("status", "NULL")),
        "trace_state": text.get("trace_state", "NULL"),
        "scope": text.get("scope", "NULL"),
        "service": service,
        "keys": "map_keys(attributes_of_span)",
        "texts": "map_values(attributes_of_span)",
        "resource_keys": "map_keys(resource)",
        "resource_texts": "map_values(resource)",
    }
    mapped = f"SELECT {row} AS source_row, *, {span_map} AS attributes_of_span, {resource} AS resource FROM {relation}"
    if "resource" in columns:
        mapped = mapped.replace("*,", "* EXCLUDE (resource),", 1)
    return f"SELECT source_row, {_listed(shown)} FROM ({mapped})"


def _instant(column: str, kind: str) -> str:
    """Nanoseconds since 1970 of a time or a number of nanoseconds."""
    name = identifier(column)
    if kind == "TIMESTAMP_NS":
        return f"CAST(epoch_ns({name}) AS UBIGINT)"
    if kind.startswith("TIMESTAMP"):
        return f"CAST(epoch_us({name}) AS UBIGINT) * 1000"
    at = f"epoch_ns(TRY_CAST({name} AS TIMESTAMP_NS))" if kind == "VARCHAR" else "NULL"
    return f"coalesce({_nanoseconds(f'CAST({name} AS VARCHAR)')}, CAST({at} AS UBIGINT))"


def _map(column: str, kind: str) -> str:
    """Attributes as a map of texts."""
    name = identifier(column)
    if kind.startswith("MAP"):
        return f"coalesce(CAST({name} AS MAP(VARCHAR, VARCHAR)), MAP {{}})"
    return (
        f"coalesce(TRY_CAST(to_json({name}) AS MAP(VARCHAR, VARCHAR)), MAP {{}})"
        if kind.startswith("STRUCT")
        else f"coalesce(TRY_CAST(TRY_CAST({name} AS JSON) AS MAP(VARCHAR, VARCHAR)), MAP {{}})"
    )


def _map_of(columns: Sequence[str]) -> str:
    if not columns:
        return "CAST(MAP {} AS MAP(VARCHAR, VARCHAR))"
    names = ", ".join(map(literal, columns))
    return f"MAP([{names}], [{', '.join(f'CAST({identifier(name)} AS VARCHAR)' for name in columns)}])"
