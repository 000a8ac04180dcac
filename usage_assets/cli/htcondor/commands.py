"""`usage-assets gpu ...`: what a GPU pool offered and who held it, for any window. Arguments in, exit codes out.

What the commands do is in `tables` and `report`, which are loaded when a command runs.
"""

from datetime import date
from typing import Annotated, Literal

import typer

from usage_assets.cli.console import month_option
from usage_assets.cli.htcondor.request import Request, with_request

gpu = typer.Typer(help="GPU pools: who was offered which GPUs, and who held them.", no_args_is_help=True)

Model = Annotated[
    str | None, typer.Option("--model", help="Display name of a model; default: that of the site's reports")
]


@gpu.command()
@with_request()
def allocation(
    request: Request,
    *,
    group_by_device: Annotated[bool, typer.Option("--group-by-device", help="Add the table by device")] = False,
) -> None:
    """How many GPUs each class was offered and held, averaged over a window; by memory, and by device if wanted."""
    from usage_assets.cli.htcondor.tables import show_allocation

    show_allocation(request, request.options(group_by_device=group_by_device))


@gpu.command()
@with_request("all_devices")
def timeseries(
    request: Request, *, bucket_minutes: Annotated[int, typer.Option(help="Width of a bucket", min=1)] = 60
) -> None:
    """How many GPUs each class held from bucket to bucket; a bucket that no poll saw is empty."""
    from usage_assets.cli.htcondor.tables import show_series

    show_series(request, request.options(bucket_minutes=bucket_minutes))


@gpu.command()
@with_request()
def users(
    request: Request,
    *,
    model: Model = None,
    backfill: Annotated[bool, typer.Option("--backfill", help="Hours in backfill only")] = False,
) -> None:
    """Whose jobs held how many GPU-hours, by class: of all devices, of one model, or in backfill."""
    from usage_assets.cli.htcondor.tables import show_users

    show_users(request, request.options(), model=model, backfill=backfill)


@gpu.command("model-at")
@with_request("hours_back", "start", "end", "all_devices")
def model_at(
    request: Request,
    *,
    at: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="By the pool's clocks, or with an offset; the nearest poll answers, at most two intervals off",
        ),
    ],
    model: Annotated[str | None, typer.Option(help="Display name of a model; without it all are listed")] = None,
) -> None:
    """What one poll saw of a model: its GPUs, who held them, and which were idle."""
    from usage_assets.cli.htcondor.tables import show_model

    show_model(request, request.options(), at=at, model=model)


@gpu.command()
@with_request("hours_back", "start", "end")
def monthly(
    request: Request,
    *,
    month: Annotated[date | None, month_option("--month", "Local month; default: the last whole one")] = None,
    model: Model = None,
    table: Annotated[str | None, typer.Option(help="One table only, such as devices (CSV needs it)")] = None,
) -> None:
    """The tables of one month by the pool's clocks: classes, devices, memory, users, with the month's coverage."""
    from usage_assets.cli.htcondor.tables import show_month

    show_month(request, request.options(group_by_device=True), month=month, table=table, model=model)


@gpu.command()
@with_request("host", "format")
def report(
    request: Request,
    *,
    period: Annotated[
        Literal["daily", "weekly", "monthly"],
        typer.Argument(metavar="daily|weekly|monthly", help="The last one that is over, unless a window is given"),
    ] = "daily",
    month: Annotated[date | None, month_option("--month", "Of the monthly report")] = None,
    model: Model = None,
    page_format: Annotated[
        Literal["text", "html"], typer.Option("--format", metavar="text|html", help="How to show it")
    ] = "text",
    mail: Annotated[
        bool, typer.Option("--mail", help="Mail it, to the receivers of the site's file or of --to")
    ] = False,
    to: Annotated[list[str] | None, typer.Option(help="Receiver of the mail; may be given several times")] = None,
) -> None:
    """A report with all sections, as text or as a page of its own; with --mail it is sent, too."""
    from usage_assets.cli.htcondor.report import run

    run(request, period, page_format, month=month, model=model, to=to, mail=mail)
