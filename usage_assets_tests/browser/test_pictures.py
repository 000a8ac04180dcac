"""With a browser on the machine, pictures are made; they show something."""

import struct

import pytest

from usage_assets.reports import pictures, render
from usage_assets.reports.frame import HEIGHT
from usage_assets.reports.scene import Scene
from usage_assets_tests.unit.reports.test_figures import JAN, site, usage

pytestmark = pytest.mark.skipif(pictures.find_browser() is None, reason="needs a Chrome or Chromium")


def test_a_picture_lies_beside_each_page_and_one_browser_makes_them_all(tmp_path, monkeypatch):
    from kaleido import Kaleido

    from usage_assets.reports.figures import usage_stack

    started = []
    original = Kaleido.__init__

    def counting(self, *args, **options):
        started.append(options)
        original(self, *args, **options)

    monkeypatch.setattr(Kaleido, "__init__", counting)
    figure = usage_stack(usage(), Scene(site(), JAN))
    done = render.render_all({"made/a/plot": figure, "made/b/plot": figure}, folder=tmp_path)
    assert [one.note for one in done.values()] == [None, None]
    for one in done.values():
        assert one.png_path is not None
        content = one.png_path.read_bytes()
        assert struct.unpack(">II", content[16:24]) == (pictures.WIDTH * pictures.SCALE, HEIGHT * pictures.SCALE)
        assert 20_000 < len(content) < 200_000
    assert len(started) == 1
