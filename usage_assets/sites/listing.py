"""Which files of a folder are site files."""

from pathlib import Path

SUFFIXES = (".yaml", ".yml")


def site_files(folder: Path) -> list[Path]:
    """The site files of a folder, in order.

    Files that begin with a dot or a # are those of editors and file systems: `.#site.yaml`, `._site.yaml`.
    """
    found = [path for suffix in SUFFIXES for path in folder.glob(f"*{suffix}") if path.name[0] not in ".#"]
    return sorted(found, key=lambda path: (path.stem, path.suffix))
