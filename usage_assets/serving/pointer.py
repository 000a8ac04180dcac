"""CURRENT: which generation readers are to open. It is replaced in one step, so it always names a whole file."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from usage_assets.core.disk import put_in_place
from usage_assets.core.errors import SnapshotError

NAME = "CURRENT"
_FILE = re.compile(r"snapshot-(\d+)\.duckdb")


@dataclass(frozen=True)
class Pointer:
    """What CURRENT says: the generation, its file in the same folder, when and by which release it was made.

    `mark` stands for the state of the warehouse that it is a copy of.
    """

    generation: int
    file: str
    sha256: str
    bytes: int
    written_at: datetime
    release: str
    mark: str

    def path(self, folder: Path) -> Path:
        """The generation's file."""
        return folder / self.file


def snapshot_name(generation: int) -> str:
    """The file of a generation: each has its own name, as one process opens a path only once."""
    return f"snapshot-{generation}.duckdb"


def read_pointer(folder: Path) -> Pointer:
    """What CURRENT names; SnapshotError where nothing is published yet, or it can't be read."""
    path = folder / NAME
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Pointer(**found | {"written_at": datetime.fromisoformat(found["written_at"])})
    except FileNotFoundError:
        msg = f"{folder}: nothing is published yet; run usage-assets publish, or name the folder that holds CURRENT"
        raise SnapshotError(msg) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{path} can't be read ({error}); usage-assets publish writes it anew"
        raise SnapshotError(msg) from error


def write_pointer(folder: Path, pointer: Pointer) -> None:
    """Name another generation; on the disk before it returns."""
    fresh = folder / f".{NAME}.part"
    fresh.write_text(
        json.dumps(asdict(pointer) | {"written_at": pointer.written_at.isoformat()}, indent=1), encoding="utf-8"
    )
    put_in_place(fresh, folder / NAME)


def generations(folder: Path) -> dict[int, Path]:
    """The snapshots in a folder, oldest first."""
    found = {int(match[1]): path for path in folder.iterdir() if (match := _FILE.fullmatch(path.name))}
    return dict(sorted(found.items()))


def digest(path: Path) -> str:
    """The SHA-256 of a file, as sha256sum prints it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(folder: Path) -> Pointer:
    """What CURRENT names, its file read to its end; SnapshotError where it is not the file that was published."""
    pointer = read_pointer(folder)
    path = pointer.path(folder)
    if not path.is_file():
        msg = f"{path} is not there, though CURRENT names it; usage-assets publish makes a new one"
        raise SnapshotError(msg)
    if (found := digest(path)) != pointer.sha256:
        msg = f"{path} is not what was published: sha256 {found}, not {pointer.sha256}; remove it and publish again"
        raise SnapshotError(msg)
    return pointer
