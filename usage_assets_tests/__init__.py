"""Tests of the product."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The checkout."""

# pytest runs a worker on every processor: threads within one, and in what it starts, would only wait for each other
os.environ.setdefault("POLARS_MAX_THREADS", "1")
os.environ.setdefault("SLURM_CPUS_ON_NODE", "1")  # DuckDB takes its number of threads from it
