"""Prices and limits are of any quantity: the package knows no word of what one kind of site bills."""

from pathlib import Path

import pytest

from usage_assets import pricing
from usage_assets_tests.contract.test_packages import OF_ONE_KIND, words

ROOT = Path(pricing.__file__).parent
OF_SERVICES = {"user", "team", "model", "provider", "token", "prompt", "llm", "service", "gateway"}


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: path.name)
def test_pricing_knows_no_word_of_one_kind(path: Path):
    assert words(path.read_text(encoding="utf-8")) & (OF_SERVICES | OF_ONE_KIND) == set()
