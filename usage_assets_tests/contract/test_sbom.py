"""sbom.json lists what requirements.lock installs, and points nowhere."""

import json
import re

from usage_assets_tests import ROOT
from usage_assets_tests.contract.sbom import without_references


def test_every_locked_package_is_in_the_bill_of_materials_with_its_version():
    locked = re.findall(
        r"^([A-Za-z0-9._-]+)(?:\[[^\]]+\])?==([^\s;]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE
    )
    parts = json.loads((ROOT / "sbom.json").read_text())["components"]
    assert {(part["name"].lower(), part["version"]) for part in parts} == {(name.lower(), v) for name, v in locked}
    assert all(part["purl"].startswith("pkg:pypi/") for part in parts)


def test_it_names_no_address():
    assert "://" not in (ROOT / "sbom.json").read_text()


def test_what_a_tool_adds_is_left_out():
    part = {
        "name": "a",
        "description": "requirements line 1: a==1",
        "externalReferences": [{"url": "https://x"}],
    }
    found = without_references({"components": [part], "metadata": {"tools": {}}})
    assert found == {"components": [{"name": "a"}], "metadata": {}}
