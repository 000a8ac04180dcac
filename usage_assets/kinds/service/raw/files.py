"""Files of a source as parts, whatever is in them."""

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from usage_assets.core.errors import SourceError
from usage_assets.kinds.service.raw.reader import Part
from usage_assets.kinds.service.raw.values import literal
from usage_assets.kinds.service.site.model import ServiceSite

RULES_VERSION = 1
"""Raised when readers or rules change what they make of the same file: all files are read again then."""
LONGEST_LINE = 16_000_000
_BUFFER = 2 * LONGEST_LINE
_BLOCK = 1 << 20
BAD_LINE = b"(can not be read)\n"


def fingerprint_of_rules(site: ServiceSite, source: Any) -> str:
    """Of all that a site's file says on how a source is read."""
    own = source.model_dump(mode="json", exclude={"path", "pattern", "url"})
    said = {
        "version": RULES_VERSION,
        "source": own,
        "first_month": str(site.first_month),
        **{name: getattr(site, name) for name in (
            "timezone", "event_time", "aliases", "accept", "keep_prompts", "max_request_hours", "personal",
            "new_columns",
        )},
    }  # fmt: skip
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def parts_below(path: Path, patterns: Iterable[str], rules: str, site: str) -> list[Part]:
    """The files of a folder that match a pattern, or the one file, in the order of their names.

    SourceError where the folder or file is not there: without it all its months would look lost.
    """
    try:
        if path.is_dir():
            found = {file for pattern in patterns for file in path.glob(pattern) if not _is_hidden(file, path)}
            files = sorted((file.relative_to(path).as_posix(), file) for file in found if file.is_file())
            next(path.iterdir(), None)  # a folder that can't be listed looks empty to glob
        else:
            path.stat()
            files = [(path.name, path)]
        return [Part(name, _fingerprint(file, rules), handle=file) for name, file in files]
    except OSError as error:
        msg = (
            f"site {site}: {path} can't be read ({error.strerror}); nothing was changed. Look at sources in the site's "
            "file, and whether the disk is mounted"
        )
        raise SourceError(msg) from error


def _is_hidden(file: Path, folder: Path) -> bool:
    """Whether it, or a folder that it is in, begins with a dot: a file being written, or one of an editor."""
    return any(part.startswith(".") for part in file.relative_to(folder).parts)


def _fingerprint(file: Path, rules: str) -> str:
    found = file.stat()
    return f"{found.st_size}-{found.st_mtime_ns}-{rules}"


def lines_of(path: Path) -> str:
    """SQL of the lines of a text file, gzip too: `line`, in their order."""
    compression = "gzip" if path.suffix == ".gz" else "none"
    return (
        f"SELECT line FROM read_csv({literal(str(path))}, columns = {{'line': 'VARCHAR'}}, delim = '\\x01', "
        "quote = '', escape = '', header = false, auto_detect = false, null_padding = true, strict_mode = false, "
        f"max_line_size = {LONGEST_LINE}, buffer_size = {_BUFFER}, compression = '{compression}')"
    )


def is_cut_off(path: Path) -> bool:
    """Whether a gzip file ends before its end, which DuckDB does not tell."""
    with path.open("rb") as file:
        unpack, begun = zlib.decompressobj(zlib.MAX_WBITS | 16), False
        while block := file.read(_BLOCK):
            try:
                while block:
                    begun = True
                    unpack.decompress(block)
                    if not unpack.eof:
                        break
                    block, begun = unpack.unused_data.lstrip(b"\0"), False
                    unpack = zlib.decompressobj(zlib.MAX_WBITS | 16)
            except zlib.error:
                return True
        return begun


def mended_copy(path: Path, folder: Path) -> Path:
    """The lines of a text file that is cut off or not all UTF-8, with a line that is no JSON in place of each bad one.

    SourceError where nothing of it can be read.
    """
    target = folder / path.name.removesuffix(".gz")
    with target.open("wb") as out, gzip.open(path) if path.suffix == ".gz" else path.open("rb") as source:
        try:
            while line := source.readline(LONGEST_LINE):
                out.write(line if _is_text(line) else BAD_LINE)
        except (EOFError, OSError, zlib.error):
            out.write(b"\n" + BAD_LINE)
    return target


def _is_text(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
