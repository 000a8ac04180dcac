"""Made requests: every table is what plain Python gives, and all tables agree with each other and with the facts."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage_assets.kinds.service.tables.assets import TABLE_ASSETS
from usage_assets_tests.unit.kinds.service.tables import oracle
from usage_assets_tests.unit.kinds.service.tables.made import (
    APRIL,
    FEB,
    MARCH,
    at,
    build,
    check,
    opened,
    request,
    store,
)

MONTHS = (FEB, MARCH, APRIL)
_names = st.sampled_from(["a", "b", "(none)"])
_few = st.one_of(st.none(), st.integers(0, 5))


@st.composite
def made_requests(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Requests of three months, many of them near midnight and near the months' edges."""
    out = []
    for number in range(draw(st.integers(0, 12))):
        day = draw(st.sampled_from(["02-28", "03-01", "03-02", "03-31"]))
        started = at(f"{day} 00:00:00") + timedelta(
            hours=draw(st.integers(0, 23)), microseconds=draw(st.integers(0, 3_599_999_999))
        )
        lasts = timedelta(microseconds=draw(st.sampled_from([0, 1, 999_999, 20_000_000, 86_400_000_000])))
        state = draw(st.sampled_from(["succeeded", "succeeded", "failed", "cancelled", "unfinished"]))
        requests = draw(st.sampled_from([1, 1, 1, 3]))
        wait = timedelta(seconds=draw(st.integers(0, 3)))
        ended = None if state == "unfinished" else (started if requests > 1 else started + lasts)
        out.append(
            request(
                f"r{number}",
                f"{started.isoformat(' ')[5:]}",
                ended.isoformat(" ")[5:] if ended else None,
                submitted=(started - wait).isoformat(" ")[5:],
                final_state=state,
                requests=requests,
                user_id=draw(_names),
                team_id=draw(st.one_of(st.none(), _names)),
                session_id=draw(st.one_of(st.none(), _names)),
                prompt_hash=draw(st.one_of(st.none(), _names)),
                model_id=draw(st.sampled_from(["m", "n"])),
                input_tokens=draw(_few),
                output_tokens=draw(_few),
                cost=draw(st.one_of(st.none(), st.decimals(0, 10**9, places=12))),
                error=draw(st.sampled_from(["E", "F"])) if state == "failed" else None,
            )
            | ({"duration_s": None} if requests > 1 else {})
        )
    return out


_TABLES = {
    "service_user_daily": ("user_id", False),
    "service_user_monthly": ("user_id", True),
    "service_team_daily": ("team_id", False),
    "service_team_monthly": ("team_id", True),
    "service_model_daily": (None, False),
}


@given(made_requests())
def test_tables_are_what_plain_python_gives_and_agree_with_each_other(rows: list[dict[str, Any]]) -> None:
    writer = opened()
    store(writer, rows)
    for asset in TABLE_ASSETS:
        build(writer, asset, MONTHS)
    for name, (who, monthly) in _TABLES.items():
        expected = oracle.sums(rows, who, monthly=monthly)
        table = next(asset.table for asset in TABLE_ASSETS if asset.name == name)
        found = {}
        for row in writer.frame(table, "llm").iter_rows(named=True):
            key = (
                row["month"] if monthly else row["date"],
                *([row[who]] if who else []),
                row["model_id"],
                row["provider"],
            )
            found[key] = {column: row[column] for column in expected.get(key, {}) if column in row}
        assert found.keys() == expected.keys()
        for key, row in found.items():
            assert row == {column: _near(expected[key][column]) for column in row}
    for asset in TABLE_ASSETS:
        for one in asset.checks:
            assert all(finding.passed for finding in check(writer, asset.name, one.name, MONTHS).values())


def _near(value: object) -> object:
    return pytest.approx(value, rel=1e-12, abs=1e-9) if isinstance(value, float) else value


@given(made_requests())
def test_the_same_requests_in_another_order_give_the_same_rows(rows: list[dict[str, Any]]) -> None:
    forth, back = opened(), opened()
    store(forth, rows)
    store(back, rows[::-1])
    for asset in TABLE_ASSETS:
        assert build(forth, asset, MONTHS).equals(build(back, asset, MONTHS[::-1]))


def test_money_stays_exact_where_floats_would_not() -> None:
    writer = opened()
    costs = [Decimal("99999999999999.000000000001")] * 3 + [Decimal("0.100000000000")] * 3
    store(
        writer,
        [request(f"r{n}", f"03-{n + 1:02} 10:00", f"03-{n + 1:02} 10:01", cost=cost) for n, cost in enumerate(costs)],
    )
    build(writer, "service_user_daily")

    assert build(writer, "service_user_monthly")["cost"].to_list() == [Decimal("299999999999997.300000000003")]
