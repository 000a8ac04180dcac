"""The page of tables says what the declarations say, all of it."""

from pathlib import Path

import pytest

from usage_assets.schema import docs

PAGE = Path(__file__).parents[3] / "docs" / "tables.md"
TABLES = [table for table, _ in docs.tables()]


def test_the_page_is_current():
    assert PAGE.read_text(encoding="utf-8") == docs.markdown(), "python -m usage_assets.schema.docs > docs/tables.md"


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.qualified)
def test_every_column_has_a_description_and_a_unit(table):
    assert [column.name for column in table.columns if not column.description or not column.unit] == []
    assert table.description


def test_every_table_is_named_once():
    names = [table.qualified for table in TABLES]
    assert len(names) == len(set(names))


def test_the_page_covers_every_stage():
    assert {table.stage for table in TABLES} == {"raw", "facts", "timelines", "reports", "serving"}
