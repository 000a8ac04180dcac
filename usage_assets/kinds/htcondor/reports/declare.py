"""The assets of reports, `htcondor/reports/<daily|weekly|monthly>_report`."""

from functools import partial

from usage_assets.kinds.htcondor.reports import assets
from usage_assets.kinds.htcondor.reports.period import Name
from usage_assets.kinds.htcondor.reports.tables import GPU_REPORTS
from usage_assets.specs.asset import Asset

_SAYS: dict[Name, str] = {
    "daily": "The daily reports of the 24 hours that end in the month",
    "weekly": "The weekly reports of the seven days that end in the month",
    "monthly": "The report of the local month",
}

REPORT_ASSETS: tuple[Asset, ...] = tuple(
    Asset(
        stage="reports",
        name=f"{name}_report",
        table=GPU_REPORTS,
        description=f"{says}, each as a page and as plain text; one that nothing has changed of stays as it is.",
        after=("facts/gpu_runs", "facts/gpu_polls", "facts/gpu_performance"),
        read=partial(assets.read_due, name),
        make=assets.make_reports,
        months_at_once=6,
        owned={"report": (name,)},
    )
    for name, says in _SAYS.items()
)
"""What the kind lists among its tables."""
