"""What a backup holds, so that it can be trusted before anything is replaced by it: sizes and hashes of every file."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pydantic import BaseModel

from usage_assets.core.errors import BackupError
from usage_assets.serving.pointer import digest

NAME = "manifest.json"
FORMAT = 1


class Copied(BaseModel, frozen=True):
    """One file of a backup: its path below the backup's folder, size in bytes, SHA-256."""

    path: str
    size: int
    sha256: str


class Manifest(BaseModel, frozen=True):
    """What was saved, when (UTC), by which release; `left_out` says in sentences what is not in the backup."""

    made_at: str
    release: str
    dagster: str
    schema_version: int | None
    files: tuple[Copied, ...]
    left_out: tuple[str, ...] = ()
    format: int = FORMAT

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def below(self, piece: str) -> list[Copied]:
        """The files of one piece: of that path, or below it."""
        return [file for file in self.files if file.path == piece or file.path.startswith(f"{piece}/")]

    def write(self, folder: Path) -> None:
        """Write it into the backup's folder, last of all files."""
        (folder / NAME).write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """The manifest of a backup's folder; BackupError where it is none, or one of a newer release."""
        try:
            manifest = cls.model_validate_json((folder / NAME).read_bytes())
        except FileNotFoundError:
            msg = f"{folder} is no backup: it has no {NAME}; name a folder that usage-assets backup made"
            raise BackupError(msg) from None
        except (OSError, ValueError) as error:
            msg = f"{folder / NAME} can't be read ({error}); take another backup"
            raise BackupError(msg) from None
        if manifest.format > FORMAT:
            msg = f"{folder} was made by release {manifest.release}, in a newer form; restore it with that release"
            raise BackupError(msg)
        for file in manifest.files:
            if PurePosixPath(file.path).is_absolute() or ".." in PurePosixPath(file.path).parts:
                msg = f"{folder / NAME} names {file.path!r}, which lies outside the backup; take another backup"
                raise BackupError(msg)
        return manifest

    def faults(self, folder: Path) -> Iterator[str]:
        """What is wrong with the files of a backup, one sentence each; every file is read whole."""
        for file in self.files:
            path = folder / file.path
            if not path.is_file():
                yield f"{file.path} is missing"
            elif path.stat().st_size != file.size:
                yield f"{file.path} has {path.stat().st_size} bytes, not {file.size}"
            elif digest(path) != file.sha256:
                yield f"{file.path} is not what was saved (its SHA-256 differs)"


def taken(folder: Path) -> tuple[Copied, ...]:
    """Every file below a folder, as a manifest names it."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple(
        Copied(path=str(path.relative_to(folder)), size=path.stat().st_size, sha256=digest(path)) for path in paths
    )
