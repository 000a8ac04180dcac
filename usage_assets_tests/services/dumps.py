"""What dumps from real servers need: databases with a site's rows, their URLs, and a comparison of tables."""

from datetime import date

import polars as pl
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

from usage_assets.core.errors import SourceError
from usage_assets_tests.unit.sources.sources import Data, make_server

JAN, FEB, JUN = date(2020, 1, 1), date(2020, 2, 1), date(2020, 6, 1)
PASSWORD = "s3cr3t"


def text(url: URL) -> str:
    """The URL as a site's file has it."""
    return url.render_as_string(hide_password=False)


def mariadb_urls(engine: sa.Engine, prefix: str, data: Data, user: str | None = None) -> dict[str, str]:
    """New databases with these rows; their URLs by the database's name in a site's file."""
    schemas = {name: f"{prefix}_{name}" for name in {table.split(".")[0] for table in data}}
    make_server(engine, data, schemas)
    url = engine.url if user is None else engine.url.set(username=user, password=PASSWORD)
    return {name: text(url.set(database=schema)) for name, schema in schemas.items()}


def postgres_database(engine: sa.Engine, name: str) -> URL:
    """A new empty database."""
    with engine.connect() as con:
        con.exec_driver_sql(f'CREATE DATABASE "{name}"')
    return engine.url.set(database=name)


def assert_equal(left: dict[str, pl.DataFrame], right: dict[str, pl.DataFrame]) -> None:
    """Each table of `left` is the same in `right`."""
    for name, frame in left.items():
        assert frame.equals(right[name]), f"{name}\n{frame}\n{right[name]}"


def grant(engine: sa.Engine, prefix: str, *statements: str) -> str:
    """A new account with these grants; its name."""
    user = f"{prefix}_ro"
    with engine.begin() as con:
        con.exec_driver_sql(f"CREATE OR REPLACE USER '{user}'@'%%' IDENTIFIED BY '{PASSWORD}'")
        for statement in statements:
            con.exec_driver_sql(f"GRANT {statement} TO '{user}'@'%%'")
    return user


def give(con: sa.Connection, script: str) -> None:
    """Run what `usage-assets grants` prints."""
    for line in script.splitlines():
        if not line.startswith("--"):
            parts = line.rstrip(";").split("; ") if con.dialect.name == "mysql" else [line]
            for statement in parts:
                con.exec_driver_sql(statement.replace("%", "%%"))


def said(caught: pytest.ExceptionInfo[SourceError]) -> str:
    """The error's text, once it is certain that neither it nor what it drags along shows the password."""
    chain = [caught.value, caught.value.__cause__, caught.value.__context__]
    assert PASSWORD not in " ".join(map(str, chain))
    return str(caught.value)
