"""The UI as an operator meets it: a backfill by clicking, partitions that turn green, a failed check, a plot."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from usage_assets.reports import pictures
from usage_assets_tests import ROOT
from usage_assets_tests.assets.tiny import change, make_site

sync_api = pytest.importorskip("playwright.sync_api")

SECONDS = float(os.environ.get("USAGE_TEST_PATIENCE", "120"))
SITE = "demo_metal"


def missing(reason: str) -> None:
    if os.environ.get("USAGE_REQUIRE_SERVICES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Ui:
    """Where the UI and the plots are."""

    url: str
    plots: str
    data: Path


@pytest.fixture
def ui(tmp_path: Path) -> Iterator[Ui]:
    """`usage-assets ui` on two kinds; one site has machines since 2015 and a lease with a zero date.

    That fails the check `evidence` of its leases.
    """
    site = make_site(tmp_path)
    change(site, "nova", "UPDATE compute_nodes SET created_at = '2015-05-01 00:00:00'")
    change(site, "blazar", "UPDATE computehosts SET created_at = '2015-05-01 00:00:00'")
    change(
        site,
        "blazar",
        "INSERT INTO leases (id, created_at, start_date, end_date, updated_at) VALUES "
        "('l2', '2016-01-05 00:00:00', '2016-01-05 00:00:00', '2016-01-09 00:00:00', '0000-00-00 00:00:00')",
    )
    (tmp_path / "sites").mkdir()
    urls = "\n".join(f"  {name}: {url}" for name, url in site.databases.items())
    (tmp_path / "sites" / f"{SITE}.yaml").write_text(
        f"kind: openstack\nname: Tiny\nfirst_month: 2016-01\ndatabases:\n{urls}\n"
    )
    for path in (ROOT / "sites").glob("demo_pool*"):
        shutil.copy(path, tmp_path / "sites")
    port, plots = free_port(), f"http://127.0.0.1:{free_port()}"
    environment = os.environ | {
        "USAGE_SITES": str(tmp_path / "sites"),
        "USAGE_PLOTS_URL": plots,
        "USAGE_NIGHTLY_CRON": "0 0 1 1 *",  # not while the test runs
        "BROWSER_PATH": "nowhere",
        "PYTHONPATH": str(ROOT),
    }
    log = tmp_path / "ui.log"
    with log.open("wb") as out:
        command = [sys.executable, "-m", "usage_assets", "ui", "--host", "127.0.0.1", "--port", str(port)]
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=out, stderr=out)
    try:
        url = f"http://127.0.0.1:{port}"
        end = time.monotonic() + SECONDS
        while not answers(f"{url}/server_info"):
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < end, log.read_text()[-3000:]
            time.sleep(0.3)
        yield Ui(url, plots, tmp_path / "data")
    finally:
        process.terminate()
        process.wait(60)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


@pytest.fixture
def page(tmp_path: Path):
    """A page of the browser that this machine has."""
    binary = pictures.find_browser()
    if binary is None:
        missing("needs a Chrome or Chromium")
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=binary, args=["--no-sandbox"])
        found = browser.new_page(viewport={"width": 1400, "height": 900})
        found.set_default_timeout(SECONDS * 1000)
        yield found
        browser.close()


class Shots:
    """Numbered pictures of what the test sees; kept where `USAGE_TEST_SCREENSHOTS` says."""

    def __init__(self, page, folder: Path) -> None:
        self._page, self._folder, self._number = page, folder, 0

    def __call__(self, name: str) -> None:
        self._number += 1
        path = self._folder / f"{self._number}_{name}.png"
        self._page.screenshot(path=path)
        if keep := os.environ.get("USAGE_TEST_SCREENSHOTS"):
            Path(keep).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, keep)


def readme() -> tuple[list[str], str, str]:
    """What README's section tells to click, in order, and the months and the site it tells to choose."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = re.search(r"^## Backfill in the UI\n(.*?)^## ", text, flags=re.DOTALL | re.MULTILINE)
    assert section is not None
    steps = "\n".join(re.findall(r"^(?:\d\.|  ) .*$", section[1], flags=re.MULTILINE))
    clicked = [name for name in re.findall(r"\*\*(.*?)\*\*", steps) if name not in {"htcondor", "service"}]
    (months,) = re.findall(r"`(\[\d{4}-.*?\])`", steps)
    (site,) = re.findall(r"`(demo_\w+)`", steps)
    return clicked, months, site


