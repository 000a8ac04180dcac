"""The page of tables says what the declarations say, all of it."""

import pytest

from usage_assets.cli import tables_page
from usage_assets_tests import ROOT

PAGE = ROOT / "docs" / "tables.md"
TABLES = [table for table, _ in tables_page.tables()]


def test_the_page_is_current():
    assert PAGE.read_text(encoding="utf-8") == tables_page.markdown(), (
        "python -m usage_assets.cli.tables_page > docs/tables.md"
    )


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.qualified)
def test_every_column_has_a_description_and_a_unit(table):
    assert [column.name for column in table.columns if not column.description or not column.unit] == []
    assert table.description


def test_every_table_is_named_once():
    names = [table.qualified for table in TABLES]
    assert len(names) == len(set(names))


def test_the_page_covers_every_stage():
    assert {table.stage for table in TABLES} == {"raw", "facts", "timelines", "reports", "serving"}
