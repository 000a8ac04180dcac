"""reports.retention_log: what retention removed, so that no month is made anew of a part of its rows."""

from datetime import date

from usage_assets.schema import Table, at, number, text
from usage_assets.warehouse import Reader

RETENTION_LOG = Table(
    name="retention_log",
    stage="reports",
    description="Months of assets of services whose rows retention removed. They are not built again, nor is what is "
    "made of them. First and last uses of models and users are never removed.",
    key=("asset",),
    columns=(
        text("asset", "Asset whose rows they were, <stage>/<name>", nullable=False),
        number("rows", "Rows removed, of the month and of the evidence kept of it", "rows", nullable=False),
        number("bytes", "Size of their values, without compression", "bytes", nullable=False),
        number("version", "Version of the month that was removed; null where none was recorded", "writes"),
        number("days", "After how many days the site's file wants them removed", "days", nullable=False),
        at("as_of", "Instant by which they were old enough", nullable=False),
        at("removed_at", "When they were removed, by the clock of this machine", nullable=False),
    ),
)


def gone_months(reader: Reader, site: str) -> dict[str, set[date]]:
    """The months that retention removed, by asset, `<stage>/<name>`."""
    out: dict[str, set[date]] = {}
    for asset, month in reader.frame(RETENTION_LOG, site, columns=["asset", "month"]).iter_rows():
        out.setdefault(asset, set()).add(month)
    return out
