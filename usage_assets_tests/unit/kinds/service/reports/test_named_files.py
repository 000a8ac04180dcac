"""What check-site says of the files that a site's file names."""

from pathlib import Path
from typing import Any

import pytest

from usage_assets.core.errors import SiteError
from usage_assets.kinds.service.reports.named_files import check_files
from usage_assets.kinds.service.site.model import ServiceSite

RATES = (
    "site,model_id,meter,price,per_quantity,currency,valid_from\n"
    ",m,requests,1,1,USD,2026-01-01\nother,m,requests,2,1,USD,2026-01-01\n"
)
FILES = {
    "rates": ("rates.csv", RATES),
    "exchange_rates": ("exchange.csv", "from_currency,to_currency,rate,valid_from\nEUR,USD,1.1,2026-01-01\n"),
    "limits": ("limits.jsonl", '{"scope_type": "user", "scope_id": "*", "window": "day", "amount": 1}\n'),
    "inventory": ("inventory.csv", "model_id,valid_from\nm,2026-01-01\n"),
    "users": ("users.csv", "user_id,tier\nann,free\nbob,free\n"),
}


def site(folder: Path, **texts: str) -> ServiceSite:
    named: dict[str, Any] = {}
    for key, (name, text) in FILES.items():
        (folder / name).write_text(texts.get(key, text))
        named[key] = name
    values = {"kind": "service", "key": "llm", "name": "LLM", "sources": [{"reader": "records", "path": "events"}]}
    return ServiceSite.model_validate(values | named, context={"folder": folder})


def test_each_file_is_read_and_its_rows_that_hold_for_the_site_are_counted(tmp_path: Path):
    assert check_files(site(tmp_path)) == [
        "rates: rates.csv has 1 row(s) that hold for the site",
        "exchange_rates: exchange.csv has 1 row(s) that hold for the site",
        "limits: limits.jsonl has 1 row(s) that hold for the site",
        "inventory: inventory.csv has 1 row(s) that hold for the site",
        "users: users.csv has 2 row(s) that hold for the site",
    ]


@pytest.mark.parametrize(
    ("key", "text", "fault"),
    [
        ("rates", "model_id,meter,price\nm,requests,x\n", r"rates\.csv:2: price: 'x'"),
        ("limits", '{"scope_type": "nobody", "scope_id": "*", "window": "day", "amount": 1}\n', r"limits\.jsonl:1"),
        ("inventory", "model_id,valid_from\n,2026-01-01\n", r"inventory\.csv:2: model_id: is missing"),
        ("users", "user_id,colour\nann,red\n", r"users\.csv:2: colour: unknown key"),
    ],
)
def test_a_fault_is_told_with_file_line_and_key(tmp_path: Path, key: str, text: str, fault: str):
    with pytest.raises(SiteError, match=fault):
        check_files(site(tmp_path, **{key: text}))


def test_a_file_that_is_not_there_is_told(tmp_path: Path):
    of = site(tmp_path)
    (tmp_path / "users.csv").unlink()
    with pytest.raises(SiteError, match=r"users\.csv"):
        check_files(of)
