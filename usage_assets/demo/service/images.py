"""The image generator's own records: a log in local time of its first months, then events that it tracks.

The log has no ids and no zone, and a few lines that nobody can count. Since February its requests are events of
`usage_assets.track`, in a file per month: stages, outcomes, and its models when they come and go. Twice its processes
were killed, and requests have no outcome; some days of April were delivered twice.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import polars as pl

from usage_assets.demo.service.chance import digits, uniform
from usage_assets.demo.service.models import ENDED, FIRST, GENERATOR
from usage_assets.demo.service.people import people, user_number
from usage_assets.demo.service.traffic import arrivals, seconds_of
from usage_assets.track.lines import Event, line

PER_DAY: Final = 36
TRACKED_SINCE: Final = datetime(2026, 2, 1)
LOG: Final = "images_log.csv"
OLD_NAME: Final = "painter-xl-1.0"
"""How the log names the newer model; an alias of the site's file."""
KILLED: Final = (
    (datetime(2026, 3, 17, 15), datetime(2026, 3, 17, 20)),
    (datetime(2026, 8, 20, 16), datetime(2026, 8, 20, 19)),
)
"""The generator's processes were killed then, and with them the requests of these hours."""
_AGAIN: Final = (datetime(2026, 4, 10), datetime(2026, 4, 13))
"""Days that a second delivery holds again."""
_SECOND: Final = "20260420T060000000000Z-imagehost-4711-1.jsonl"
_STATES: Final = {"complete": "OK", "failed": "ERR", "cancelled": "STOP"}
_EPOCH: Final = datetime(1970, 1, 1)


def write_images(folder: Path, until: datetime, seed: int) -> dict[str, int]:
    """Write `images_log.csv` and `events/*.jsonl` with what happened before `until` (UTC); rows by file."""
    asked = _requests(until, seed)
    log = _log(asked.filter(pl.col("at") < TRACKED_SINCE, pl.col("end") < until))
    log.write_csv(folder / LOG)
    part = folder / "events"
    part.mkdir()
    counts = {LOG: log.height}
    lines: dict[str, list[bytes]] = {}
    for at, text in _events(asked.filter(pl.col("at") >= TRACKED_SINCE), until, seed):
        lines.setdefault(f"{at:%Y%m}01T000000000000Z-imagehost-4711.jsonl", []).append(text)
        if _AGAIN[0] <= at < _AGAIN[1] and until >= _AGAIN[1] + timedelta(days=8):
            lines.setdefault(_SECOND, []).append(text)
    for name, some in sorted(lines.items()):
        (part / name).write_bytes(b"".join(some))
        counts[f"events/{name}"] = len(some)
    return counts


def _requests(until: datetime, seed: int) -> pl.DataFrame:
    """number, at, started, end, user_id, team_id, model, images, outcome (null: none was written)."""
    number = pl.col("number")
    drawn = arrivals(PER_DAY, until, seed + 2).with_columns(
        user=user_number(number, seed + 2),
        fate=uniform(number, "image fate", seed),
        wait=-4.0 * (1 - uniform(number, "image wait", seed)).log(),
        images=1 + (uniform(number, "images", seed) * 4).floor().cast(pl.Int64),
        lite=uniform(number, "lite", seed) < 0.4,
    )
    fate = pl.col("fate")
    killed = pl.any_horizontal([pl.col("at").is_between(*hours, closed="left") for hours in KILLED])
    old = pl.col("lite") & (pl.col("at") < ENDED)
    sized = drawn.join(people(), on="user", maintain_order="left").with_columns(
        model=pl.when(old).then(pl.lit(GENERATOR[1])).otherwise(pl.lit(GENERATOR[0])),
        seconds=pl.col("images") * pl.when(old).then(4.0).otherwise(9.0) * (0.8 + 0.4 * fate),
        outcome=pl.when(killed).then(None)
        .when(fate < 0.03).then(pl.lit("failed"))
        .when(fate < 0.06).then(pl.lit("cancelled"))
        .otherwise(pl.lit("complete")),
    )  # fmt: skip
    started = pl.col("at") + seconds_of("wait")
    return sized.with_columns(started=started, end=started + seconds_of("seconds")).sort("at", "number")


