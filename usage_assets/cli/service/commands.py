"""`usage-assets service ...`: who asked which models for how much. Arguments in, exit codes out."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from usage_assets.cli.service.request import Request, one_service, with_request

service = typer.Typer(help="Services that answer with models: users, cost, limits, advice.", no_args_is_help=True)


class Part(StrEnum):
    """What cost may be told by; an option that may be given several times takes no Literal."""

    DAY = "day"
    MONTH = "month"
    USER = "user"
    TEAM = "team"
    MODEL = "model"
    PROVIDER = "provider"


User = Annotated[str | None, typer.Option("--user", help="This user only")]
Team = Annotated[str | None, typer.Option("--team", help="This team only")]
Model = Annotated[str | None, typer.Option("--model", help="This model only")]
Provider = Annotated[str | None, typer.Option("--provider", help="This provider only")]


@service.command()
@with_request()
def users(request: Request, *, model: Model = None, provider: Provider = None) -> None:
    """Requests, tokens, seconds and cost of each user, the dearest first."""
    from usage_assets.cli.service.tables import show_sums

    show_sums(request, ["user"], {"model": model, "provider": provider})


@service.command()
@with_request()
def models(request: Request, *, user: User = None, team: Team = None) -> None:
    """Requests, outcomes, latency, tokens and cost of each model and provider, the dearest first."""
    from usage_assets.cli.service.tables import show_sums

    show_sums(request, ["model", "provider"], {"user": user, "team": team})


@service.command()
@with_request()
def cost(
    request: Request,
    *,
    by: Annotated[
        list[Part] | None,
        typer.Option("--by", metavar="day|month|user|team|model|provider", help="May be given several times"),
    ] = None,
    user: User = None,
    team: Team = None,
    model: Model = None,
    provider: Provider = None,
) -> None:
    """What was spent, by day unless --by says otherwise, and how many requests have no known cost."""
    from usage_assets.cli.service.tables import show_cost

    show_cost(request, by or [Part.DAY], {"user": user, "team": team, "model": model, "provider": provider})


@service.command()
@with_request()
def limits(
    request: Request,
    *,
    scope: Annotated[str | None, typer.Option(help="One scope only: the name of a user, team, model ...")] = None,
    crossed: Annotated[bool, typer.Option("--crossed", help="The thresholds that were crossed in these days")] = False,
) -> None:
    """What is spent of each limit and what remains, as of the last run; or which thresholds were crossed."""
    from usage_assets.cli.service.tables import show_limits

    show_limits(request, scope, crossed=crossed)


@service.command()
@with_request("first", "last")
def recommendations(
    request: Request,
    *,
    kind: Annotated[
        Literal["cleanup", "preload", "performance"] | None,
        typer.Option("--kind", metavar="cleanup|preload|performance", help="This kind of advice only"),
    ] = None,
    accept: Annotated[bool, typer.Option("--accept", help="Record that the one of --model and --rule is followed")] = (
        False
    ),
    dismiss: Annotated[bool, typer.Option("--dismiss", help="Record that it is not")] = False,
    model: Model = None,
    rule: Annotated[str | None, typer.Option(help="Name of the rule, such as unused")] = None,
    note: Annotated[str | None, typer.Option(help="Why it was decided so")] = None,
) -> None:
    """Advice on models, with its reasons; --accept and --dismiss keep what was decided on one."""
    from usage_assets.cli.service.advice import decide, show_recommendations

    if accept and dismiss:
        raise typer.BadParameter("choose --accept or --dismiss", param_hint="--accept")
    if accept or dismiss:
        decide(request, model, rule, note, accepted=accept)
    else:
        show_recommendations(request, kind)


@service.command()
@with_request("top", "format", "output")
def report(
    request: Request,
    *,
    form: Annotated[
        Literal["html", "json", "csv", "parquet", "focus"],
        typer.Option("--format", metavar="html|json|csv|parquet|focus", help="focus: charges for FinOps tools"),
    ] = "html",
    folder: Annotated[
        Path, typer.Option("--output", metavar="FOLDER", help="Where its files are written; default: here")
    ] = Path(),
) -> None:
    """Write the usage report of a month or of some days, as a page or as data; prints the names of the files."""
    from usage_assets.cli.service.report import write_report

    write_report(request, form, folder)


@service.command()
def retention(
    *,
    site: Annotated[str | None, typer.Option(help="Key of a service; may be left out where there is one")] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Remove them; without it they are only listed")] = False,
) -> None:
    """List the months that the site's retention lets go, or remove them; what keeps one back is said."""
    from usage_assets.cli.service.advice import remove_old_months
    from usage_assets.core.clock import naive_utc_now

    remove_old_months(one_service(site), naive_utc_now(), apply=apply)


@service.command()
def import_legacy(
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="[FOLDER]...", help="Instead of those of the site's file")
    ] = None,
    *,
    site: Annotated[str | None, typer.Option(help="Key of a service; may be left out where there is one")] = None,
) -> None:
    """Import the JSON files of an older tracker; again it reads only files that are new. Exit code 1: some can't be."""
    from usage_assets.cli.service.legacy import import_files

    import_files(one_service(site), folders or [])
