"""Usage reports and cost exports as files, for a command: which files there are, and writing them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from usage_assets.core.errors import ExportError
from usage_assets.core.file_faults import advice
from usage_assets.kinds.service.reports import focus, focus_files, forms, page
from usage_assets.kinds.service.reports.content import UsageReport, report
from usage_assets.kinds.service.reports.period import Period
from usage_assets.kinds.service.reports.reading import read_report
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.warehouse import Reader

Form = Literal["json", "csv", "parquet", "html", "focus"]


def usage_report(reader: Reader, site: ServiceSite, period: Period) -> UsageReport:
    """The usage report of a period; UsageError where nothing of the site was built yet."""
    return report(site, period, read_report(reader, site, period))


def write_report(reader: Reader, site: ServiceSite, period: Period, form: Form, folder: Path) -> list[Path]:
    """Write the report of a period, or its cost with FOCUS columns (CSV and Parquet), into a folder: the files.

    Names begin with site, period and version of the data; the same data gives the same bytes. CSV and Parquet have a
    file per table. An earlier cost export of the period in the folder tells which charges are corrections. ExportError
    where the folder can't be written, UsageError where nothing of the site was built yet.
    """
    made = usage_report(reader, site, period)
    if form != "focus":
        return write_files(report_files(made, form), folder)
    earlier = focus.last_export(made, folder)
    with _writing(*focus_files.names(made), folder=folder) as (csv, parquet):
        focus_files.write_rows(focus.focus_rows(reader, made, earlier), csv, parquet)
    return [folder / name for name in focus_files.names(made)]


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
    for name, content in sorted(files.items()):
        with _writing(name, folder=folder) as (part,):
            part.write_bytes(content)
    return [folder / name for name in sorted(files)]


@contextmanager
def _writing(*names: str, folder: Path) -> Iterator[list[Path]]:
    """Files beside their places, which take them once all are whole."""
    parts = [folder / f".{name}.part" for name in names]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield parts
        for name, part in zip(names, parts, strict=True):
            part.replace(folder / name)
    except OSError as error:
        todo = advice(error, folder)
        msg = f"{names[0]} could not be written to {folder} ({error.strerror or error}); what to do: {todo}"
        raise ExportError(msg) from None
    finally:
        for part in parts:
            with suppress(OSError):
                part.unlink(missing_ok=True)
