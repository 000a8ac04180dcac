"""The graph of the demo's sites as text: what people, saved links and their own assets name.

python -m usage_assets_tests.contract.graph > usage_assets_tests/contract/graph.json
"""

import json
import sys
from pathlib import Path
from typing import Any

import dagster as dg

from usage_assets.definitions import build_defs
from usage_assets.kinds.site_files import load_sites
from usage_assets_tests import ROOT

STORED = Path(__file__).parent / "graph.json"
SITES = ROOT / "sites"


def graph() -> dict[str, Any]:
    """Assets with their dependencies, group, kinds and checks; jobs with what they build; schedules and sensors."""
    repository = build_defs(load_sites(SITES)).get_repository_def()
    found = repository.asset_graph
    checks = {key: sorted(check.name for check in found.get_check_keys_for_assets({key})) for key in _keys(found)}
    return {
        "assets": {
            key.to_user_string(): {
                "deps": sorted(parent.to_user_string() for parent in found.get(key).parent_keys),
                "group": found.get(key).group_name,
                "kinds": sorted(found.get(key).kinds or ()),
                "checks": checks[key],
            }
            for key in _keys(found)
        },
        "jobs": {
            job.name: len(set(job.asset_layer.executable_asset_keys))
            for job in sorted(repository.get_all_jobs(), key=lambda job: job.name)
            if not job.name.startswith("__")
        },
        "schedules": {one.name: one.job_name for one in sorted(repository.schedule_defs, key=lambda one: one.name)},
        "sensors": sorted(one.name for one in repository.sensor_defs),
    }


def as_text(found: dict[str, Any]) -> str:
    """The graph as the stored file has it."""
    return json.dumps(found, indent=1, sort_keys=True) + "\n"


def _keys(found: Any) -> list[dg.AssetKey]:
    return sorted(found.get_all_asset_keys(), key=lambda key: key.path)


if __name__ == "__main__":
    sys.stdout.write(as_text(graph()))
