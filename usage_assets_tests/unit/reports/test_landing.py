"""The pages that lead to the plots: what lies in the folder, what coverage said, and what to do where nothing is."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from usage_assets.reports import landing


class Read(HTMLParser):
    """Links, images and text of a page; every element that is opened is closed."""

    _EMPTY = frozenset({"meta", "link", "img"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag not in self._EMPTY:
            self._open.append(tag)
        if tag == "a":
            self.links.append(named["href"] or "")
        if tag == "img":
            self.images.append(named)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def draw(folder: Path, *names: str) -> Path:
    for name in names:
        for suffix in (".html", ".svg"):
            path = folder / f"{name}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("x")
    return folder


def tell(folder: Path, **more: object) -> None:
    said = {"made_at": "2026-11-28 00:57", "sites": {}, "failing": 0, "failures": []} | more
    folder.mkdir(parents=True, exist_ok=True)
    (folder / landing.FRONT).write_text(json.dumps(said))


def read(folder: Path, *parts: str) -> Read:
    page = landing.page_of(folder, parts)
    assert page is not None
    return Read(page)


def every_page(folder: Path) -> Iterator[tuple[Path, str]]:
    for here in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        page = landing.page_of(folder, here.relative_to(folder).parts)
        if page is not None:
            yield here, page


@pytest.fixture
def plots(tmp_path: Path) -> Path:
    folder = tmp_path / "plots"
    months = [f"20{year}-{month:02}" for year in (24, 25, 26) for month in range(1, 13)]
    draw(folder, *(f"metal/{month}/{plot}" for month in months for plot in ("utilization", "usage_stack")))
    draw(folder, "metal/metal_stack", "cross_site_usage", "coverage")
    draw(folder, "pool/2026-12/gpu_classes", *(f"pool/gpu_reports/daily/2026-12-{day:02}" for day in range(1, 10)))
    failure = {"site": "metal", "name": "Metal <1>", "month": "2026-11", "asset": "openstack/facts/total",
               "check": "conservation", "text": "<b>3 hours</b> are missing", "at": "2026-11-28 00:50"}  # fmt: skip
    names = {"metal": {"name": "Metal <1>", "kind": "openstack", "counts": {"ok": 35, "missing": 1}}}
    names["new"] = {"name": "New", "kind": "openstack", "counts": {}}
    tell(folder, sites=names, failing=40, failures=[failure])
    return folder


def test_the_first_page_names_sites_months_plots_coverage_and_failures(plots: Path):
    page = read(plots)
    assert {"cross_site_usage.html", "coverage.html", "metal/", "metal/2026-12/", "pool/"} <= set(page.links)
    assert {"metal/metal_stack.svg", "coverage.svg"} <= {image["src"] for image in page.images}
    for text in ("Metal <1>", "36 months drawn, 2024-01 to", "35 ok, 1 missing", "<b>3 hours</b> are missing",
                 "1 of 40 are shown", "As of 2026-11-28 00:57 UTC", "usage-assets backfill --site new"):  # fmt: skip
        assert text in page.text


def test_every_link_and_image_of_every_page_is_there_and_none_leads_elsewhere(plots: Path):
    found = list(every_page(plots))
    assert len(found) == 3 + 36 + 1 + 2
    for here, text in found:
        page = Read(text)
        for place in [*page.links, *(str(image["src"]) for image in page.images)]:
            if place != landing.settings.ui_url():
                assert not re.match(r"[a-z]+:|/", place), place
                assert (here / place).resolve().exists(), (here, place)
        assert "<script" not in text
        assert all(image["loading"] == "lazy" and image["alt"] == "" for image in page.images)
        assert 'lang="en"' in text
        assert "viewport" in text


def test_a_sites_page_has_its_newest_months_first_and_older_ones_folded_by_year(plots: Path):
    page = landing.page_of(plots, ["metal"])
    assert page is not None
    assert re.findall(r"<summary>(.*?)</summary>", page) == [
        "2026 (9 months)", "2025 (12 months)", "2024 (12 months)"
    ]  # fmt: skip
    assert re.findall(r"<h3><a href=\"(.*?)/\">", page)[:4] == ["2026-12", "2026-11", "2026-10", "2026-09"]
    assert page.index("Use and capacity") < page.index("Utilization by resource")
    month = read(plots, "metal", "2025-06")
    assert {"../2025-05/", "../2025-07/", "usage_stack.html"} <= set(month.links)
    pool = read(plots, "pool")
    assert [link for link in pool.links if link.startswith("gpu_reports/daily/2026")] == [
        f"gpu_reports/daily/2026-12-{day:02}.html" for day in (9, 8, 7, 6, 5)
    ]


def test_thousands_of_months_are_one_small_first_page(tmp_path: Path):
    draw(tmp_path, *(f"site{n}/{year}-{month:02}/usage_stack" for n in range(20) for year in range(2010, 2020)
                     for month in range(1, 13)))  # fmt: skip
    page = landing.page_of(tmp_path, [])
    assert page is not None
    assert len(page) < 30_000


@pytest.mark.parametrize("is_there", [True, False])
def test_where_nothing_was_drawn_the_page_says_what_to_do(tmp_path: Path, is_there: bool):
    folder = tmp_path / "plots"
    if is_there:
        folder.mkdir()
    page = read(folder)
    assert "Nothing has been drawn yet" in page.text
    assert "Coverage has not been looked at yet" in page.text


@pytest.mark.parametrize("text", ["", "[]", "{half", "\x00"])
def test_what_coverage_left_may_be_unreadable(plots: Path, text: str):
    (plots / landing.FRONT).write_text(text)
    assert "Coverage has not been looked at yet" in read(plots).text


@pytest.mark.parametrize(
    "parts", [("metal", "x"), ("gone",), ("pool", "gpu_reports", "daily", "x"), ("metal", "2031-01")]
)
def test_other_folders_have_no_page(plots: Path, parts: tuple[str, ...]):
    (plots / "metal" / "x").mkdir()
    assert landing.page_of(plots, parts) is None


def test_a_page_that_is_not_there_escapes_its_address_and_leads_back(plots: Path):
    page = landing.missing(plots, ["metal", "2026-01", "<i>.html"])
    assert "<i>" not in page
    assert Read(page).links[-2:] == ["../../metal/", "../../"]
    assert "Blazar" not in page
    assert "a database blazar" in landing.missing(plots, ["metal", "2026-01", "leadtime.html"])


def test_a_service_shows_its_history_and_its_usage_reports(tmp_path: Path):
    draw(tmp_path, "llm/2026-03/service_models", "llm/llm_service_history")
    draw(tmp_path, *(f"llm/usage_reports/monthly/2026-{month:02}" for month in range(1, 8)))
    assert {image["src"] for image in read(tmp_path).images} == {"llm/llm_service_history.svg"}
    page = read(tmp_path, "llm")
    assert [link for link in page.links if link.startswith("usage_reports/monthly/2026")] == [
        f"usage_reports/monthly/2026-{month:02}.html" for month in (7, 6, 5, 4, 3)
    ]
    assert "usage_reports/monthly/" in page.links
    assert "usage reports" in read(tmp_path, "llm", "usage_reports", "monthly").text
