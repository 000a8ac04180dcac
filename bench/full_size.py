"""A full-size site, made in a process of its own: a child inherits the peak memory of the process that starts it.

python -m bench.full_size make SOURCES [NAME]
python -m bench.full_size last-year WHOLE YEAR
"""

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from usage_assets.demo.make import make_full_size
from usage_assets.kinds.openstack.raw.tables import TABLES
from usage_assets.warehouse import Warehouse

SITE = "full_size"
app = typer.Typer(add_completion=False)


@app.command()
def make(sources: Path, name: Annotated[str, typer.Argument()] = SITE) -> None:
    """The databases of a site."""
    print(make_full_size(sources, name))


@app.command()
def last_year(whole: Path, year: Path) -> None:
    """A warehouse that holds the raw rows of the last twelve months only."""
    months = [date(2025 + (10 + n) // 12, (10 + n) % 12 + 1, 1) for n in range(12)]
    with (
        Warehouse(whole / "warehouse.duckdb").read() as reader,
        Warehouse(year / "warehouse.duckdb").write("copy") as to,
    ):
        for raw in TABLES:
            rows = reader.frame(raw.table, SITE, months)
            to.replace(raw.table, rows, site=SITE, months=months, asset=f"openstack/raw/{raw.name}", run_id="copy")


if __name__ == "__main__":
    app()
