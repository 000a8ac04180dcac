"""How many examples a property is tried with: few in the usual tier, all of them where there is time."""

from typing import Any

from hypothesis import settings

_OF = 100  # examples of a property that names no number, in the tier `all`

settings.register_profile("all", deadline=None, max_examples=_OF)
settings.register_profile("usual", deadline=None, max_examples=_OF // 10)


def examples(number: int, *, like: settings | None = None, **options: Any) -> settings:
    """So many examples in the tier `all`, and a share of them, yet at least one, in the usual tier."""
    share = settings.default.max_examples / _OF  # type: ignore[union-attr]  # there always is a default
    return settings(like or settings.default, max_examples=max(1, round(number * share)), **options)
