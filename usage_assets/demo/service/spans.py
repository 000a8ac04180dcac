"""The own server's spans: OTLP as JSON lines, a gzip file per month, in the attributes that vLLM writes.

A span names neither model nor operation: its resource says the model, as the servers' environment sets it. Between
them lie an agent's spans, of another service, which carry the sums of what they asked for.
"""

import gzip
from datetime import datetime
from pathlib import Path
from typing import Final

import polars as pl

from usage_assets.demo.service.chance import digits, uniform
from usage_assets.demo.service.models import SERVER
from usage_assets.demo.service.traffic import nanoseconds, requests, seconds_of

PER_DAY: Final = 190
_BATCH: Final = 40
"""Spans of one line at most, as an exporter sends them."""
_ERRORS: Final = ("EngineDeadError", "TimeoutError")


def write_spans(folder: Path, until: datetime, seed: int) -> dict[str, int]:
    """Write `spans/spans-<month>.jsonl.gz` with the spans that ended before `until` (UTC); rows by file."""
    part = folder / "spans"
    part.mkdir()
    rows = _rows(requests(SERVER, PER_DAY, until, seed + 1), seed).filter(pl.col("end") < until)
    spans = pl.concat([_server_spans(rows, seed), _agent_spans(rows, seed)]).sort("end", "span")
    counts = {}
    for (month,), some in spans.group_by(pl.col("end").dt.strftime("%Y-%m"), maintain_order=True):
        name = f"spans-{month}.jsonl.gz"
        with (part / name).open("wb") as raw, gzip.GzipFile("", "wb", 4, raw, mtime=0) as file:
            file.write("".join(_lines(some)).encode())
        counts[f"spans/{name}"] = some.height
    return counts


def _rows(asked: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Requests with a wait in the queue (s), an error or null, and the end."""
    number = pl.col("number")
    waits, fate = uniform(number, "wait", seed), uniform(number, "server fate", seed)
    busy = pl.col("at").dt.hour().is_between(17, 23)
    error = pl.when(fate < 0.006).then(pl.lit(_ERRORS[0])).when(fate < 0.011).then(pl.lit(_ERRORS[1]))
    return asked.with_columns(
        wait=pl.when(busy).then(-6.0 * (1 - waits).log()).otherwise(0.05 * waits), error=error
    ).with_columns(end=pl.col("at") + seconds_of("wait") + seconds_of("seconds"))


def _server_spans(rows: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Columns resource, end and span: what the server says of each request."""
    number = pl.col("number")
    texts = [("gen_ai.request.id", pl.format("cmpl-{}", "number")), ("user.id", pl.col("user_id"))]
    wholes = [
        ("gen_ai.usage.prompt_tokens", pl.col("tokens_in")),
        ("gen_ai.usage.completion_tokens", pl.when(pl.col("error").is_null()).then("tokens_out").otherwise(0)),
        ("gen_ai.usage.cached_tokens", pl.col("cached")),
    ]
    reals = [
        ("gen_ai.latency.time_in_queue", pl.col("wait")),
        ("gen_ai.latency.time_to_first_token", pl.col("wait") + pl.col("first_s")),
        ("gen_ai.latency.e2e", pl.col("wait") + pl.col("seconds")),
    ]
    return rows.select(
        resource=_resource([("service.name", pl.lit("vllm")), ("gen_ai.request.model", pl.col("name"))]),
        end="end",
        span=_span(
            "llm_request",
            trace=digits(number, "trace", seed) + digits(number, "trace 2", seed),
            span=digits(number, "span", seed),
            times=(nanoseconds(pl.col("at")), nanoseconds(pl.col("end"))),
            attributes=[
                *(_attribute(name, '"stringValue":"{}"', value) for name, value in texts),
                *(_attribute(name, '"intValue":"{}"', value) for name, value in wholes),
                *(_attribute(name, '"doubleValue":{}', value.round(6)) for name, value in reals),
            ],
            error=pl.col("error"),
        ),
    )


def _agent_spans(rows: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Columns resource, end and span: parents of some requests, as a chat's agent writes them."""
    number = pl.col("number")
    some = rows.filter(uniform(number, "agent", seed) < 0.04)
    return some.select(
        resource=_resource([("service.name", pl.lit("chat-agent"))]),
        end="end",
        span=_span(
            "invoke_agent helper",
            trace=digits(number, "trace", seed) + digits(number, "trace 2", seed),
            span=digits(number, "agent span", seed),
            times=(nanoseconds(pl.col("at")) - 1_000_000, nanoseconds(pl.col("end"))),
            attributes=[
                _attribute("gen_ai.operation.name", '"stringValue":"{}"', pl.lit("invoke_agent")),
                _attribute("gen_ai.request.model", '"stringValue":"{}"', pl.col("name")),
                _attribute("gen_ai.usage.input_tokens", '"intValue":"{}"', pl.col("tokens_in")),
            ],
            error=pl.lit(None, pl.String),
        ),
    )


def _resource(attributes: list[tuple[str, pl.Expr]]) -> pl.Expr:
    return pl.concat_str([_attribute(name, '"stringValue":"{}"', value) for name, value in attributes], separator=",")


def _attribute(name: str, form: str, value: pl.Expr) -> pl.Expr:
    before, after = form.split("{}")
    return pl.concat_str(pl.lit(f'{{"key":"{name}","value":{{{before}'), value, pl.lit(f"{after}}}}}"))


def _span(
    name: str, *, trace: pl.Expr, span: pl.Expr, times: tuple[pl.Expr, pl.Expr], attributes: list[pl.Expr],
    error: pl.Expr,
) -> pl.Expr:  # fmt: skip
    """A span as JSON text; what stands in it needs no escapes."""
    failed = pl.concat_str(pl.lit('{"code":2,"message":"'), error, pl.lit('"}'))
    kind = pl.concat_str(pl.lit(',{"key":"error.type","value":{"stringValue":"'), error, pl.lit('"}}'))
    return pl.concat_str(
        pl.lit('{"traceId":"'), trace, pl.lit('","spanId":"'), span,
        pl.lit(f'","name":"{name}","kind":2,"startTimeUnixNano":"'), times[0],
        pl.lit('","endTimeUnixNano":"'), times[1], pl.lit('","attributes":['),
        pl.concat_str(attributes, separator=","), kind.fill_null(""),
        pl.lit('],"status":'), failed.fill_null('{"code":0}'), pl.lit("}"),
    )  # fmt: skip


def _lines(spans: pl.DataFrame) -> list[str]:
    """Lines of the spans of one resource each, in the order of their first ends."""
    place = pl.int_range(0, pl.len()).over("resource") // _BATCH
    grouped = (
        spans.with_columns(place=place)
        .group_by("resource", "place", maintain_order=True)
        .agg(pl.col("span").str.join(","))
    )
    scope = ']},"scopeSpans":[{"scope":{"name":"vllm.llm_engine"},"spans":['
    head = '{"resourceSpans":[{"resource":{"attributes":['
    line = pl.concat_str(pl.lit(head), "resource", pl.lit(scope), "span", pl.lit("]}]}]}\n"))
    return grouped.select(line).to_series().to_list()
