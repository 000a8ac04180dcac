"""`usage-assets prune`, `compact`, `backup` and `restore`: keep an installation small and safe."""

from datetime import timedelta
from pathlib import Path

import dagster as dg
from rich.console import Console

from usage_assets.cli.home import dagster_home
from usage_assets.core import clock, settings
from usage_assets.operations.backup import make_backup
from usage_assets.operations.places import Places
from usage_assets.operations.prune import prune
from usage_assets.operations.restore import restore
from usage_assets.warehouse import Warehouse


def prune_runs(keep_days: int, console: Console) -> None:
    """Remove finished runs older than that, but for those that hold the latest materialization of a month."""
    dagster_home()
    with dg.DagsterInstance.get() as instance:
        gone, kept = prune(instance, clock.utc_now() - timedelta(days=keep_days))
    console.print(f"{gone} run(s) removed, {kept} old one(s) kept: their months have no newer run")


def back_up(to: Path | None, keep: int | None, console: Console, *, plots: bool) -> None:
    """Make a backup and say what is in it, and what is not."""
    folder, manifest = make_backup(Places.here(), to or settings.backups_dir(), plots=plots, keep=keep)
    schema = "no warehouse yet" if manifest.schema_version is None else f"schema version {manifest.schema_version}"
    console.print(f"backup {folder}: {len(manifest.files)} files, {manifest.size / 1e6:.1f} MB, {schema}", markup=False)
    for each in manifest.left_out:
        console.print(f"- not in it: {each}", markup=False)


def put_back(folder: Path, console: Console, *, force: bool, dry_run: bool) -> None:
    """Restore a backup and say what to do next."""
    done = restore(folder.resolve(), Places.here(), force=force, dry_run=dry_run)
    for piece in done.pieces:
        what = "would replace" if piece.replaces else "would make"
        console.print(f"{what if dry_run else 'restored'} {piece.target}", markup=False)
    if dry_run and done.copied:
        names = ", ".join(str(piece.target) for piece in done.copied)
        console.print(f"on another file system than USAGE_DATA, so copied aside before: {names}", markup=False)
    if dry_run:
        console.print("the backup is whole; nothing was changed (--dry-run)")
        return
    if done.aside is not None:
        console.print(f"what was there before: {done.aside}; remove it when all is well", markup=False)
    missing = [name for name in done.unset if settings.secret(name) is None]
    if missing:
        console.print(f"next: set {', '.join(missing)} (environment or secrets file)", markup=False)
    console.print(
        "next: usage-assets doctor, then start the service; usage-assets backfill for months since the backup"
    )


def compact_warehouse(console: Console) -> None:
    """Rewrite the warehouse file."""
    before, after = Warehouse.default().compact()
    console.print(f"warehouse: {before / 1e6:.1f} MB before, {after / 1e6:.1f} MB after")
