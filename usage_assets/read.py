"""The published numbers for notebooks, dashboards and scripts: `from usage_assets import read`, see serving/read.py."""

from usage_assets.serving.read import Published, SnapshotError, open  # noqa: A004 - the name that readers use

__all__ = ["Published", "SnapshotError", "open"]
