"""The part of a service's file about reports: to whom those of each month are mailed."""

from usage_assets.sites.base import Strict
from usage_assets.sites.mailing import Mailing


class Reports(Strict):
    """The usage reports of a service that are mailed."""

    monthly: Mailing = Mailing()
    """Of a UTC month; mailed on the first day of the next one, from `at` on by the clocks of reporting_tz."""
    channel: str | None = None
    """The mail channel of alerts.yaml whose server sends; none = the first one."""
