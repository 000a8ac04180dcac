"""`usage-assets prune`, `backup` and `restore`: keep an installation small and safe."""

from datetime import timedelta
from pathlib import Path

import dagster as dg

from usage_assets.cli.console import console
from usage_assets.cli.home import dagster_home
from usage_assets.core import clock, settings
from usage_assets.operations.backup import make_backup
from usage_assets.operations.places import Places
from usage_assets.operations.prune import prune
from usage_assets.operations.restore import restore


def prune_runs(keep_days: int) -> None:
    """Remove finished runs older than that, but for those that hold the latest materialization of a month."""
    dagster_home()
    with dg.DagsterInstance.get() as instance:
        removed, kept = prune(instance, clock.utc_now() - timedelta(days=keep_days))
    console.print(f"{removed} run(s) removed, {kept} old one(s) kept: their months have no newer run")


def back_up(to: Path | None, keep: int | None, *, plots: bool) -> None:
    """Make a backup and say what is in it, and what is not."""
    folder, manifest = make_backup(Places.here(), to or settings.backups_dir(), plots=plots, keep=keep)
    schema = "no warehouse yet" if manifest.schema_version is None else f"schema version {manifest.schema_version}"
    console.print(f"backup {folder}: {len(manifest.files)} files, {manifest.size / 1e6:.1f} MB, {schema}")
    for text in manifest.left_out:
        console.print(f"- not in it: {text}")


def put_back(folder: Path, *, force: bool, dry_run: bool) -> None:
    """Restore a backup and say what to do next."""
    done = restore(folder.resolve(), Places.here(), force=force, dry_run=dry_run)
    for piece in done.pieces:
        planned = "would replace" if piece.replaces else "would make"
        console.print(f"{planned if dry_run else 'restored'} {piece.target}")
    if dry_run:
        if done.copied:
            names = ", ".join(str(piece.target) for piece in done.copied)
            console.print(f"on another file system than USAGE_DATA, so copied aside before: {names}")
        console.print("the backup is whole; nothing was changed (--dry-run)")
        return
    if done.aside is not None:
        console.print(f"what was there before: {done.aside}; remove it when all is well")
    missing = [name for name in done.unset if settings.secret(name) is None]
    if missing:
        console.print(f"next: set {', '.join(missing)} (environment or secrets file)")
    console.print(
        "next: usage-assets doctor, then start the service; usage-assets backfill for months since the backup"
    )
