"""Projected waits against a search that tries every candidate start of one request after the other."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage_assets.intervals import leadtime, projected
from usage_assets_tests.properties import examples

EPOCH = datetime(2024, 1, 1)
HORIZON = 12  # hours; so that some requests find nothing
HOURS = 30  # past midnight, so that bookings are looked for on several days
MACHINES = ("m1", "m2", "m3")
KINDS = {"any": MACHINES, "two": MACHINES[:2]}


@dataclass(frozen=True)
class Request:
    """What one lease asks for: (kind, machines) at an hour, for some hours."""

    at: int
    length: int
    wants: dict[str, int]


@dataclass(frozen=True)
class Booking:
    """A machine held from start to end by a lease, as known from some hour until another."""

    machine: str
    holder: int
    known: int
    dropped: int
    start: int
    end: int | None
    changed: int | None


def at(hour: float) -> datetime:
    return EPOCH + timedelta(hours=hour)


hours = st.integers(0, HOURS)
requests = st.builds(
    Request,
    at=hours,
    length=st.integers(1, 6),
    wants=st.dictionaries(st.sampled_from(sorted(KINDS)), st.integers(1, 3), min_size=1),
)
bookings = st.builds(
    Booking,
    machine=st.sampled_from(MACHINES),
    holder=st.integers(0, 4),
    known=hours,
    dropped=st.integers(0, HOURS + 20),
    start=hours,
    end=st.none() | st.integers(0, HOURS + 20),
    changed=st.none() | hours,
)
stretches = st.tuples(st.integers(0, 12), st.integers(8, HOURS + 5))


def search(
    number: int, request: Request, booked: list[Booking], lives: dict[str, tuple[int, int]], cleaning: int
) -> tuple[int | None, int]:
    """Hours to the least good start, and how many bookings that forbade earlier ones were changed later."""
    known = [b for b in booked if b.holder != number and b.known <= request.at < b.dropped]

    def spans(machine: str) -> list[tuple[Booking, float, float]]:
        mine = [b for b in known if b.machine == machine]
        return [
            (b, b.start - request.length - cleaning, float("inf") if b.end is None else b.end + cleaning) for b in mine
        ]

    def good(start: float) -> bool:
        return all(
            sum(not any(low < start < high for _, low, high in spans(machine)) for machine in there(kind)) >= count
            for kind, count in request.wants.items()
        )

    def there(kind: str) -> list[str]:
        return [m for m in KINDS[kind] if lives[m][0] <= request.at < lives[m][1]]

    ends = {high for machine in MACHINES for _, _, high in spans(machine)}
    candidates = sorted(s for s in {float(request.at), *ends} if request.at <= s <= request.at + HORIZON)
    found = next((s for s in candidates if good(s)), None)
    if any(len(there(kind)) < count for kind, count in request.wants.items()):
        return None, 0
    limit = request.at + HORIZON + 0.5 if found is None else found
    inexact = {
        id(b)
        for machine in {m for kind in request.wants for m in there(kind)}
        for b, low, high in spans(machine)
        if high > max(low, request.at)
        and max(low, request.at) < limit
        and b.changed is not None
        and b.changed > request.at
    }
    return (None if found is None else int(found - request.at)), len(inexact)


def project(
    asked: list[Request], booked: list[Booking], lives: dict[str, tuple[int, int]], cleaning: int
) -> list[tuple[int | None, bool, int]]:
    instant = pl.Datetime("us")
    rows = [
        (number, number, kind, at(request.at), count, timedelta(hours=request.length))
        for number, request in enumerate(asked)
        for kind, count in request.wants.items()
    ]
    names = ["request", "holder", "kind", "at", "count", "length"]
    types: list[Any] = [pl.UInt32, pl.Int64, pl.String, instant, pl.Int64, pl.Duration("us")]
    frame = pl.LazyFrame(rows, schema=dict(zip(names, types, strict=True)), orient="row")
    machines = pl.LazyFrame(
        [
            (kind, m, at(lives[m][0]), at(lives[m][1]))
            for kind in KINDS
            for m in KINDS[kind]
            if lives[m][0] < lives[m][1]
        ],
        schema={"kind": pl.String, "machine": pl.String, "start_at": instant, "end_at": instant},
        orient="row",
    )
    held = pl.LazyFrame(
        [
            (
                b.machine,
                b.holder,
                at(b.known),
                at(b.dropped),
                at(b.start),
                None if b.end is None else at(b.end),
                None if b.changed is None else at(b.changed),
            )
            for b in booked
        ],
        schema={"machine": pl.String, "holder": pl.Int64}
        | dict.fromkeys(("known_from", "known_until", "start_at", "end_at", "changed_at"), instant),
        orient="row",
    )
    found = projected(frame, machines, held, cleaning=timedelta(hours=cleaning), horizon=timedelta(hours=HORIZON)).sort(
        "request"
    )
    assert found["request"].to_list() == list(range(len(asked)))
    return [
        (None if wait is None else wait // timedelta(hours=1), censored, inexact)
        for wait, censored, inexact in found.select("wait", "is_censored", "inexact").rows()
    ]


@examples(300)
@given(
    st.lists(requests, min_size=1, max_size=5),
    st.lists(bookings, max_size=10),
    st.fixed_dictionaries(dict.fromkeys(MACHINES, stretches)),
    st.integers(0, 2),
)
def test_the_wait_is_that_of_a_search_through_every_candidate(asked, booked, lives, cleaning):
    expected = [search(number, request, booked, lives, cleaning) for number, request in enumerate(asked)]
    assert project(asked, booked, lives, cleaning) == [(wait, wait is None, inexact) for wait, inexact in expected]


def test_parts_of_any_size_give_the_same(monkeypatch: pytest.MonkeyPatch):
    lives = dict.fromkeys(MACHINES, (0, 40))
    booked = [Booking(m, 9, 0, 99, 4 * n, 4 * n + 5, None) for n, m in enumerate(MACHINES)]
    asked = [Request(hour, 2, {"any": 2}) for hour in range(20)]
    whole = project(asked, booked, lives, 0)
    monkeypatch.setattr(leadtime, "PAIRS_AT_ONCE", 2)
    assert project(asked, booked, lives, 0) == whole
