"""The models of the made service: who runs them, what they are asked for, how fast they are, what they cost."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import polars as pl

FIRST: Final = datetime(2025, 12, 1)
"""The service began then, in UTC."""
PRICE_CHANGE: Final = datetime(2026, 6, 15)
"""From then on the gateway bills less for `aurora-large`."""
OUTAGE: Final = (datetime(2026, 3, 17, 14), datetime(2026, 3, 17, 21))
"""A provider failed then, and clients tried again."""
FAILS_SINCE: Final = datetime(2026, 8, 1)
"""Since then most requests to `campus-coder-beta` fail."""
ENDED: Final = datetime(2026, 3, 1)
"""Nobody has asked for `painter-lite` since."""


@dataclass(frozen=True)
class Model:
    """A model that the gateway or the own server answers with; token counts are medians, prices are per million."""

    name: str
    provider: str
    share: float
    tokens_in: int
    tokens_out: int
    per_second: float
    """Output tokens in a second."""
    first_output_s: float
    price_in: float = 0.0
    price_out: float = 0.0
    call_type: str = "acompletion"
    deployed: str = ""
    """Name of the deployed model where it is another one."""


GATEWAY: Final = (
    Model("aurora-large", "aurora", 0.22, 4200, 700, 55.0, 0.7, 6.0, 18.0, deployed="aurora-large-2025-11-05"),
    Model("aurora-small", "aurora", 0.36, 2400, 450, 110.0, 0.35, 0.3, 1.2),
    Model("aurora-embed", "aurora", 0.14, 1800, 0, 1.0, 0.12, 0.05, 0.0, call_type="aembedding"),
    Model("borealis-pro", "borealis", 0.12, 6000, 900, 45.0, 0.9, 4.0, 14.0),
    Model("borealis-mini", "borealis", 0.11, 2100, 400, 95.0, 0.4, 0.2, 0.8, deployed="borealis-mini-v2"),
    Model("campus-coder-beta", "campus", 0.05, 3800, 800, 40.0, 1.2),
)
"""Models behind the gateway. It has no price of the last one, so it logs a cost of 0."""
SERVER: Final = (
    Model("campus-70b", "campus", 0.45, 1600, 450, 30.0, 0.8),
    Model("campus-8b", "campus", 0.4, 900, 320, 90.0, 0.2),
    Model("campus-embed", "campus", 0.15, 3000, 0, 1.0, 0.15),
)
"""Models that the own server answers with, measured by its spans."""
GENERATOR: Final = ("painter-xl", "painter-lite")
"""Models of the image generator."""
CHEAPER: Final = (3.5, 14.0)
"""What `aurora-large` costs since the price change."""


def model_frame(models: tuple[Model, ...]) -> pl.DataFrame:
    """The models in their order: `model` (its place), its columns, and `upto`, the sum of shares up to it."""
    frame = pl.DataFrame([vars(model) for model in models]).with_row_index("model")
    return frame.with_columns(pl.col("model").cast(pl.Int64), upto=pl.col("share").cum_sum() / pl.col("share").sum())
