"""Your own asset, downstream of usage_assets, in a code location of your own: what to copy from.

It waits for what `usage/serving/published` publishes and reads that file through a plain DuckDBResource, which any
Dagster project has: no lock is held, no run is disturbed. In your workspace.yaml, below `load_from`:

    - python_file: {relative_path: own_assets.py, location_name: own_assets}
"""

import json
import os
from pathlib import Path

import dagster as dg
from dagster_duckdb import DuckDBResource

PUBLISHED = dg.AssetKey(["usage", "serving", "published"])

# timelines.node_hours: nodes as counted here, node types added up; complete = no node type is unknown
IDLE_SHARE = """
SELECT site, month,
       sum(hours) FILTER (metric = 'idle') / nullif(sum(hours) FILTER (metric = 'committed'), 0) AS idle_share,
       bool_and(complete) AS complete
FROM published.timelines.node_hours WHERE metric IN ('idle', 'committed') GROUP BY ALL ORDER BY ALL
"""


def newest_generation() -> Path:
    """The newest published file: CURRENT beside it names it. Each generation is a file of its own name."""
    folder = Path(os.environ["USAGE_DATA"]) / "published"
    return folder / json.loads((folder / "CURRENT").read_text(encoding="utf-8"))["file"]


@dg.asset(deps=[PUBLISHED], kinds={"duckdb"})
def idle_share_of_leases(duckdb: DuckDBResource) -> dg.MaterializeResult:
    """Share of leased node-hours in which no server ran, per site and month."""
    with duckdb.get_connection() as con:
        con.execute(f"ATTACH '{newest_generation()}' AS published (READ_ONLY)")
        con.execute(f"CREATE OR REPLACE TABLE idle_share AS {IDLE_SHARE}")
        con.execute("DETACH published")
        rows = con.execute("SELECT count(*), max(month) FROM idle_share").fetchone() or (0, None)
    return dg.MaterializeResult(metadata={"dagster/row_count": rows[0], "newest_month": str(rows[1])})


defs = dg.Definitions(
    assets=[idle_share_of_leases],
    resources={"duckdb": DuckDBResource(database=os.environ.get("OWN_DATABASE", "own.duckdb"))},
)
