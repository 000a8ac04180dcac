"""A site's file for tests, and how it is written and read."""

from pathlib import Path

from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.kinds.site_files import load_site

GOOD = """\
kind: openstack
name: CHI@Somewhere
first_month: 2018-03
databases:
  nova: mysql+pymysql://usage:${DB_PASSWORD}@db/nova
known_gaps: [{source: nova_compute_nodes, to: 2018-06-01}]
"""


def write(folder: Path, text: str, name: str = "chi.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def cloud(folder: Path, text: str) -> OpenStackSite:
    site = load_site(write(folder, text))
    assert isinstance(site, OpenStackSite)
    return site
