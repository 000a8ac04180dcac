"""What a plot is declared by; `plots` lists those of every kind, and a kind its own."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

from usage_assets.sites.base import Site
from usage_assets.specs.plot_context import Figure, Scene
from usage_assets.warehouse import Reader

if TYPE_CHECKING:
    from usage_assets.specs.kind import Kind


@dataclass(frozen=True)
class Plot:
    """One plot: an asset of every kind that has the tables it is made of.

    A plot of scope `month` has a page per month; one of scope `history` a page per site and one of scope `sites` a
    single page, both drawn anew once per run.
    """

    name: str
    description: str
    scope: Literal["month", "history", "sites"]
    after: tuple[str, ...]
    """Assets of the kind that it is made of, as `<stage>/<table>`."""
    read: Callable[[Reader, Scene], Any]
    """What is drawn, while the warehouse's file is held; none where nothing was built. It is not changed by drawing."""
    draw: Callable[[Any, Scene], Figure]
    always_pictured: bool = False
    """Whether it has a picture in runs over many months too."""

    def page(self, site: str, month: date | None = None) -> str:
        """Where its page lies below the plots folder, without suffix."""
        if self.scope == "month":
            return f"{site}/{month:%Y-%m}/{self.name}"
        return self.name if self.scope == "sites" else f"{site}/{site}_{self.name.removeprefix('site_')}"

    def applies(self, kind: "Kind", site: Site) -> bool:
        """Whether the site has the tables that it is made of."""
        tables = {table.path: table for table in kind.tables}
        return all(tables[name].applies(site) for name in self.after if name in tables)
