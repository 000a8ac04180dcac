"""A made service of 10 million events a month: to raw, to facts and tables, limits over a year, a night, the client.

python -m bench.service [FOLDER] [--events N]
"""

import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer

from bench.arguments import Folder, Only, require_part
from bench.measure import run
from bench.service_events import EVENTS, MONTH, make_events
from usage_assets.core.months import Window, months_between
from usage_assets.kinds import KINDS
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.orchestration.build import build_assets
from usage_assets.timelines.assets import assets_of
from usage_assets.warehouse import Warehouse

KIND = KINDS["service"]
TABLES = ("service_requests", "service_user_daily", "service_user_monthly", "service_model_daily")
PARTS = ("jsonl", "parquet", "tables", "year", "night", "long_night", "track")
Size = Annotated[int, typer.Option("--events", help="Events of the month", min=1000)]
_NIGHT_EVENTS, _YEAR_EVENTS = 300_000, 3_600_000


def main(folder: Folder = Path("data/bench/service"), only: Only = None, events: Size = EVENTS) -> None:
    """Make what is missing in FOLDER, and measure each part in a process of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    if only is not None:
        _PARTS[require_part(only, PARTS)](folder, events)
        return
    print(
        f"10 million random numbers sorted: {_sorting():.2f} s (bounds hold where this takes about 0.9 s)", flush=True
    )
    for part in PARTS:
        if part in {"jsonl", "parquet"}:
            make_events(folder, part, events=events)
        command = [sys.executable, "-m", "bench.service", str(folder), "--only", part, "--events", str(events)]
        print(run(command).output, end="", flush=True)


def _sorting() -> float:
    numbers = pl.select(pl.int_range(10_000_000).hash(7)).to_series()
    begun = time.perf_counter()
    numbers.sort()
    return time.perf_counter() - begun


def _site(path: Path, suffix: str, **more: Any) -> ServiceSite:
    sources = [{"reader": "records", "path": str(path), "pattern": f"*.{suffix}"}]
    values = {"kind": "service", "key": "made", "name": "Made", "first_month": "2016-01", "sources": sources}
    return ServiceSite.model_validate(values | more, context={"folder": path})


def _dump(site: ServiceSite, warehouse: Warehouse, *months: date) -> str:
    window = Window(site.key, tuple(months))
    done = KIND.dump(
        site, window, warehouse, tables=KIND.tables_of(site), run_id="bench", purge_known=False, allow_missing=False,
        log=lambda _: None,
    )  # fmt: skip
    refused = [str(broken) for one in done.months for broken in one.refused]
    return ", ".join([f"{one.table.name} {one.rows:,} row(s)" for one in done.months[:2]] + refused)


def _build(site: ServiceSite, warehouse: Warehouse, names: tuple[str, ...] | None, *months: date) -> None:
    assets = [asset for asset in assets_of(KIND) if names is None or asset.name in names]
    build_assets(KIND, site, Window(site.key, tuple(months)), warehouse, assets, run_id="bench")


@contextmanager
def _timed(what: str) -> Iterator[list[str]]:
    said: list[str] = []
    wall, cpu = time.perf_counter(), time.process_time()
    yield said
    took = f"{time.perf_counter() - wall:.2f} s wall, {time.process_time() - cpu:.2f} s CPU"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{what}: {took}, peak {peak:.0f} MB{''.join(f'; {text}' for text in said)}", flush=True)


def _fresh(folder: Path, name: str) -> Warehouse:
    shutil.rmtree(folder / name, ignore_errors=True)
    return Warehouse(folder / name / "warehouse.duckdb")


def _raw(suffix: str, bound: str) -> Callable[[Path, int], None]:
    def measure(folder: Path, events: int) -> None:
        site = _site(make_events(folder, suffix, events=events), suffix)
        with _timed(f"{events:,} events, {suffix} to raw (bound: {bound}, 1.5 GB)") as said:
            said.append(_dump(site, _fresh(folder, suffix), MONTH))

    return measure


def _tables(folder: Path, events: int) -> None:
    """What the month's facts and sums take, of the raw rows that `jsonl` left."""
    site = _site(make_events(folder, "jsonl", events=events), "jsonl")
    warehouse = Warehouse(folder / "jsonl" / "warehouse.duckdb")
    with _timed("facts, daily, monthly, model tables of the month (bound: 20 s, 1.5 GB)"):
        for name in TABLES:
            with _timed(f"  {name}"):
                _build(site, warehouse, (name,), MONTH)


