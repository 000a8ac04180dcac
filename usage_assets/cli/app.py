"""The commands of `usage-assets`: arguments in, exit codes out. What they do is in the modules beside this one.

Exit codes: 0 done, 1 a run or a check of severity ERROR failed, 2 wrong usage, 130 interrupted.
"""

import sys
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from usage_assets.cli.console import (
    FAILED,
    INTERRUPTED,
    OK,
    USAGE,
    SiteName,
    SiteNames,
    chosen_sites,
    console,
    errors,
    instant,
    month_option,
    one_site,
)
from usage_assets.cli.htcondor.commands import gpu
from usage_assets.cli.service.commands import service
from usage_assets.core.clock import naive_utc_now
from usage_assets.core.errors import SiteError, UsageError
from usage_assets.core.file_faults import sentence
from usage_assets.core.settings import data_dir

SiteKey = Annotated[str, typer.Option("--site", help="Key of a site")]
Instant = Annotated[
    datetime, typer.Option(parser=instant, metavar="INSTANT", help="Instant in UTC, such as 2026-03-01T12:00")
]
AsJson = Annotated[bool, typer.Option("--json", help="For other programs")]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(gpu, name="gpu")
app.add_typer(service, name="service")


def main() -> None:
    """Run a command; an error that an operator can mend is one sentence, not a stack trace."""
    try:
        app(standalone_mode=True)
    except Exception as error:
        text = str(error) if isinstance(error, UsageError) else sentence(error, data_dir())
        if text is None:
            raise
        errors.print(text, style="red")
        sys.exit(USAGE if isinstance(error, SiteError) else FAILED)
    except KeyboardInterrupt:
        errors.print("interrupted")
        sys.exit(INTERRUPTED)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        console.print(f"usage-assets {version('usage-assets')}")
        raise typer.Exit(OK)


