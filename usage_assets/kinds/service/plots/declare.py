"""The plots that only services have."""

from usage_assets.kinds.service.plots import days, history, hours, latency, load, reading, spending
from usage_assets.specs.plot import Plot

_DAILY, _REQUESTS = "timelines/service_user_daily", "facts/service_requests"
PLOTS: tuple[Plot, ...] = (
    Plot("service_models", "Cost and requests of a month per day, by model.",
         "month", (_DAILY,), reading.models, days.service_models, always_pictured=True),
    Plot("service_users", "Cost and requests of a month per day, by user.",
         "month", (_DAILY,), reading.users, days.service_users),
    Plot("service_tokens", "Tokens of a month per day: input, the part of it that a cache had, and output.",
         "month", (_DAILY,), reading.tokens, days.service_tokens),
    Plot("service_load", "Requests in progress and queued over a month, against the capacity.",
         "month", ("timelines/usage",), reading.load, load.service_load),
    Plot("service_latency", "Latency of a month's requests: median and 95th percentile by model, and all of them as a "
         "histogram.", "month", (_REQUESTS,), reading.latencies, latency.service_latency),
    Plot("service_hours", "Requests of a month by weekday and hour of the site's clocks.",
         "month", (_REQUESTS,), reading.hours, hours.service_hours),
    Plot("service_spending", "Spending against limits as of a month, and what is projected for the end of each period.",
         "month", ("reports/spending_status",), reading.spending, spending.service_spending),
    Plot("site_service_history", "Cost, requests and tokens by month over the site's whole history; drawn anew once "
         "per run.", "history", ("timelines/service_user_monthly",), reading.months, history.service_history,
         always_pictured=True),
)  # fmt: skip
