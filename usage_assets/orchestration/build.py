"""Building assets: read what they are made of, make their rows, write whole months, and say what of them to show.

One way for facts, timelines and all other tables. Rows, rejects and accounts of a month are written together or not at
all; a month whose inputs are not ready, or whose rows break the table's declaration, keeps its old rows and says why.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from urllib.parse import quote

import dagster as dg
import polars as pl

from usage_assets.core import settings
from usage_assets.core.months import Window
from usage_assets.facts.tables import REJECTS
from usage_assets.orchestration.incremental import Appended
from usage_assets.orchestration.neighbours import widened, without_rows
from usage_assets.orchestration.selected import Selected
from usage_assets.orchestration.ui_metadata import month_metadata, previews, rows_per_month
from usage_assets.reports.render import write_file
from usage_assets.sites.base import Site
from usage_assets.specs.asset import Asset, Built, Together
from usage_assets.specs.kind import Kind
from usage_assets.warehouse import Reader, Warehouse, Writer
from usage_assets.warehouse.bookkeeping import ACCOUNTS
from usage_assets.warehouse.readiness import blocked_months, extracted_at

Shown = dict[str, dict[date, dict[str, Any]]]
"""Metadata to show, by the path of the asset and month."""
_SUMS = tuple(
    f"{what}_{where}" for what in ("rows", "hours") for where in ("in", "kept", "clipped", "rejected", "outside")
)


def families(assets: Sequence[Asset]) -> list[list[Asset]]:
    """Assets that are built of one read, and written in one transaction; each with `select` is one by itself."""
    out: dict[Any, list[Asset]] = {}
    for asset in assets:
        out.setdefault(asset.path if asset.select else (asset.read, asset.applies), []).append(asset)
    return list(out.values())


def build_assets(
    kind: Kind, site: Site, window: Window, warehouse: Warehouse, assets: Sequence[Asset], *, run_id: str
) -> Shown:
    """Build assets of a window, family by family, each in parts of so many months as fit into memory.

    Months next to the window that read months of it are built again where these have changed. What is shown is of the
    window only.
    """
    shown: Shown = {asset.path: {} for asset in assets}
    for family in families(assets):
        wide = window
        if any(kind.reach(family[0].path)):  # else the file need not be opened once more
            with warehouse.read() as reader:
                wide = widened(reader, kind, site, window, family[0])
        for part in wide.parts(family[0].months_at_once):
            found = _Family(kind, site, part, family, run_id).build(warehouse)
            for path, months in found.items():
                shown[path] |= {month: facts for month, facts in months.items() if month in window.months}
    return shown


@dataclass
class _Family:
    """The assets of one read in some months."""

    kind: Kind
    site: Site
    window: Window
    assets: Sequence[Asset]
    run_id: str

    def build(self, warehouse: Warehouse) -> Shown:
        """Read, make, write; what to show."""
        if self.assets[0].select:
            return self._build_selected(warehouse, self.assets[0])
        months, applying = self.window.months, [asset for asset in self.assets if asset.applies(self.site)]
        with warehouse.read() as reader:
            blocked = self._blocked(reader)
            todo = [month for month in months if any(month not in blocked[asset.path] for asset in applying)]
            extracted = extracted_at(reader, self.site, todo, self.kind.tables_of(self.site)) if todo else {}
            ready = [month for month in todo if not any(month in found for found in blocked.values())]
            appended = Appended.find(reader, self.kind, self.site, self.assets, ready)
            whole = [month for month in todo if month not in appended.months]
            inputs = applying[0].read(reader, self.site, whole) if whole and applying[0].read else None
            fingerprints = appended.fingerprints_of(reader, whole)
        built = self._make(applying, whole, inputs, extracted) if whole else {}
        shown: Shown = {}
        with warehouse.write(f"{', '.join(asset.path for asset in self.assets)} of {self.window}") as writer:
            refused: dict[str, dict[date, str]] = {}
            for asset in self.assets:
                rows = built.get(asset.name) or Built(asset.table.empty())
                added = appended.write(writer, asset, self.run_id)
                refused[asset.path] = self._write(writer, asset, rows, blocked[asset.path], added)
            for view in dict.fromkeys(view for asset in self.assets for view in asset.views):
                writer.con.execute(view).fetchall()
            bad = {month for found in refused.values() for month in found}
            appended.remember(writer, months, fingerprints, bad, self.run_id)
            for asset in self.assets:
                accounts = [built[asset.name].accounts] if asset.name in built else []
                accounts += appended.accounts_of(asset)
                self._write_accounts(writer, asset, accounts, refused[asset.path])
                shown[asset.path] = self._shown(writer, asset, refused[asset.path])
        for asset in self.assets:
            for month, files in built[asset.name].files.items() if asset.name in built else ():
                if month not in refused[asset.path]:
                    shown[asset.path][month] |= _write_files(files)
        return shown

    def _build_selected(self, warehouse: Warehouse, asset: Asset) -> Shown:
        """Store what the asset selects; what to show."""
        with warehouse.read() as reader:
            blocked = self._blocked(reader)[asset.path]
            extracted = extracted_at(reader, self.site, self.window.months, self.kind.tables_of(self.site))
        selected = Selected(self.kind, self.site, self.window, asset, self.run_id)
        refused = selected.store(warehouse, blocked, extracted)
        with warehouse.read() as reader:
            return {asset.path: self._shown(reader, asset, refused)}

    def _blocked(self, reader: Reader) -> dict[str, dict[date, str]]:
        """By asset the months whose inputs are not ready, with the reason."""
        inputs = {
            asset.path: self.kind.inputs(self.site, asset) if asset.applies(self.site) else () for asset in self.assets
        }
        # many assets have the same inputs
        found = {each: blocked_months(reader, self.site, self.window.months, each) for each in set(inputs.values())}
        gone = {
            asset.path: without_rows(reader, self.kind, self.site, self.window, asset)
            for asset in self.assets
            if asset.applies(self.site)
        }
        return {path: found[each] | gone.get(path, {}) for path, each in inputs.items()}

    def _make(
        self, assets: Sequence[Asset], months: Sequence[date], inputs: Any, extracted: Mapping[date, datetime]
    ) -> dict[str, Built]:
        """What each asset owns of the months, by its name."""
        out: dict[str, Built] = {}
        for asset in assets:
            if isinstance(asset.make, Together):
                if asset.name not in out:
                    names = [other.name for other in assets if other.make == asset.make]
                    out |= asset.make.make(self.site, months, inputs, extracted, names)
            else:
                assert asset.make is not None
                out[asset.name] = asset.make(self.site, months, inputs, extracted)
        return out

    def _write(
        self,
        writer: Writer,
        asset: Asset,
        built: Built,
        blocked: Mapping[date, str],
        appended: Mapping[date, str | None],
    ) -> dict[date, str]:
        """Rows and rejects of the months; those that keep their old ones with the reason, `appended` ones too."""
        months = [month for month in self.window.months if month not in appended]
        refused = dict(blocked)
        parts = [(asset.table, built.rows, asset.owned)]
        if asset.rejects_of:
            rejects = REJECTS.empty() if built.rejects is None else built.rejects
            parts.insert(0, (REJECTS, rejects, {"metric": asset.rejects_of}))
        for table, rows, _ in parts if len(parts) > 1 and months else ():
            for month, broken in writer.refused(table, rows).items():
                refused.setdefault(month, "; ".join(map(str, broken)))
        for table, rows, owned in parts if months else ():
            replaced = writer.replace(
                table,
                rows,
                site=self.site.key,
                months=months,
                asset=self.kind.asset(asset.stage, asset.name),
                run_id=self.run_id,
                owned=owned,
                blocked=refused,
            )
            for month, broken in replaced.refused.items():
                refused.setdefault(month, "; ".join(map(str, broken)))
        return refused | {month: why for month, why in appended.items() if why is not None}

    def _write_accounts(
        self, writer: Writer, asset: Asset, accounts: Sequence[pl.DataFrame | None], refused: Mapping[date, str]
    ) -> None:
        """Replace the accounts of the months that were written."""
        good = [month for month in self.window.months if month not in refused]
        found = [frame.select(ACCOUNTS.names) for frame in accounts if frame is not None]
        if asset.rejects_of and good:
            writer.ensure(ACCOUNTS)
            owned = {"asset": [self.kind.asset(asset.stage, asset.name)]}
            writer.delete(ACCOUNTS, site=self.site.key, months=good, owned=owned)
            for frame in found:
                writer.put(ACCOUNTS, frame.filter(pl.col("month").is_in(good)))

    def _shown(self, reader: Reader, asset: Asset, refused: Mapping[date, str]) -> dict[date, dict[str, Any]]:
        """Metadata of each month: rows stored, why old ones were kept, sums of accounts, a preview."""
        rows = rows_per_month(reader, asset.table, self.window, asset.owned)
        few = previews(reader, asset.table, self.window, _where(asset.owned))
        more: dict[date, dict[str, Any]] = {month: {} for month in self.window.months}
        if asset.rejects_of:
            rejected = rows_per_month(reader, REJECTS, self.window, {"metric": asset.rejects_of})
            more = {month: {"rows_in_rejects": count} for month, count in rejected.items()}
            for month, sums in self._sums(reader, asset).items():
                more[month] |= sums
        return {
            month: month_metadata(rows[month], refused.get(month), **more[month], preview=few.get(month))
            for month in self.window.months
        }

    def _sums(self, reader: Reader, asset: Asset) -> dict[date, dict[str, Any]]:
        """Of each month with accounts: rows and hours over all sources, and the rows before and after each join."""
        name, out = self.kind.asset(asset.stage, asset.name), {}
        stored = reader.frame(ACCOUNTS, self.site.key, self.window.months, where=f"asset = '{name}'")
        for (month,), rows in stored.partition_by("month", as_dict=True).items():
            sums: dict[str, Any] = {name: rows[name].sum() for name in _SUMS if name in rows.columns}
            out[month] = {name: round(value, 6) if isinstance(value, float) else value for name, value in sums.items()}
            joins = {row["source"]: json.loads(row["joins"]) for row in rows.iter_rows(named=True) if row["joins"]}
            out[month] |= {"joins": joins} if joins else {}
        return out


def _write_files(files: Mapping[str, bytes]) -> dict[str, Any]:
    """Write the pages of a month; how many, and a link to the last one that a browser shows."""
    for name, content in files.items():
        write_file(settings.plots_dir() / name, content)
    out: dict[str, Any] = {"files_written": len(files)}
    pages = sorted(name for name in files if name.endswith(".html"))
    if pages:
        out["page"] = dg.MetadataValue.url(f"{settings.plots_url()}/{quote(pages[-1])}")
        out["path"] = dg.MetadataValue.path(str(settings.plots_dir() / pages[-1]))
    return out


def _where(owned: Mapping[str, tuple[str, ...]]) -> str:
    """The owned part as a condition; names and values come from declarations, not from people."""
    parts = [f"{column} IN ({', '.join(repr(value) for value in values)})" for column, values in owned.items()]
    return " AND ".join(parts)
