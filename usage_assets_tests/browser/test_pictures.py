"""With a browser on the machine, pictures are made; each kind of plot shows something."""

import struct
import zlib

import polars as pl
import pytest

from usage_assets.reports import pictures
from usage_assets.reports.figures import cross_site, leadtime, leadtime_history, legacy, stack, utilization
from usage_assets.reports.figures.cross_site import SitesHistory
from usage_assets.reports.figures.leadtime_history import LeadtimeHistory
from usage_assets.reports.frame import HEIGHT
from usage_assets.reports.plots import PLOTS
from usage_assets.specs.plot_context import MACHINES, Figure, Scene
from usage_assets_tests.unit.reports.test_cross_site import rows as site_rows
from usage_assets_tests.unit.reports.test_figures import DAY, JAN, START, site, usage
from usage_assets_tests.unit.reports.test_leadtime_figures import lease, leases, timeline
from usage_assets_tests.unit.reports.test_legacy_figures import both, differences
from usage_assets_tests.unit.reports.test_render import rendered, rendered_all
from usage_assets_tests.unit.reports.test_utilization import cells

pytestmark = pytest.mark.skipif(pictures.find_browser() is None, reason="needs a Chrome or Chromium")
SITES = {"one": site(key="one", name="One")}
MONTH = Scene(site(), JAN)
WHOLE = Scene(site(), sites=SITES, machines_of=dict.fromkeys(SITES, MACHINES))


def every_plot() -> dict[str, Figure]:
    """One figure of each plot, of literal rows."""
    asked = leases(*(lease(n, requested=float(n), effective=float(n + 1)) for n in range(1, 20)))
    periods = pl.DataFrame(
        [(START, 1, group, kind, 9, 1.0, 5.0, 9.0) for group in ("compute", "began") for kind in ("requested", "late")],
        schema=["start", "months", "node_group", "kind", "leases", "low", "middle", "high"],
        orient="row",
    )
    sample = pl.DataFrame(
        {"created_at": [START + DAY * n for n in range(20)], "node_group": ["compute"] * 20,
         "requested": [float(n) for n in range(20)], "effective": [float(n) for n in range(20)], "late": [1.0] * 20}
    )  # fmt: skip
    history = LeadtimeHistory(periods, sample, ("compute",), 20, START, START + 30 * DAY)
    compared = both(legacy_total=[5.0, 6.0], current_total=[6.0, 6.0])
    hours = timeline(*(("requested", "a", float(n)) for n in range(20)))
    return {
        "usage_stack": stack.usage_stack(usage(), MONTH),
        "utilization": utilization.utilization(usage(), MONTH, missing={}),
        "node_types": utilization.node_types(
            cells(("small", 1.0, 0.0, 2.0, 4.0), ("lost", None, 0.0, 2.0, 4.0)), MONTH
        ),
        "leadtime": leadtime.leadtime(hours, MONTH),
        "leadtime_compare": leadtime.leadtime_compare(asked, MONTH),
        "leadtime_projected": leadtime.leadtime_projected(asked, MONTH),
        "legacy_facet": legacy.legacy_facet(compared, MONTH, missing={}),
        "collector_difference": legacy.collector_difference(differences((3, "total", "unexplained", -9.0)), MONTH),
        "site_stack": stack.site_stack(usage(), WHOLE, missing={}),
        "site_facet": legacy.legacy_facet(compared, WHOLE, missing={}),
        "site_leadtime": leadtime_history.site_leadtime(history, WHOLE),
        "site_leadtime_compare": leadtime_history.site_leadtime_compare(history, WHOLE),
        "cross_site_usage": cross_site.cross_site_usage(
            SitesHistory(site_rows(one=[(9.0, 4.0)] * 9), frozenset()), WHOLE
        ),
    }


def pixels(png: bytes) -> tuple[int, int, int]:
    """Width, height, and how many pixels of a PNG differ from their left neighbour: nothing on a blank page."""
    width, height = struct.unpack(">II", png[16:24])
    bands = {2: 3, 6: 4}[png[25]]
    data, at = b"", 8
    while at < len(png):
        (length,), kind = struct.unpack(">I", png[at : at + 4]), png[at + 4 : at + 8]
        data += png[at + 8 : at + 8 + length] if kind == b"IDAT" else b""
        at += length + 12
    raw, row = zlib.decompress(data), width * bands + 1
    # the bytes of a filtered row are differences to neighbours, whatever the filter: zero where nothing changes
    rows = (raw[start + 1 : start + row] for start in range(0, len(raw), row))
    return width, height, sum(len(line) - line.count(0) for line in rows)


def test_every_plot_has_a_picture_that_is_not_blank_and_one_browser_makes_them_all(tmp_path, monkeypatch):
    from kaleido import Kaleido

    started = []
    original = Kaleido.__init__

    def counting(self, *args, **options):
        started.append(options)
        original(self, *args, **options)

    monkeypatch.setattr(Kaleido, "__init__", counting)
    made = every_plot()
    assert set(made) == {plot.name for plot in PLOTS}
    done = rendered_all({f"made/{name}": figure for name, figure in made.items()}, folder=tmp_path)
    assert {name: one.note for name, one in done.items()} == dict.fromkeys(done)
    blank = rendered({"data": [], "layout": {}}, "made/blank", folder=tmp_path)
    assert blank.png_path is not None
    *_, least = pixels(blank.png_path.read_bytes())
    for name, figure in made.items():
        png = done[f"made/{name}"].png_path
        assert png is not None
        width, height, changes = pixels(png.read_bytes())
        assert (width, height) == (
            pictures.WIDTH * pictures.SCALE,
            figure["layout"].get("height", HEIGHT) * pictures.SCALE,
        ), name
        assert changes > 2 * least + 5_000, name
        assert len(png.read_bytes()) < 300_000, name
    assert len(started) == 2
