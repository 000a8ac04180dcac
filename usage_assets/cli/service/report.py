"""`usage-assets service report`: the usage report of a month or of some days as files, or its cost for other tools."""

from pathlib import Path

from usage_assets.cli.console import console
from usage_assets.cli.service.request import Request
from usage_assets.kinds.service.reports import export
from usage_assets.kinds.service.reports.period import Period


def write_report(request: Request, form: export.Form, folder: Path) -> None:
    """Write the files into a folder and say which they are."""
    period = Period.of_days(request.days.first, request.days.last)
    with request.reading() as reader:
        written = export.write_report(reader, request.service, period, form, folder)
    for path in written:
        console.print(str(path))
