"""What sites' files of every kind say about reports that are mailed."""

import re
from datetime import time
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from usage_assets.core.text import mail_address
from usage_assets.sites.base import Strict

_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


def _time(value: Any) -> Any:
    if isinstance(value, time):
        return value
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        # YAML takes 06:00 without quotes for a number
        msg = f"{value!r} is no time of day; write it in quotes, as '06:00'"
        raise ValueError(msg)
    return time(int(found[1]), int(found[2]))


TimeOfDay = Annotated[time, BeforeValidator(_time)]
Address = Annotated[str, AfterValidator(mail_address)]


class Mailing(Strict):
    """A report: `at` is when its period ends by the site's clocks, and from when on it is mailed; without `to` never.

    The month of a monthly report ends at midnight; it is mailed on the first day of the next one, from `at` on.
    """

    at: TimeOfDay = time(6)
    to: tuple[Address, ...] = ()
