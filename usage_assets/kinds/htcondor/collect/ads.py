"""Slots as a pool describes them -> rows, one per slot and GPU. Pure: no bindings, no files."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import pyarrow as pa

from usage_assets.kinds.htcondor.pool.classes import is_backfill
from usage_assets.kinds.htcondor.raw.tables import OWN, SOURCE, TIME
from usage_assets.schema import Type

Slot = Mapping[str, object]
"""Attributes of a slot that were asked for; lists of GPUs are their ids, or the attributes that describe them."""

LOCAL_TIME = "local_time"
"""The wall clock of a poll, for other readers of the files; `timestamp` is the same in UTC."""
HAS_GPUS = "GPUs >= 1"
PREFIX = "GPUs_"
"""Prefix of the attributes that hold the properties of a GPU; its id follows."""
_ASSIGNED, _AVAILABLE = SOURCE["gpu"], SOURCE["available_gpus"]
_TYPES = {SOURCE[column.name]: column.type for column in OWN}
_ARROW = {Type.INT: pa.int64(), Type.FLOAT: pa.float64()}
_LONGEST = 10_000


def attributes(more: Iterable[str] = ()) -> list[str]:
    """The attributes to ask for: those of raw.gpu_state and `more`, each once."""
    known = {name.lower() for name in (*_TYPES, TIME, LOCAL_TIME)}
    extra = {name.lower(): name for name in more if name.lower() not in known}
    return [*_TYPES, *extra.values()]


def constraint(further: str | None) -> str:
    """The condition on slots that is asked with."""
    return HAS_GPUS if further is None else f"({HAS_GPUS}) && ({further})"


def table_of(slots: Iterable[Slot], at: datetime, zone: ZoneInfo, more: Sequence[str] = ()) -> pa.Table:
    """A poll as it is written: a row per slot and GPU, at the instant `at` (with its zone)."""
    names = attributes(more)
    rows = rows_of(slots)
    types = {name: _ARROW.get(_TYPES.get(name, Type.TEXT), pa.string()) for name in names}
    columns = [pa.array([_typed(row.get(name), name) for row in rows], type_) for name, type_ in types.items()]
    instant = pa.array([at] * len(rows), pa.timestamp("us", tz="UTC"))
    wall = pa.array([at.astimezone(zone).replace(tzinfo=None)] * len(rows), pa.timestamp("us"))
    return pa.table([*columns, instant, wall], names=[*names, TIME, LOCAL_TIME])


def rows_of(slots: Iterable[Slot]) -> list[dict[str, object]]:
    """A row per slot and GPU of it.

    A backfill slot is assigned nothing while it waits: it names the GPUs that it may lend in AvailableGPUs, and those
    stand as its GPUs, so an idle row of it says what backfill offers at that poll. One that offers none has no row. A
    primary slot that names no GPU has one without.
    """
    slots = list(slots)
    known: dict[str, dict[str, str]] = {}  # of each machine the ids of its GPUs by how attributes spell them
    for slot in slots:
        of_machine = known.setdefault(str(slot.get("Machine")), {})
        of_machine |= {spelled(gpu): gpu for gpu in names_of(slot.get(_ASSIGNED))}
    out: list[dict[str, object]] = []
    for slot in slots:
        of_machine = known.get(str(slot.get("Machine")), {})
        available = [_id(name, of_machine) for name in names_of(slot.get(_AVAILABLE))]
        assigned = names_of(slot.get(_ASSIGNED))
        lends = is_backfill(str(slot.get("Name") or ""))
        if lends and (available or slot.get("State") != "Claimed"):
            assigned = available
        row = dict(slot) | {_AVAILABLE: ",".join(available) if slot.get(_AVAILABLE) is not None else None}
        gpus: list[str | None] = list(dict.fromkeys(assigned))
        out += [row | {_ASSIGNED: gpu} for gpu in gpus or ([] if lends else [None])]
    return out


def names_of(value: object) -> list[str]:
    """The names in a list, or in a text with commas."""
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, (list, tuple)) else []
    return [text for part in parts if part is not None and (text := str(part).strip())]


def spelled(gpu: str) -> str:
    """The id of a GPU as names of attributes have it, without what names can't hold."""
    return re.sub(r"\W", "_", gpu)


def _id(name: str, known: Mapping[str, str]) -> str:
    """The id of a GPU; attributes are named after it (`GPUs_GPU_1a2b3c4d`), and names hold no dash."""
    bare = name.removeprefix(PREFIX)
    if (found := known.get(spelled(bare))) is not None:
        return found
    return bare.replace("_", "-") if bare.startswith(("GPU_", "MIG_")) else bare


def _typed(value: object, name: str) -> str | int | float | None:
    """A value as its column holds it; what does not fit is null."""
    type_ = _TYPES.get(name, Type.TEXT)
    if value is None:
        return None
    if type_ == Type.TEXT:
        text = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
        return text[:_LONGEST].encode("utf-8", "replace").decode()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if type_ == Type.FLOAT:
        return float(value)
    return int(value) if math.isfinite(value) and abs(value) < 2**63 else None
