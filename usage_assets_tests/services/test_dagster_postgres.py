"""Dagster's storage in PostgreSQL, by the words of the documentation, with an address as people write it."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa

from usage_assets.operations.doctor import PROBES
from usage_assets.operations.doctor.probes import Installation, Outcome, outcomes_of
from usage_assets.orchestration.postgres_storage import with_driver
from usage_assets_tests import ROOT
from usage_assets_tests.unit.operations.installation import job, places_in

PAGE = ROOT / "docs" / "operations.md"
STOCK = "storage:\n  postgres:\n    postgres_url: {env: DAGSTER_POSTGRES_URL}\n"


def recipe() -> str:
    (found,) = re.findall(r"```yaml\n(storage:\n.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    return str(found)


@pytest.fixture
def home(tmp_path: Path, postgres_admin: sa.Engine, prefix: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DAGSTER_HOME whose storage is an empty database."""
    with postgres_admin.connect() as con:
        con.exec_driver_sql(f'CREATE DATABASE "{prefix}_dagster"')
    url = postgres_admin.url.set(drivername="postgresql", database=f"{prefix}_dagster")
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", url.render_as_string(hide_password=False))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def told(home: Path) -> Iterator[Outcome]:
    """What doctor says of Dagster's storage."""
    patient = Installation(places_in(home.parent), datetime.now(tz=UTC), offline=True)
    yield from outcomes_of(PROBES["Dagster storage"], patient)
    patient.close()


def test_the_documented_recipe_runs_with_a_usual_address(home: Path):
    (home / "dagster.yaml").write_text(recipe(), encoding="utf-8")
    with dg.DagsterInstance.get() as instance:
        assert job().execute_in_process(instance=instance).success
        reference = instance.get_ref()
    with dg.DagsterInstance.from_ref(reference) as again:  # as a run's own process does
        assert again.get_runs_count() == 1
        assert job().execute_in_process(instance=again).success
    assert [said.state for said in told(home)] == ["ok"]


def test_doctor_tells_of_the_block_whose_runs_would_fail(home: Path):
    (home / "dagster.yaml").write_text(STOCK, encoding="utf-8")
    (said,) = told(home)
    assert said.state == "fail"
    assert "psycopg" in said.found
    assert "docs/operations.md" in said.do


@pytest.mark.parametrize(
    ("written", "taken"),
    [
        ("postgresql://u:p%40ss@h:5433/d?sslmode=require", "postgresql+psycopg2://u:p%40ss@h:5433/d?sslmode=require"),
        ("postgres://h/d", "postgresql+psycopg2://h/d"),
        ("postgresql+psycopg2://h/d", "postgresql+psycopg2://h/d"),
        ("postgresql+pg8000://h/d", "postgresql+pg8000://h/d"),
    ],
)
def test_an_address_that_names_no_driver_is_given_one(written: str, taken: str):
    assert with_driver(written) == taken
