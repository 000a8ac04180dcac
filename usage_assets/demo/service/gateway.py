"""The made gateway's table: what a LiteLLM proxy logs in "LiteLLM_SpendLogs", in SQLite, with what is wrong with such.

Failed attempts take 0 s and have neither tokens nor cost, a retry is a row of its own; cache hits have a cost of 0 that
is true and a suffix of their id; a model without a price has a cost of 0 that is not; a chat front's requests have no
user but an end user, a service key's have neither; a polled old response is logged again; a clock ran backwards.
"""

import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Final

import polars as pl

from usage_assets.demo.service.chance import digits, uniform
from usage_assets.demo.service.models import CHEAPER, FAILS_SINCE, GATEWAY, OUTAGE, PRICE_CHANGE
from usage_assets.demo.service.traffic import requests, seconds_of

TABLE: Final = "LiteLLM_SpendLogs"
PER_DAY: Final = 590
_COLUMNS: Final = {
    "request_id": "TEXT PRIMARY KEY", "call_type": "TEXT", "api_key": "TEXT DEFAULT ''", "spend": "DOUBLE DEFAULT 0",
    "total_tokens": "INTEGER DEFAULT 0", "prompt_tokens": "INTEGER DEFAULT 0",
    "completion_tokens": "INTEGER DEFAULT 0", "startTime": "TIMESTAMP", "endTime": "TIMESTAMP",
    "completionStartTime": "TIMESTAMP", "request_duration_ms": "INTEGER", "model": "TEXT DEFAULT ''",
    "model_id": "TEXT DEFAULT ''", "model_group": "TEXT DEFAULT ''", "custom_llm_provider": "TEXT DEFAULT ''",
    "api_base": "TEXT DEFAULT ''", "user": "TEXT DEFAULT ''", "metadata": "TEXT DEFAULT '{}'",
    "cache_hit": "TEXT DEFAULT ''", "request_tags": "TEXT DEFAULT '[]'", "team_id": "TEXT", "organization_id": "TEXT",
    "end_user": "TEXT", "agent_id": "TEXT", "session_id": "TEXT", "status": "TEXT", "messages": "TEXT DEFAULT '{}'",
    "response": "TEXT DEFAULT '{}'", "proxy_server_request": "TEXT DEFAULT '{}'",
}  # fmt: skip
_ERRORS: Final = ("RateLimitError", "Timeout", "InternalServerError", "ContextWindowExceededError")
_DEPLOYED: Final = {model.name: model.deployed or model.name for model in GATEWAY}


def write_gateway(folder: Path, until: datetime, seed: int) -> dict[str, int]:
    """Write `litellm.db` with what the gateway had logged by `until` (UTC); rows by table."""
    rows = _rows(until, seed)
    named, marks = ", ".join(f'"{name}"' for name in rows.columns), ", ".join("?" * rows.width)
    declared = ", ".join(f'"{name}" {of}' for name, of in _COLUMNS.items())
    with closing(sqlite3.connect(folder / "litellm.db", isolation_level=None)) as con:
        con.execute("PRAGMA journal_mode = off")
        con.execute("BEGIN")
        con.execute(f'CREATE TABLE "{TABLE}" ({declared})')
        con.executemany(f'INSERT INTO "{TABLE}" ({named}) VALUES ({marks})', rows.rows())
        con.execute(f'CREATE INDEX start ON "{TABLE}" ("startTime", "request_id")')
        con.execute("COMMIT")
    return {TABLE: rows.height}


def _rows(until: datetime, seed: int) -> pl.DataFrame:
    """The rows in the order of their ends, in the columns of the table."""
    first = _attempts(requests(GATEWAY, PER_DAY, until, seed), seed)
    every = pl.concat([first, _retries(first, seed), _polled(first, seed)], how="vertical")
    return _logged(every.filter(pl.col("at") + seconds_of("seconds") < until).sort("at", "number", "kind"), seed)