def _year(folder: Path, events: int) -> None:
    """Limits of 2,000 users over a year of facts."""
    size = min(events, _YEAR_EVENTS)
    months = months_between(date(2025, 4, 1), MONTH)
    made = folder / f"year_{size}"
    for month in months:
        make_events(made / f"{month:%Y-%m}", "parquet", month=month, events=size // 12, parts=1)
    limits = made / "limits.jsonl"
    limits.write_text("".join(
        f'{{"scope_type": "user", "scope_id": "user-{number:06d}", "window": "{window}", "amount": "{amount}"}}\n'
        for number in range(2000) for window, amount in (("day", "0.5"), ("month", "5"))
    ))  # fmt: skip
    site = _site(made, "parquet", limits=str(limits))
    site = _site(made, "parquet", limits=str(limits), sources=[
        {"reader": "records", "path": str(path), "pattern": "*.parquet"} for path in sorted(made.glob("*/events_*"))
    ])  # fmt: skip
    warehouse = _fresh(folder, "year")
    _dump(site, warehouse, *months)
    _build(site, warehouse, ("service_requests",), *months)
    with _timed(f"limits over a year of {size:,} requests, 2,000 users limited (bound: 10 s)"):
        _build(site, warehouse, ("spending_alerts", "spending_status"), *months)


def _night(stored: int) -> Callable[[Path, int], None]:
    def measure(folder: Path, events: int) -> None:
        """A night of two days, after so many stored months."""
        size = min(events, _NIGHT_EVENTS)
        before = months_between(date(2016, 1, 1), MONTH)[-1 - stored :]
        made = folder / f"night_{stored}_{size}"
        for month in before:
            make_events(made / f"{month:%Y-%m}", "parquet", month=month, events=size // 2, parts=31)
        first, rest = made / "now", sorted(made.glob("*/events_*"))
        shutil.rmtree(first, ignore_errors=True)
        first.mkdir()
        files = [path for folder in rest for path in sorted(folder.glob("*.parquet"))]
        for path in files[:-2]:
            (first / f"{path.parents[1].name}-{path.name}").symlink_to(path)
        site = _site(first, "parquet")
        warehouse = _fresh(folder, f"night_{stored}")
        months = before[-2:] if stored < 12 else before
        _dump(site, warehouse, *months)
        _build(site, warehouse, None, *months)
        two_days = make_events(made / "two_days", "parquet", events=size * 31 // 2, parts=31)
        for path in sorted(two_days.glob("*.parquet"))[-2:]:
            (first / f"late-{path.name}").symlink_to(path)
        with _timed(f"a night of two days of {size:,} events after {stored} months (bound: 10 s)") as said:
            said.append(_dump(site, warehouse, *before[-2:]))
            _build(site, warehouse, None, *before[-2:])

    return measure


def _track(folder: Path, events: int) -> None:
    """What an event costs the caller of the client."""
    from usage_assets.track import Tracker  # noqa: PLC0415 - the other parts don't need it

    number = min(events, 200_000)
    shutil.rmtree(folder / "tracked", ignore_errors=True)
    tracker = Tracker(folder / "tracked")
    begun = time.perf_counter()
    for each in range(number):
        tracker.event("complete", model_id="m", user_id="u", duration_s=0.1, input_tokens=each)
    took = time.perf_counter() - begun
    tracker.close()
    print(f"track: {took / number * 1e6:.2f} us an event to its caller (bound: 5 us), {number:,} events", flush=True)


_PARTS: dict[str, Callable[[Path, int], None]] = {
    "jsonl": _raw("jsonl", "60 s"),
    "parquet": _raw("parquet", "15 s"),
    "tables": _tables,
    "year": _year,
    "night": _night(2),
    "long_night": _night(120),
    "track": _track,
}


if __name__ == "__main__":
    typer.run(main)
