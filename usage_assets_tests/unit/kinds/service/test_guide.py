"""What the guide shows works: its site files load, its prices and limits are read, its programs write events."""

import json
import re
from pathlib import Path

import pytest
import yaml

from usage_assets import track
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.pricing.limits import read_limits
from usage_assets.pricing.rates import read_rates
from usage_assets_tests import ROOT

GUIDE = (ROOT / "docs" / "service.md").read_text(encoding="utf-8")
NEEDED = {"kind": "service", "key": "campus", "name": "Campus", "first_month": "2026-01"}
SOURCES = {"sources": [{"reader": "records", "path": "/srv/events"}]}


def blocks(language: str) -> list[str]:
    """The blocks of code in a language, without the indent of their list."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", GUIDE, flags=re.MULTILINE | re.DOTALL)
    return ["\n".join(line.removeprefix(indent) for line in text.splitlines()) + "\n" for indent, text in found]


@pytest.mark.parametrize("text", [text for text in blocks("yaml") if not text.startswith("exporters:")])
def test_keys_of_site_files_are_those_of_the_kind(text: str):
    ServiceSite.model_validate(NEEDED | SOURCES | yaml.safe_load(text), context={"folder": Path("/sites")})


def test_prices_and_limits_are_read(tmp_path: Path):
    (rates,), (limits,) = blocks("csv"), blocks("json")
    (tmp_path / "rates.csv").write_text(rates)
    (tmp_path / "limits.jsonl").write_text(limits)
    assert len(read_rates(tmp_path / "rates.csv", ("provider", "model_id")).rows) == 4
    assert [row.scope_type for row in read_limits(tmp_path / "limits.jsonl")] == ["team", "user"]


def test_programs_write_events_into_the_folder_that_they_name(tmp_path: Path):
    names: dict[str, object] = {}
    try:
        for program in blocks("python"):
            exec(program.replace("/srv/events", str(tmp_path)), names)
        assert names["generate"]("a prompt", who="bob") == "an answer"  # type: ignore[operator]
        assert track.flush()
    finally:
        track.configure(None)
    (path,) = tmp_path.glob("*.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(row["model_id"], row["user_id"], row.get("meters"), row.get("output_tokens")) for row in rows] == [
        ("painter-xl", "alice", {"images": 1}, None),
        ("campus-8b", "bob", None, 2),
    ]
