"""Usage reports and cost exports as files, for a command: which files there are, and writing them."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

from usage_assets.core.errors import ExportError
from usage_assets.core.file_faults import advice
from usage_assets.kinds.service.reports import focus, forms, page
from usage_assets.kinds.service.reports.content import UsageReport, report
from usage_assets.kinds.service.reports.period import Period
from usage_assets.kinds.service.reports.reading import read_report
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.warehouse import Reader

Form = Literal["json", "csv", "parquet", "html", "focus"]


def usage_report(reader: Reader, site: ServiceSite, period: Period) -> UsageReport:
    """The usage report of a period; UsageError where nothing of the site was built yet."""
    return report(site, period, read_report(reader, site, period))


def export_files(reader: Reader, site: ServiceSite, period: Period, form: Form, folder: Path) -> dict[str, bytes]:
    """The report of a period, or its cost with FOCUS columns: content by file name.

    Names begin with site, period and version of the data; the same data gives the same bytes. CSV and Parquet have a
    file per table. `folder` is where they will be written: an earlier cost export of the period there tells which
    charges are corrections.
    """
    made = usage_report(reader, site, period)
    if form != "focus":
        return report_files(made, form)
    earlier = focus.last_export(made, folder)
    previous = focus.read_export(earlier) if earlier is not None else None
    return focus.focus_files(made, focus.focus_rows(reader, made, previous))


def report_files(made: UsageReport, form: Form) -> dict[str, bytes]:
    """A report as files in one of its own forms: content by file name."""
    if form == "json":
        return {f"{made.stem}.json": forms.as_json(made)}
    if form == "html":
        return {f"{made.stem}.html": page.as_html(made)}
    tables = forms.as_csv(made) if form == "csv" else forms.as_parquet(made)
    return {f"{made.stem}_{name}.{form}": content for name, content in tables.items()}


def write_files(files: Mapping[str, bytes], folder: Path) -> list[Path]:
    """Write files into a folder, each beside its place and renamed; ExportError where that fails."""
    out = []
    for name, content in sorted(files.items()):
        part = folder / f".{name}.part"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            part.write_bytes(content)
            out.append(part.replace(folder / name))
        except OSError as error:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            todo = advice(error, folder)
            msg = f"{name} could not be written to {folder} ({error.strerror}); what to do: {todo}"
            raise ExportError(msg) from None
    return out
