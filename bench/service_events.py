"""Events of a made service: a month of 10 million events, 200,000 users and 100 models, in JSON lines and Parquet."""

from datetime import date, datetime
from pathlib import Path

from usage_assets.core.months import next_month
from usage_assets.warehouse.connections import in_memory

MONTH = date(2026, 3, 1)
EVENTS, USERS, MODELS = 10_000_000, 200_000, 100

# a few users ask most; nine in ten rows are a request by themselves, the others are one of two attempts at a request
_ROWS = """
SELECT
  printf('ev-%010d', i) AS event_id,
  strftime(TIMESTAMP '{start}' + to_microseconds((i * {step})::BIGINT), '%Y-%m-%dT%H:%M:%S.%fZ') AS ts,
  printf('user-%06d', (pow(hash(i, 1) / 18446744073709551615.0, 3) * {users})::BIGINT) AS user_id,
  printf('team-%03d', hash(i, 2) % 150) AS team_id,
  printf('s-%08d', i // 7) AS session_id,
  printf('req-%010d', CASE WHEN i % 20 = 1 THEN i - 1 ELSE i END) AS request_id,
  printf('model-%03d', (pow(hash(i, 3) / 18446744073709551615.0, 2) * {models})::BIGINT) AS model_id,
  ['alpha', 'beta', 'gamma'][1 + (hash(i, 4) % 3)::BIGINT] AS provider,
  CASE WHEN hash(i, 5) % 50 = 0 THEN 'failed' ELSE 'complete' END AS event_type,
  (hash(i, 6) % 4000)::BIGINT AS input_tokens,
  (hash(i, 7) % 900)::BIGINT AS output_tokens,
  (hash(i, 8) % 1000)::BIGINT AS cached_tokens,
  ((hash(i, 9) % 100000)::BIGINT / 1000000)::DECIMAL(38, 12) AS cost,
  'USD' AS currency,
  (hash(i, 10) % 60000)::BIGINT / 1000.0 AS duration_s,
  (hash(i, 11) % 900)::BIGINT / 1000.0 AS queue_s,
  md5((i // 3)::VARCHAR) AS prompt_hash
FROM range({first}, {last}) t(i)
"""


def make_events(folder: Path, suffix: str, *, month: date = MONTH, events: int = EVENTS, parts: int = 10) -> Path:
    """Make the month's files in a folder of its own unless they are there; the folder."""
    made = folder / f"events_{suffix}_{events}"
    if made.exists():
        return made
    scratch = folder / f"making_{suffix}"
    scratch.mkdir(parents=True, exist_ok=True)
    start = datetime(month.year, month.month, 1)
    seconds = (datetime.combine(next_month(month), datetime.min.time()) - start).total_seconds()
    step = seconds * 1e6 / (events + 1)
    form = "FORMAT json" if suffix == "jsonl" else "FORMAT parquet"
    edges = [events * part // parts for part in range(parts + 1)]
    with in_memory(scratch) as con:
        for number in range(parts):
            rows = _ROWS.format(start=start, step=step, users=USERS, models=MODELS, first=edges[number],
                                last=edges[number + 1])  # fmt: skip
            con.execute(f"COPY ({rows}) TO '{scratch}/{number:02d}.{suffix}' ({form})").fetchall()
    for left in scratch.glob(".tmp"):
        left.rmdir()
    scratch.rename(made)
    return made
