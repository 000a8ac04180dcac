"""Files of a figure: small pages beside one script, pictures only where a browser is, never half a file."""

import base64
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from usage_assets.reports import pictures, render, thumbnail
from usage_assets.reports.figures.stack import site_stack, usage_stack
from usage_assets.specs.plot_context import Scene
from usage_assets_tests.unit.reports.test_figures import JAN, site, usage


@pytest.fixture(autouse=True)
def _no_browser(monkeypatch):
    monkeypatch.delenv("BROWSER_PATH", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("USAGE_PLOTS_URL", raising=False)


def rendered_all(figures: dict[str, dict], *, folder: Path) -> dict[str, render.Rendered]:
    renderer = render.Renderer(folder)
    for name, each in figures.items():
        renderer.add(name, each)
    return renderer.finish()


def rendered(each: dict, name: str, *, folder: Path) -> render.Rendered:
    return rendered_all({name: each}, folder=folder)[name]


def figure(**more: object) -> dict:
    return usage_stack(usage(), Scene(site(**more), JAN))


def test_a_page_is_small_and_refers_to_the_shared_script(tmp_path):
    done = rendered(figure(), "made/2026-01-01/usage_stack", folder=tmp_path)
    text = done.path.read_text(encoding="utf-8")
    assert done.path == tmp_path / "made/2026-01-01/usage_stack.html"
    assert '<script src="../../plotly.min.js"' in text
    assert (tmp_path / "plotly.min.js").stat().st_size > 1_000_000
    assert len(text) < 20_000


def test_a_page_loads_nothing_from_elsewhere_and_offers_no_upload(tmp_path):
    text = rendered(figure(), "made/made_stack", folder=tmp_path).path.read_text(encoding="utf-8")
    assert "http" not in text.replace("http-equiv", "")
    assert '"showSendToCloud":false' in text


def test_the_link_is_under_the_address_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("USAGE_PLOTS_URL", "https://plots.example/usage/")
    done = rendered(figure(), "made/2026-01-01/usage_stack", folder=tmp_path)
    assert done.url == "https://plots.example/usage/made/2026-01-01/usage_stack.html"


def test_without_a_browser_there_is_a_note_and_no_picture(tmp_path):
    old = tmp_path / "made/2026-01-01/usage_stack.png"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"of an older page")
    done = rendered(figure(), "made/2026-01-01/usage_stack", folder=tmp_path)
    assert done.png_path is None
    assert done.note is not None
    assert "no Chrome or Chromium" in done.note
    assert not old.exists()


@pytest.mark.parametrize("does", ["exit 1", "exec /bin/sleep 600"], ids=["fails", "hangs"])
def test_a_browser_that_fails_or_hangs_is_a_note_and_no_error(tmp_path, monkeypatch, does):
    broken = tmp_path / "browser"
    broken.write_text(f"#!/bin/sh\n{does}\n")
    broken.chmod(0o755)
    monkeypatch.setenv("BROWSER_PATH", str(broken))
    monkeypatch.setattr(pictures, "PNG_SECONDS", 2.0)
    done = rendered(figure(), "made/2026-01-01/usage_stack", folder=tmp_path)
    assert done.path.exists()
    assert done.note is not None
    assert done.note.startswith("no picture: browser failed")


def test_the_same_figure_gives_the_same_page():
    assert render.page(figure(), "a/b") == render.page(figure(), "a/b")


def test_a_hostile_name_stays_text_in_the_page():
    text = render.page(figure(name="</script><script>alert(1)</script>"), "made/2026-01-01/usage_stack")
    assert "<script>alert" not in text
    assert text.count("</script>") == 2


def test_the_shared_script_is_written_once_and_again_when_it_differs(tmp_path):
    shared = render.share_plotly_js(tmp_path)
    first = shared.stat().st_mtime_ns
    render.share_plotly_js(tmp_path)
    assert shared.stat().st_mtime_ns == first
    shared.write_text("// plotly.js of another version")
    render.share_plotly_js(tmp_path)
    assert shared.stat().st_size > 1_000_000


def test_no_part_file_stays_behind(tmp_path):
    rendered_all({"a/b": figure(), "a/c": figure()}, folder=tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        "b.html", "b.svg", "c.html", "c.svg", "plotly.min.js"
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["../outside", "a/../../b", "/etc/plot", ""])
def test_a_plot_stays_within_the_folder(tmp_path, name):
    with pytest.raises(ValueError, match="no place below the plots folder"):
        rendered(figure(), name, folder=tmp_path)


def svg_of(markdown: str) -> ET.Element:
    return ET.fromstring(base64.b64decode(markdown.split("base64,")[1].removesuffix(")")))


def small(figure: dict) -> str:
    """The thumbnail as the UI has it."""
    text = thumbnail.fitting(figure)
    assert text is not None
    return thumbnail.markdown(text, "made 2026-01 usage_stack")


def test_the_thumbnail_is_a_valid_picture_of_at_most_8_kb_in_the_colours_of_the_stack():
    made = figure()
    text = small(made)
    assert len(text) <= thumbnail.MAX_BYTES
    fills = {path.get("fill") for path in svg_of(text).iter("{http://www.w3.org/2000/svg}path")} - {"none"}
    assert fills == {trace["fillcolor"] for trace in made["data"] if "stackgroup" in trace}


def test_the_thumbnail_of_ten_restless_years_fits_too():
    days = 3653
    restless = [float(day * 7 % 11) for day in range(days)]
    frame = usage(days, datetime(2016, 1, 1), idle=restless, occupied_reservation=restless[::-1])
    text = small(site_stack(frame, Scene(site()), missing={}))
    assert len(text) <= thumbnail.MAX_BYTES


def test_a_figure_without_values_has_no_thumbnail():
    assert thumbnail.fitting(usage_stack(usage().head(0), Scene(site(), JAN))) is None


def test_the_thumbnail_lies_beside_its_page_and_goes_where_there_is_nothing_to_show(tmp_path):
    rendered(figure(), "made/2026-01/usage_stack", folder=tmp_path)
    svg = tmp_path / "made/2026-01/usage_stack.svg"
    assert svg.read_text(encoding="utf-8") == thumbnail.fitting(figure())
    rendered(usage_stack(usage().head(0), Scene(site(), JAN)), "made/2026-01/usage_stack", folder=tmp_path)
    assert not svg.exists()