@app.callback()
def _main(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Auditable usage accounting for shared research computing, hour by hour."""


@app.command()
def backfill(
    site: Annotated[list[str], typer.Option(help="Key of a site; may be given several times")],
    first: Annotated[date, month_option("--from", "First month")],
    last: Annotated[date, month_option("--to", "Last month")],
    *,
    purge_known: Annotated[
        bool, typer.Option("--purge-known", help="The source was purged on purpose: mark what vanished, however much")
    ] = False,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Columns were removed at the source on purpose: null from now on")
    ] = False,
    in_process: Annotated[
        bool, typer.Option("--in-process", help="Build in this process even when a daemon is running")
    ] = False,
) -> None:
    """Build every asset of the sites' months: by the daemon when one is running, else in this process."""
    from usage_assets.cli.backfill import plan, run

    sites = chosen_sites(site)
    windows = plan(sites, first, last, today=naive_utc_now().date())
    raise typer.Exit(run(sites, windows, purge_known=purge_known, allow_missing=allow_missing, in_process=in_process))


@app.command()
def status(site: SiteNames = None) -> None:
    """Show which months are built per site and table, and why others are missing. Exits 2 if a site file is invalid."""
    from usage_assets.cli.access import show_status

    sites = chosen_sites(site)
    show_status(sites)
    raise typer.Exit(USAGE if sites.faults and not site else OK)


@app.command("check-site")
def check_site(site: SiteName) -> None:
    """Connect to a site's databases read-only; report which tables are found, missing or not granted."""
    from usage_assets.cli.access import show_access

    raise typer.Exit(show_access(one_site(site, "SITE")))


@app.command()
def grants(site: SiteName) -> None:
    """Print the least-privilege SQL for the account that reads a site."""
    from usage_assets.cli.access import show_grants

    show_grants(one_site(site, "SITE"))


@app.command()
def explain(
    site: SiteKey,
    at: Instant,
    *,
    metric: Annotated[str | None, typer.Option(help="Metric of the usage timeline")] = None,
    node_type: Annotated[str | None, typer.Option(help="Machines of this type only")] = None,
    entity: Annotated[str | None, typer.Option(help="One entity, node, reservation or lease only, by its id")] = None,
    limit: Annotated[int, typer.Option(help="How many intervals to show", min=0)] = 20,
    rejected: Annotated[bool, typer.Option("--rejected", help="What does not count at that instant, and why")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the intervals that make a number, or the rows that do not count, with their source rows."""
    from usage_assets.cli.explain import show
    from usage_assets.reports.explain import Question

    if metric is None and not rejected:
        raise typer.BadParameter("name a metric, or ask for --rejected", param_hint="--metric")
    question = Question(metric, at, node_type, entity, limit, rejected)
    show(one_site(site), question, as_json=as_json)


@app.command()
def dumps(
    site: SiteKey,
    *,
    table: Annotated[str | None, typer.Option(help="One raw table, such as nova_instances")] = None,
    month: Annotated[date | None, month_option("--month", "One month only")] = None,
    last: Annotated[int, typer.Option(help="How many dumps to show", min=1)] = 20,
    as_json: AsJson = False,
) -> None:
    """List the dumps of a site: when its source was read, and what was new, changed, moved and gone."""
    from usage_assets.cli.evidence import show_dumps

    show_dumps(one_site(site), table=table, month=month, last=last, as_json=as_json)


@app.command("as-of")
def as_of(
    site: SiteKey,
    at: Instant,
    *,
    first: Annotated[date | None, month_option("--from", "First month; default: all")] = None,
    last: Annotated[date | None, month_option("--to", "Last month; default: that of INSTANT")] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE.duckdb", help="Default: a file below $USAGE_DATA/as_of")
    ] = None,
) -> None:
    """Rebuild facts and timelines from what was stored at an instant, into a file of its own, and compare them."""
    from usage_assets.cli.evidence import run_as_of

    run_as_of(one_site(site), at, first=first, last=last, output=output)


@app.command()
def publish() -> None:
    """Make the snapshot that dashboards and notebooks read, unless it is what the warehouse holds already."""
    from usage_assets.cli.stored import publish_now

    publish_now()


@app.command()
def collect(
    site: Annotated[str, typer.Option(help="Key of a site whose file names a collector")],
    *,
    once: Annotated[bool, typer.Option("--once", help="Ask now and end; 1 where no poll was written")] = False,
    every: Annotated[
        int | None, typer.Option(metavar="SECONDS", help="Default: the site's poll_minutes", min=1, max=86400)
    ] = None,
    tidy: Annotated[
        bool, typer.Option("--tidy", help="Ask nobody: take polls into the files of their months and end")
    ] = False,
) -> None:
    """Poll a GPU pool at regular intervals until interrupted; one small file per poll."""
    from usage_assets.cli.htcondor.collect import run_collect

    if sum((once, every is not None, tidy)) > 1:
        raise typer.BadParameter("choose one of --once, --every and --tidy", param_hint="--once")
    done = run_collect(one_site(site), every=every, once=once, tidy=tidy)
    raise typer.Exit(OK if done else FAILED)


@app.command()
def demo(
    months: Annotated[int, typer.Option(help="How many of the last months to build", min=1, max=131)] = 36,
    site: Annotated[list[str] | None, typer.Option(help="Only this demo site; may be given more than once")] = None,
) -> None:
    """Make the databases of the demo sites and build their last months; says where the plots are."""
    from usage_assets.cli.demo import run_demo

    raise typer.Exit(run_demo(months, site or ()))


@app.command()
def home() -> None:
    """Make DAGSTER_HOME with the shipped dagster.yaml and an empty storage, unless it is there; prints where it is."""
    from usage_assets.cli.home import make_home

    console.print(str(make_home()))


@app.command()
def ui(
    host: Annotated[str, typer.Option(help="Address to listen on; the UI has no login")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of the UI", min=1, max=65535)] = 3000,
    plots_port: Annotated[
        int | None, typer.Option(help="Port of the plots; default: the next after the UI's", min=1, max=65535)
    ] = None,
) -> None:
    """Run the Dagster UI with its daemon, and the plots beside it, until interrupted."""
    from usage_assets.cli.ui import serve

    raise typer.Exit(serve(host, port, plots_port))


@app.command()
def reload() -> None:
    """Have the running service read site files anew, after one was added or changed; runs go on."""
    from usage_assets.cli.ui import reload as read_anew

    read_anew()


@app.command()
def prune(
    keep_days: Annotated[int, typer.Option(help="Runs that ended before this are removed", min=1)],
) -> None:
    """Remove old runs from Dagster's storage; runs that the UI still shows as a month's latest are kept."""
    from usage_assets.cli.upkeep import prune_runs

    prune_runs(keep_days)


@app.command()
def scrub(
    site: Annotated[str, typer.Option(help="Key of a site")],
    user: Annotated[str | None, typer.Option(help="Take this one user out of a service's rows instead")] = None,
) -> None:
    """Hash or drop in stored rows what the site's file now wants hidden (personal), evidence included."""
    from usage_assets.cli.stored import erase_user, scrub_site

    if user is None:
        scrub_site(one_site(site))
    else:
        erase_user(one_site(site), user)


@app.command()
def compact() -> None:
    """Rewrite the warehouse file without the room that replaced rows left."""
    from usage_assets.cli.stored import compact_warehouse

    compact_warehouse()


@app.command()
def backup(
    to: Annotated[Path | None, typer.Option(help="Folder of the backups; USAGE_BACKUPS unless given")] = None,
    keep: Annotated[int | None, typer.Option(help="Remove older backups beyond that many", min=1)] = None,
    *,
    plots: Annotated[bool, typer.Option("--plots/--no-plots", help="Plots can be made again")] = True,
) -> None:
    """Copy the warehouse, Dagster's storage and the operator's files, consistently, while runs go on."""
    from usage_assets.cli.upkeep import back_up

    back_up(to, keep, plots=plots)


@app.command()
def restore(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A backup: a folder that backup made")],
    *,
    force: Annotated[bool, typer.Option("--force", help="Move aside the data that is there")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Verify the backup and say what would be done")] = False,
) -> None:
    """Put back what a backup holds, here or on another machine; what was there is moved aside, never deleted."""
    from usage_assets.cli.upkeep import put_back

    put_back(folder, force=force, dry_run=dry_run)


@app.command("alert-test")
def alert_test(
    channel: Annotated[str | None, typer.Option(help="Name of one channel; else all are tried")] = None,
) -> None:
    """Send a test message through the channels of alerts.yaml and report whether each channel accepted it."""
    from usage_assets.cli.alerts import try_channels

    raise typer.Exit(try_channels(channel))


@app.command()
def doctor(
    *,
    as_json: AsJson = False,
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the sites' servers")] = False,
) -> None:
    """Check the installation and suggest fixes; exits 1 if a check fails."""
    from usage_assets.cli.doctor import show_doctor

    raise typer.Exit(show_doctor(as_json=as_json, offline=offline))