def _attempts(asked: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Requests with `kind`, what became of them: ok, failed, hit (of the cache)."""
    number, at = pl.col("number"), pl.col("at")
    asked = asked.with_columns(fate=uniform(number, "fate", seed))
    fate = pl.col("fate")
    fails = (
        pl.when((pl.col("provider") == "aurora") & at.is_between(*OUTAGE, closed="left")).then(0.6)
        .when((pl.col("name") == "campus-coder-beta") & (at >= FAILS_SINCE)).then(0.72)
        .otherwise(0.012)
    )  # fmt: skip
    kind = pl.when(fate < fails).then(pl.lit("failed")).when(fate > 0.98).then(pl.lit("hit")).otherwise(pl.lit("ok"))
    return asked.with_columns(kind=kind).with_columns(
        seconds=pl.when(pl.col("kind") == "failed").then(0.0)
        .when(pl.col("kind") == "hit").then(0.02)
        .otherwise("seconds")
    )  # fmt: skip


def _retries(first: pl.DataFrame, seed: int) -> pl.DataFrame:
    """The second attempts of failed requests of a provider: they succeed, under an id of their own."""
    failed = first.filter(pl.col("kind") == "failed", pl.col("provider") != "campus")
    again = failed.filter(uniform(pl.col("number"), "again", seed) < 0.7)
    return again.with_columns(
        kind=pl.lit("retry"),
        at=pl.col("at") + pl.duration(seconds=2, time_unit="us"),
        seconds=pl.col("first_s") + pl.col("tokens_out") / pl.col("per_second"),
    )


def _polled(first: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Old responses that a client asked for again: logged with their cost, though no model answered."""
    polled = first.filter(pl.col("kind") == "ok", uniform(pl.col("number"), "polled", seed) < 0.001)
    return polled.with_columns(
        kind=pl.lit("polled"), at=pl.col("at") + pl.duration(minutes=5, time_unit="us"), seconds=pl.lit(0.05)
    )


def _logged(rows: pl.DataFrame, seed: int) -> pl.DataFrame:
    """The columns of the table."""
    number, kind = pl.col("number"), pl.col("kind")
    failed, hit = kind == "failed", kind == "hit"
    front = uniform(pl.col("user"), "front", seed) < 0.1  # people who only chat
    service = uniform(number, "service", seed) < 0.012
    backwards = (uniform(number, "backwards", seed) < 0.0002) & (kind == "ok")
    start = pl.col("at").dt.truncate("1ms")
    end = (pl.col("at") + seconds_of("seconds")).dt.truncate("1ms")
    streamed = (pl.col("tokens_out") > 0) & (kind.is_in(["ok", "retry"]))
    first_output = (pl.col("at") + seconds_of("first_s")).dt.truncate("1ms")
    tokens = {name: pl.when(failed).then(0).otherwise(column) for name, column in _tokens().items()}
    return rows.select(
        request_id=pl.format("{}-{}", pl.lit("chatcmpl"), digits(number * 8 + _ordinal(), "id", seed))
        + pl.when(hit).then(pl.lit("_cache_hit1764547200.5")).otherwise(pl.lit("")),
        call_type=pl.when(kind == "polled").then(pl.lit("aget_responses")).otherwise("call_type"),
        api_key=pl.format("hash-of-key-{}", "user"),
        spend=_spend(),
        **tokens,
        startTime=_text(pl.when(backwards).then(end).otherwise(start)),
        endTime=_text(pl.when(backwards).then(start).otherwise(end)),
        completionStartTime=_text(pl.when(streamed).then(first_output).otherwise(end)),
        request_duration_ms=(end - start).dt.total_milliseconds(),
        model=pl.when(failed).then(pl.lit("")).otherwise(pl.col("name").replace_strict(_DEPLOYED)),
        model_id=pl.format("deployment-{}", "model"),
        model_group=pl.col("name"),
        custom_llm_provider=pl.col("provider"),
        api_base=pl.format("https://{}.example/v1", "provider"),
        user=pl.when(front | service).then(pl.lit("")).otherwise("user_id"),
        metadata=_metadata(number, seed),
        cache_hit=pl.when(hit).then(pl.lit("True")).otherwise(pl.lit("False")),
        team_id=pl.when(~service).then("team_id"),
        end_user=pl.when(front & ~service).then("user_id").otherwise(pl.lit("")),
        session_id=pl.when(service).then(digits(number, "session", seed)).otherwise("session_id"),
        status=pl.when(failed).then(pl.lit("failure")).otherwise(pl.lit("success")),
    )


def _ordinal() -> pl.Expr:
    kinds = ("ok", "failed", "hit", "retry", "polled")
    return pl.col("kind").replace_strict({kind: place for place, kind in enumerate(kinds)}, return_dtype=pl.Int64)


def _tokens() -> dict[str, pl.Expr]:
    return {
        "total_tokens": pl.col("tokens_in") + pl.col("tokens_out"),
        "prompt_tokens": pl.col("tokens_in"),
        "completion_tokens": pl.col("tokens_out"),
    }


def _spend() -> pl.Expr:
    """What the gateway bills: the prices of the day, nothing for failures and hits of the cache."""
    cheaper = (pl.col("name") == "aurora-large") & (pl.col("at") >= PRICE_CHANGE)
    price_in, price_out = (
        pl.when(cheaper).then(price).otherwise(column)
        for price, column in zip(CHEAPER, ("price_in", "price_out"), strict=True)
    )
    spend = (pl.col("tokens_in") * price_in + pl.col("tokens_out") * price_out) / 1e6
    return pl.when(pl.col("kind").is_in(["failed", "hit"])).then(0.0).otherwise(spend.round(9))


def _metadata(number: pl.Expr, seed: int) -> pl.Expr:
    """Errors of failures, cached tokens of answers."""
    place = (uniform(number, "error", seed) * len(_ERRORS)).floor().cast(pl.Int64)
    error = place.replace_strict(dict(enumerate(_ERRORS)), return_dtype=pl.String)
    head, tail = '{"usage_object": {"prompt_tokens_details": {"cached_tokens": ', "}}}"
    cached = pl.concat_str(pl.lit(head), pl.col("cached"), pl.lit(tail))
    return (
        pl.when(pl.col("kind") == "failed")
        .then(pl.concat_str(pl.lit('{"error_information": {"error_class": "'), error, pl.lit('"}}')))
        .when(pl.col("cached") > 0)
        .then(cached)
        .otherwise(pl.lit("{}"))
    )


def _text(at: pl.Expr) -> pl.Expr:
    """An instant as the database gives it: milliseconds, no zone."""
    return at.dt.strftime("%Y-%m-%d %H:%M:%S%.3f")
