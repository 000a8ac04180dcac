"""The commands of `usage-assets`: arguments in, exit codes out. What they do stands in the modules beside this one.

Exit codes: 0 done, 1 a run or a check of severity ERROR failed, 2 wrong usage, 130 interrupted.
"""

import re
import sys
from datetime import date
from typing import Annotated

import typer
from rich.console import Console

from usage_assets.errors import SiteError, UsageError
from usage_assets.sites import Site, load_sites, utc_now

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

app = typer.Typer(
    help="Usage accounting of shared research computing that one can audit to the hour.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)  # a file has no width
errors = Console(stderr=True, highlight=False, soft_wrap=True)

SiteName = Annotated[str, typer.Argument(metavar="SITE", help="Key of a site: the stem of its file in sites/")]
SiteNames = Annotated[list[str] | None, typer.Option("--site", help="Key of a site; may be given several times")]


def main() -> None:
    """Run a command; faults that an operator can mend are one sentence, not a stack trace."""
    try:
        app(standalone_mode=True)
    except SiteError as error:
        errors.print(str(error), style="red", markup=False)
        sys.exit(USAGE)
    except UsageError as error:
        errors.print(str(error), style="red", markup=False)
        sys.exit(FAILED)
    except KeyboardInterrupt:
        errors.print("interrupted")
        sys.exit(INTERRUPTED)


def chosen_sites(names: list[str] | None) -> dict[str, Site]:
    """The sites named, or all; an unknown one is wrong usage and lists those that there are."""
    sites = load_sites()
    if not sites:
        raise typer.BadParameter("there is no site file yet; see docs/adding-a-site.md", param_hint="--site")
    unknown = sorted(set(names or ()) - set(sites))
    if unknown:
        msg = f"unknown site {', '.join(unknown)}; there are: {', '.join(sites)}"
        raise typer.BadParameter(msg, param_hint="--site")
    return {name: sites[name] for name in names} if names else sites


def one_site(name: str) -> Site:
    """The site named."""
    return chosen_sites([name])[name]


def month(text: str, hint: str) -> date:
    """A month as people write it."""
    found = re.fullmatch(r"(\d{4})-(\d{2})", text)
    if not found or not 1 <= int(found[2]) <= 12 or not int(found[1]) >= 1:
        raise typer.BadParameter(f"{text!r} is not a month; write it as 2019-03", param_hint=hint)
    return date(int(found[1]), int(found[2]), 1)


@app.command()
def backfill(
    site: Annotated[list[str], typer.Option("--site", help="Key of a site; may be given several times")],
    first: Annotated[str, typer.Option("--from", metavar="YYYY-MM", help="First month")],
    last: Annotated[str, typer.Option("--to", metavar="YYYY-MM", help="Last month")],
    *,
    purge_known: Annotated[
        bool, typer.Option("--purge-known", help="The source was purged on purpose: mark what vanished, however much")
    ] = False,
    in_process: Annotated[
        bool, typer.Option("--in-process", help="Build in this process even when a daemon is running")
    ] = False,
) -> None:
    """Build every asset of the sites' months: by the daemon when one is running, else in this process."""
    from usage_assets.cli.backfill import plan, run

    sites = chosen_sites(site)
    start, end = month(first, "--from"), month(last, "--to")
    windows = plan(sites, start, end, today=utc_now().date())
    raise typer.Exit(run(sites, windows, purge_known=purge_known, in_process=in_process))


@app.command()
def status(site: SiteNames = None) -> None:
    """Which months of each site and table are there, and why others are not."""
    from usage_assets.cli.look import show_status

    show_status(chosen_sites(site), console)


@app.command("check-site")
def check_site(site: SiteName) -> None:
    """Connect to a site's databases read-only and say what of each table is found, missing or not granted."""
    from usage_assets.cli.look import show_access

    raise typer.Exit(show_access(one_site(site), console))


@app.command()
def grants(site: SiteName) -> None:
    """Print the least-privilege SQL for the account that reads a site."""
    from usage_assets.cli.look import show_grants

    show_grants(one_site(site), console)


@app.command()
def explain(
    site: Annotated[str, typer.Option("--site", help="Key of a site")],
    at: Annotated[str, typer.Option("--at", metavar="INSTANT", help="Instant in UTC, such as 2024-05-03T12:00")],
    *,
    metric: Annotated[str | None, typer.Option("--metric", help="Metric of the usage timeline")] = None,
    node_type: Annotated[str | None, typer.Option("--node-type", help="Machines of this type only")] = None,
    entity: Annotated[
        str | None, typer.Option("--entity", help="One entity, node, reservation or lease only, by its id")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", help="How many intervals to show", min=0)] = 20,
    rejected: Annotated[bool, typer.Option("--rejected", help="What does not count at that instant, and why")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For other programs")] = False,
) -> None:
    """Print the intervals that make a number, or the rows that do not count, with their source rows."""
    from usage_assets.cli.explain import instant, show
    from usage_assets.facts.explain import Question

    if metric is None and not rejected:
        raise typer.BadParameter("name a metric, or ask for --rejected", param_hint="--metric")
    question = Question(metric, instant(at), node_type, entity, limit, rejected)
    show(one_site(site), question, console, as_json=as_json)


@app.command()
def demo(
    months: Annotated[int, typer.Option(help="How many of the last months to build", min=1, max=131)] = 36,
) -> None:
    """Make the databases of the demo sites and build their last months; says where the plots are."""
    from usage_assets.cli.demo import run_demo

    raise typer.Exit(run_demo(months, console))


@app.command()
def prune(
    keep_days: Annotated[int, typer.Option("--keep-days", help="Runs that ended before this are removed", min=1)],
) -> None:
    """Remove old runs from Dagster's storage; runs that the UI still shows as a month's latest are kept."""
    from usage_assets.cli.upkeep import prune_runs

    prune_runs(keep_days, console)


@app.command()
def compact() -> None:
    """Rewrite the warehouse file without the room that replaced rows left."""
    from usage_assets.cli.upkeep import compact_warehouse

    compact_warehouse(console)