def _log(asked: pl.DataFrame) -> pl.DataFrame:
    """Requests as the old log has them: started (local time), who, lab, checkpoint, state, seconds, images."""
    local = pl.col("started").dt.replace_time_zone("UTC").dt.convert_time_zone("America/Chicago")
    place = pl.int_range(0, pl.len())
    return asked.filter(pl.col("outcome").is_not_null()).select(
        started=pl.when(place % 500 != 250).then(local.dt.strftime("%Y-%m-%d %H:%M:%S")),
        who="user_id",
        lab="team_id",
        checkpoint=pl.when(pl.col("model") == GENERATOR[0]).then(pl.lit(OLD_NAME)).otherwise("model"),
        state=pl.when(place % 700 == 350).then(pl.lit("???")).otherwise(
            pl.col("outcome").replace_strict(_STATES, return_dtype=pl.String)),
        seconds=pl.col("seconds").round(1),
        images=pl.when(place % 900 == 450).then(-1).otherwise("images"),
    )  # fmt: skip


def _events(asked: pl.DataFrame, until: datetime, seed: int) -> Iterator[tuple[datetime, bytes]]:
    """Instants and lines of all events before `until`, in their order."""
    events = pl.concat([_of_requests(asked), _of_models(until)]).filter(pl.col("ts") < until).sort("ts", "key")
    named = events.with_columns(event_id=digits(pl.col("key"), "event", seed))
    for ts, _, event_type, fields, event_id in named.iter_rows():
        known = {name: value for name, value in fields.items() if value is not None}
        if "images" in known:
            known["meters"] = {"images": known.pop("images")}
        event: Event = ((ts - _EPOCH) // timedelta(microseconds=1), event_type, known)
        text = line(event, event_id, {"provider": "campus"})
        assert text is not None
        yield ts, text


def _of_requests(asked: pl.DataFrame) -> pl.DataFrame:
    """ts, key, event_type, fields: two stages and, if any, the outcome of each request."""
    seconds = pl.when(pl.col("outcome").is_not_null()).then(pl.col("seconds").round(6))
    done = pl.col("outcome") == "complete"
    failed = pl.col("outcome") == "failed"
    stage = [pl.lit(None, pl.Float64), pl.lit(None, pl.Int64), pl.lit(None, pl.Boolean), pl.lit(None, pl.String)]
    outcome = [
        seconds,
        pl.when(done).then("images"),
        pl.when(done).then(True),
        pl.when(failed).then(pl.lit("OutOfMemoryError")),
    ]
    parts = (
        ("at", 0, pl.lit("request"), stage),
        ("started", 1, pl.lit("start"), stage),
        ("end", 2, pl.col("outcome"), outcome),
    )
    return pl.concat(
        asked.filter(event_type.is_not_null()).select(
            ts=at, key=pl.col("number") * 4 + place, event_type=event_type, fields=_fields(*values)
        )
        for at, place, event_type, values in parts
    )


def _fields(seconds: pl.Expr, images: pl.Expr, success: pl.Expr, error: pl.Expr) -> pl.Expr:
    return pl.struct(
        request_id=pl.format("image-{}", "number"), user_id="user_id", team_id="team_id", model_id="model",
        duration_s=seconds, images=images, success=success, error=error,
    )  # fmt: skip


def _of_models(until: datetime) -> pl.DataFrame:
    """ts, key, event_type, fields: the model is loaded each morning and unloaded at night."""
    days = (until - TRACKED_SINCE) // timedelta(days=1) + 1
    nothing = pl.lit(None, pl.String)
    first = (TRACKED_SINCE - FIRST) // timedelta(days=1)
    frame = pl.select(day=pl.int_range(0, max(days, 0), dtype=pl.Int64))
    return pl.concat(
        frame.select(
            ts=pl.lit(TRACKED_SINCE).cast(pl.Datetime("us")) + pl.duration(days="day", hours=hour, time_unit="us"),
            key=(pl.col("day") + first) * 400_000 + 399_990 + place,
            event_type=pl.lit(event_type),
            fields=pl.struct(
                request_id=nothing, user_id=nothing, team_id=nothing, model_id=pl.lit(GENERATOR[0]),
                duration_s=pl.lit(None, pl.Float64), images=pl.lit(None, pl.Int64),
                success=pl.lit(None, pl.Boolean), error=nothing,
            ),
        )
        for place, (hour, event_type) in enumerate(((0, "model_load"), (23, "model_unload")))
    )  # fmt: skip
