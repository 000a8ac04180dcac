"""The people of the made service: 400 users in 15 teams, few of whom ask for most."""

from typing import Final

import polars as pl

from usage_assets.demo.service.chance import uniform

USERS: Final = 400
TEAMS: Final = (
    "physics", "genomics", "climate", "chemistry", "linguistics", "economics", "library", "robotics", "materials",
    "astronomy", "medicine", "statistics", "history", "law", "teaching",
)  # fmt: skip
_SEED: Final = 1  # who is in which team does not depend on the seed of the requests: the users' file says so
_TEAMLESS: Final = 20


def user_number(number: pl.Expr, seed: int) -> pl.Expr:
    """Who makes a request, by number; the first users ask most."""
    return (uniform(number, "user", seed).pow(2.4) * USERS).floor().cast(pl.Int64)


def people() -> pl.DataFrame:
    """Columns user (a number), user_id and team_id; the last ones have no team."""
    user = pl.col("user")
    place = (uniform(user, "team", _SEED).pow(1.5) * len(TEAMS)).floor().cast(pl.Int64)
    team = place.replace_strict(dict(enumerate(TEAMS)), return_dtype=pl.String)
    return pl.select(user=pl.int_range(0, USERS, dtype=pl.Int64)).select(
        "user",
        user_id=pl.format("user{}", (user + 1).cast(pl.String).str.zfill(3)),
        team_id=pl.when(user < USERS - _TEAMLESS).then(team),
    )


def users_file() -> pl.DataFrame:
    """The users as the site's file has them: user_id, username, email, tier, active."""
    return people().select(
        "user_id",
        username=pl.format("person{}", pl.col("user") + 1),
        email=pl.format("person{}@campus.example", pl.col("user") + 1),
        tier=pl.when(pl.col("user") % 5 == 0).then(pl.lit("paid")).otherwise(pl.lit("free")),
        active=pl.col("user") % 40 != 39,
    )
