"""Asset keys, dependencies, groups, checks, jobs, schedules and sensors change only where somebody means it."""

import json

from usage_assets_tests.contract.graph import STORED, as_text, graph


def test_the_graph_is_the_reviewed_one():
    found, stored = graph(), json.loads(STORED.read_text(encoding="utf-8"))
    for part in stored:
        assert found[part] == stored[part], (
            f"{part} changed; if it is meant: python -m usage_assets_tests.contract.graph"
        )
    assert as_text(found) == STORED.read_text(encoding="utf-8")
