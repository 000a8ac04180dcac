"""Seconds of drawing: all plots of a month, each plot of a whole history, and the pages of all months.

python -m bench.plots SITE MONTH FIRST LAST
"""

import os
import resource
import time
from collections.abc import Callable
from datetime import date

import typer

from usage_assets.core.months import Window, months_between
from usage_assets.kinds import KINDS, kind_of
from usage_assets.kinds.site_files import load_sites
from usage_assets.reports.draw import draw_window
from usage_assets.reports.plots import Plot, plots_of
from usage_assets.warehouse import Warehouse


def main(key: str, month: str, first: str, last: str) -> None:
    """Draw with and without pictures; one line each."""
    sites = load_sites()
    site, (day, start, end) = sites[key], (date.fromisoformat(f"{at}-01") for at in (month, first, last))
    plots = [plot for plot in plots_of(kind_of(site)) if plot.applies(kind_of(site), site)]
    monthly = [plot for plot in plots if plot.scope == "month"]

    def draw(chosen: list[Plot], months: tuple[date, ...], pictures: str) -> Callable[[], int]:
        def work() -> int:
            os.environ["USAGE_PICTURES"] = pictures
            window = Window(key, months)
            return len(
                draw_window(
                    kind_of(site), site, window, Warehouse.default(), plots=chosen, kinds=KINDS, sites=sites
                ).pages
            )

        return work

    _line(f"{len(monthly)} plots of {month}, with pictures", "5 s", draw(monthly, (day,), "all"))
    _line(f"{len(monthly)} plots of {month}, pages only", "-", draw(monthly, (day,), "none"))
    for plot in plots:
        if plot.scope != "month":
            _line(f"{plot.name}, with its picture", "10 s", draw([plot], (day,), "all"))
    months = months_between(start, end)
    _line(f"all plots of {len(months)} months, pictures by default", "60 s", draw(plots, months, "auto"))


def _line(what: str, bound: str, work: Callable[[], int]) -> None:
    begun, cpu = time.perf_counter(), _cpu()
    pages = work()
    took = f"{time.perf_counter() - begun:7.2f} s wall {_cpu() - cpu:7.2f} s CPU"
    print(f"  {what:<56} {pages:5} pages {took}   (bound: {bound})", flush=True)


def _cpu() -> float:
    """CPU time of this process and of the browsers it has ended."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


if __name__ == "__main__":
    typer.run(main)
