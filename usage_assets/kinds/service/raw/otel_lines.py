"""Lines of a text file, plain or gzip, in batches of bounded size: a line of OTLP may be megabytes long."""

import gzip
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

import pyarrow as pa

from usage_assets.kinds.service.raw.files import LONGEST_LINE
from usage_assets.kinds.service.raw.reader import PartError

BATCH_BYTES = 4_000_000


def batches_of_lines(path: Path) -> Iterator[pa.Table]:
    """Tables of one column, `line`, in the order of the file; PartError where it can't be read to its end as UTF-8."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        lines: list[str] = []
        size = 0
        for line in _lines(file, path.name):
            lines.append(line)
            size += len(line)
            if size >= BATCH_BYTES:
                yield pa.table({"line": lines})
                lines, size = [], 0
        if lines:
            yield pa.table({"line": lines})


def _lines(file: gzip.GzipFile | BufferedReader, name: str) -> Iterator[str]:
    fault = None
    try:
        while line := file.readline(LONGEST_LINE):
            if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
                fault = f"a line has more than {LONGEST_LINE:,} bytes"
                break
            yield line.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        fault = "it is not all UTF-8"
    except EOFError:
        fault = "the gzip file ends before its end"
    except (zlib.error, gzip.BadGzipFile) as error:
        fault = f"it is no good gzip file ({error})"
    if fault is not None:
        msg = f"{name}: {fault}"
        raise PartError(msg)
