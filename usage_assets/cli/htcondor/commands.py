"""`usage-assets gpu ...`: what a GPU pool offered and who held it, for any window. Arguments in, exit codes out.

What the commands do stands in `gpu_tables` and `gpu_report`, which are loaded when one is called.
"""

from pathlib import Path
from typing import Annotated

import typer

gpu = typer.Typer(help="GPU pools: who was offered which GPUs, and who held them.", no_args_is_help=True)

Site = Annotated[str | None, typer.Option("--site", help="Key of a GPU pool; may be left out where there is one")]
HoursBack = Annotated[
    float | None, typer.Option("--hours-back", help="Length of the window; 24 unless --start is given", min=0.01)
]
Start = Annotated[
    str | None,
    typer.Option("--start", metavar="TIME", help="By the pool's clocks, 2026-03-01T06:00, or with an offset"),
]
End = Annotated[
    str | None, typer.Option("--end", metavar="TIME", help="Exclusive; the newest poll unless given (also exclusive)")
]
Host = Annotated[
    list[str] | None, typer.Option("--host", help="Name of a machine or a pattern (gpu2*); may be given several times")
]
AllDevices = Annotated[bool, typer.Option("--all-devices", help="Leave out no family of devices")]
Classes = Annotated[str, typer.Option("--classes", metavar="legacy|six", help="The three classes of old, or all six")]
Format = Annotated[str, typer.Option("--format", metavar="text|html|json|csv", help="CSV holds one table")]
Output = Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Write there instead of printing")]
Published = Annotated[bool, typer.Option("--published", help="Read the published snapshot, not the warehouse")]
Model = Annotated[
    str | None, typer.Option("--model", help="Display name of a model; default: that of the site's reports")
]


@gpu.command()
def allocation(
    site: Site = None,
    hours_back: HoursBack = None,
    start: Start = None,
    end: End = None,
    host: Host = None,
    *,
    group_by_device: Annotated[bool, typer.Option("--group-by-device", help="Add the table by device")] = False,
    all_devices: AllDevices = False,
    classes: Classes = "six",
    format_: Format = "text",
    output: Output = None,
    published: Published = False,
) -> None:
    """How many GPUs each class was offered and held, averaged over a window; by memory, and by device if wanted."""
    from usage_assets.cli.htcondor import tables as do

    asked = do.Asked(site, hours_back, start, end, published, format_, output)
    options = do.options(host, classes, all_devices=all_devices, group_by_device=group_by_device)
    do.show_allocation(asked, options)


@gpu.command()
def timeseries(
    site: Site = None,
    hours_back: HoursBack = None,
    start: Start = None,
    end: End = None,
    host: Host = None,
    *,
    bucket_minutes: Annotated[int, typer.Option("--bucket-minutes", help="Width of a bucket", min=1)] = 60,
    classes: Classes = "six",
    format_: Format = "text",
    output: Output = None,
    published: Published = False,
) -> None:
    """How many GPUs each class held from bucket to bucket; a bucket that no poll saw is empty."""
    from usage_assets.cli.htcondor import tables as do

    asked = do.Asked(site, hours_back, start, end, published, format_, output)
    do.show_series(asked, do.options(host, classes, bucket_minutes=bucket_minutes))


@gpu.command()
def users(
    site: Site = None,
    hours_back: HoursBack = None,
    start: Start = None,
    end: End = None,
    host: Host = None,
    *,
    model: Model = None,
    backfill: Annotated[bool, typer.Option("--backfill", help="Hours in backfill only")] = False,
    all_devices: AllDevices = False,
    classes: Classes = "six",
    format_: Format = "text",
    output: Output = None,
    published: Published = False,
) -> None:
    """Whose jobs held how many GPU-hours, by class: of all devices, of one model, or in backfill."""
    from usage_assets.cli.htcondor import tables as do

    asked = do.Asked(site, hours_back, start, end, published, format_, output)
    options = do.options(host, classes, all_devices=all_devices)
    do.show_users(asked, options, model=model, backfill=backfill)


@gpu.command("model-at")
def model_at(
    at: Annotated[
        str,
        typer.Option(
            "--at",
            metavar="TIME",
            help="By the pool's clocks, or with an offset; the nearest poll answers, at most two intervals off",
        ),
    ],
    model: Annotated[
        str | None, typer.Option("--model", help="Display name of a model; without it all are listed")
    ] = None,
    site: Site = None,
    host: Host = None,
    *,
    classes: Classes = "six",
    format_: Format = "text",
    output: Output = None,
    published: Published = False,
) -> None:
    """What one poll saw of a model: its GPUs, who held them, and which were idle."""
    from usage_assets.cli.htcondor import tables as do

    asked = do.Asked(site, None, None, None, published, format_, output)
    do.show_model(asked, do.options(host, classes), at=at, model=model)


@gpu.command()
def monthly(
    month: Annotated[
        str | None, typer.Option("--month", metavar="YYYY-MM", help="Local month; default: the last whole one")
    ] = None,
    site: Site = None,
    host: Host = None,
    *,
    model: Model = None,
    all_devices: AllDevices = False,
    classes: Classes = "six",
    table: Annotated[str | None, typer.Option("--table", help="One table only, such as devices (CSV needs it)")] = None,
    format_: Format = "text",
    output: Output = None,
    published: Published = False,
) -> None:
    """The tables of one month by the pool's clocks: classes, devices, memory, users, with the month's coverage."""
    from usage_assets.cli.htcondor import tables as do

    asked = do.Asked(site, None, None, None, published, format_, output)
    options = do.options(host, classes, all_devices=all_devices, group_by_device=True)
    do.show_month(asked, options, month=month, table=table, model=model)


@gpu.command()
def report(
    period: Annotated[
        str, typer.Argument(metavar="daily|weekly|monthly", help="The last one that is over, unless a window is given")
    ] = "daily",
    site: Site = None,
    hours_back: HoursBack = None,
    start: Start = None,
    end: End = None,
    *,
    month: Annotated[str | None, typer.Option("--month", metavar="YYYY-MM", help="Of the monthly report")] = None,
    all_devices: AllDevices = False,
    classes: Classes = "six",
    model: Model = None,
    format_: Annotated[str, typer.Option("--format", metavar="text|html", help="How to show it")] = "text",
    output: Output = None,
    published: Published = False,
    mail: Annotated[
        bool, typer.Option("--mail", help="Mail it, to the receivers of the site's file or of --to")
    ] = False,
    to: Annotated[
        list[str] | None, typer.Option("--to", help="Receiver of the mail; may be given several times")
    ] = None,
) -> None:
    """A report with all sections, as text or as a page of its own; with --mail it is sent, too."""
    from usage_assets.cli.htcondor import report
    from usage_assets.cli.htcondor import tables as do

    asked = do.Asked(site, hours_back, start, end, published, format_, output)
    options = do.options(None, classes, all_devices=all_devices)
    report.run(asked, options, period, month=month, model=model, to=to, mail=mail)