def launch_by_the_readme(page, ui: Ui, shot: Shots) -> None:
    """From the home page to a backfill that is under way, and the page of the runs."""
    expect = sync_api.expect
    (jobs, kind, materialize, launch, runs), months, site = readme()
    assert (months, site) == ("[2016-01-01...2016-03-01]", SITE)
    page.goto(ui.url)
    page.get_by_role("link").get_by_text(jobs, exact=True).click()
    page.get_by_role("link", name=kind).first.click()
    page.get_by_role("button", name=materialize).click()
    box = page.get_by_placeholder("ex: 2016-01-01")
    box.fill(months)
    box.press("Enter")
    page.get_by_text("Select a partition or create one").click()
    page.keyboard.type("demo_metl")  # nothing is made of a name that is mistyped
    expect(page.get_by_text("No matching partitions found")).to_be_visible()
    page.keyboard.press("Backspace")
    page.keyboard.type("al")
    page.locator("label").filter(has_text=site).last.click()
    page.keyboard.press("Escape")
    expect(page.get_by_text("3 partitions")).to_be_visible()
    shot("launch")
    page.get_by_role("button", name=launch).click()
    expect(page.get_by_role("button", name=launch)).to_be_hidden()
    page.get_by_role("link").get_by_text(runs, exact=True).click()


def test_by_the_words_of_the_readme_months_of_2016_turn_green_and_what_failed_and_a_plot_are_seen(
    ui: Ui, page, tmp_path: Path
):
    shot = Shots(page, tmp_path)
    expect = sync_api.expect
    expect.set_options(timeout=SECONDS * 1000)
    launch_by_the_readme(page, ui, shot)
    page.goto(f"{ui.url}/runs?tab=backfills")
    # a publishing that the backfill brought about may have ended beside it
    expect(page.get_by_text("Success", exact=True).first).to_be_visible()
    shot("backfill")

    page.goto(f"{ui.url}/assets/openstack/reports/usage_stack?view=partitions")
    expect(page.get_by_text("Materialized (3)")).to_be_visible()
    expect(page.get_by_text("Failed (0)")).to_be_visible()
    shot("partitions")

    page.goto(f"{ui.url}/assets/openstack/raw/blazar_leases?view=checks")
    page.get_by_text("evidence", exact=True).first.click()
    expect(page.get_by_text("Failed", exact=True).first).to_be_visible()
    row = page.get_by_role("row", name=re.compile(r"demo_metal 1 2016-01 1 instant\(s\) that are no date")).last
    expect(row).to_be_visible()  # the check's table of what fails now, by site
    shot("failed_check")

    page.goto(f"{ui.url}/assets/openstack/reports/usage_stack?view=overview")
    link = page.locator(f"a[href^='{ui.plots}']").first
    expect(link).to_be_visible()
    image = page.locator("img[src^='data:image']").first
    expect(image).to_be_visible()
    assert image.evaluate("image => image.naturalWidth") > 50
    shot("preview")

    plot = link.get_attribute("href")
    page.goto(ui.url)
    expect(page.get_by_role("link", name="openstack").first).to_be_visible()
    shot("home")

    page.goto(plot)
    expect(page.locator("svg.main-svg").first).to_be_visible()
    expect(page.get_by_text(re.compile("Tiny")).first).to_be_visible()
    shot("plot")
