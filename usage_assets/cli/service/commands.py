"""`usage-assets service ...`: who asked which models for how much. Arguments in, exit codes out."""

from typing import Annotated, Literal

import typer

from usage_assets.cli.service.request import Request, with_request

service = typer.Typer(help="Services that answer with models: users, cost, limits, advice.", no_args_is_help=True)

Part = Literal["day", "month", "user", "team", "model", "provider"]
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

    show_cost(request, by or ["day"], {"user": user, "team": team, "model": model, "provider": provider})


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
