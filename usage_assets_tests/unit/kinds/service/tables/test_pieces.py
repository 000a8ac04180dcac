"""Months are read in pieces that fit into memory, and give the same rows however they are cut."""

from datetime import date
from functools import partial

import pytest

from usage_assets.kinds.service.tables.pieces import Piece, pieces
from usage_assets_tests.unit.kinds.service.tables.made import APRIL, MARCH, build, opened, request, store

_ROWS = [
    request(
        f"r{day}-{n}",
        f"03-{day:02} 23:59:0{n}",
        f"03-{day + 1:02} 00:00:0{n}",
        user_id=f"u{n}",
        team_id=f"t{n % 2}",
        session_id=f"s{n}",
        error="E",
        final_state="failed" if n == 3 else "succeeded",
    )
    for day in (1, 2, 3, 20)
    for n in range(day if day < 20 else 6)
]


def test_days_are_taken_together_until_they_are_too_many() -> None:
    writer = opened()
    store(writer, _ROWS)

    # 1, 2, 3 requests end on the 2nd, 3rd, 4th, and 6 on the 21st
    assert pieces(writer, "llm", MARCH, most=3) == [
        Piece(date(2026, 3, 1), date(2026, 3, 4)),
        Piece(date(2026, 3, 4), date(2026, 3, 21)),
        Piece(date(2026, 3, 21), date(2026, 3, 22), 0, 2),
        Piece(date(2026, 3, 21), date(2026, 3, 22), 1, 2),
        Piece(date(2026, 3, 22), APRIL),
    ]
    assert pieces(writer, "llm", APRIL) == [Piece(APRIL, date(2026, 5, 1))]


@pytest.mark.parametrize("name", ["service_user_daily", "service_team_daily", "service_model_daily"])
def test_pieces_give_the_rows_of_the_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = opened()
    store(writer, _ROWS)
    whole = build(writer, name)
    for most in (1, 3):
        monkeypatch.setattr("usage_assets.kinds.service.tables.daily.pieces", partial(pieces, most=most))

        assert build(writer, name).equals(whole)
