"""A second opinion on the facts of a GPU pool: plain loops over rows, written from the rules and from nothing else.

Rows are dicts with the columns of raw.gpu_state. Only exact ties (one GPU twice in slots of equal rank) are settled
as the product says it settles them: by the slot's name, then by owner, job, projects, device, memory and reason.
"""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

HIDDEN = ("slot", "remote_owner", "global_job_id", "prioritized_projects", "device", "memory_mb")
COLUMNS = (*HIDDEN, "prevent_jobs_reason", "state", "machine", "gpu", "average_usage", "poll_at")


def text(value):
    return (value or "").strip() or None


def blank(projects):
    return not [name for name in (projects or "").split(",") if name.strip()]


def same_host(listed, machine):
    listed, machine = listed.lower(), machine.lower()
    if "." in listed and "." in machine:
        return listed == machine
    return listed.split(".")[0] == machine.split(".")[0]


def listed(names, machine):
    """The best of the names that mean the machine."""
    fits = [name for name in names if same_host(name, machine)]
    return min(fits, key=lambda name: (name.lower() != machine.lower(), name), default=None)


def is_backfill(row):
    return "backfill" in (row["slot"] or "").split("@")[0].lower()


def is_interactive(row):
    return "interactive" in (row["slot"] or "").split("@")[0].lower()


def rank(row):
    return {"Claimed": 0, "Unclaimed": 1}.get(row["state"], 2)


def in_order(row):
    told = [row[name] for name in (*HIDDEN, "prevent_jobs_reason", "state")]
    return rank(row), [(value is None, value if value is not None else 0) for value in told]


def once(rows):
    """Every row once: rows alike in all columns are doubles."""
    seen, kept = set(), []
    for row in rows:
        key = tuple(repr(row[name]) for name in COLUMNS)
        if key not in seen:
            kept.append(row)
        seen.add(key)
    return kept


def class_of(pool, row, primaries):
    if is_backfill(row):
        if listed(pool.hosted, row["machine"].strip()):
            return "backfill_hosted"
        owned = any(not blank(one["prioritized_projects"]) for one in primaries)
        return "backfill_researcher" if owned else "backfill_open"
    if listed(pool.hosted, row["machine"].strip()):
        return "prioritized_hosted"
    if not blank(row["prioritized_projects"]):
        return "prioritized_researcher"
    return "interactive" if is_interactive(row) else "open"


def state_of_gpu(pool, rows, of_poll):
    """What a GPU is in at a poll, of its rows and of all rows of the poll."""
    machine = text(rows[0]["machine"])
    primaries = [row for row in of_poll if text(row["machine"]) == machine and not is_backfill(row)]
    ordered = sorted((row for row in rows if not is_backfill(row)), key=in_order)
    backfill = sorted((row for row in rows if is_backfill(row)), key=in_order)
    out: dict[str, Any] = {}
    for kind, candidates in (("primary", ordered), ("backfill", backfill)):
        out |= {f"{kind}_{name}": None for name in ("state", "class", "user", "job")}
        if not candidates or (kind == "backfill" and out["primary_state"] == "claimed"):
            continue
        best = candidates[0]
        out[f"{kind}_state"] = ("claimed", "idle", "other")[rank(best)]
        out[f"{kind}_class"] = class_of(pool, best, primaries)
        if rank(best) == 0:
            out[f"{kind}_user"] = text(best["remote_owner"]) or "Unknown"
            out[f"{kind}_job"] = text(best["global_job_id"])
    claimed = any(row["state"] == "Claimed" for row in rows)
    out["is_drained"] = not claimed and any(row["state"] == "Drained" for row in rows)

    def first_told(name, read=text):
        return next((read(row[name]) for row in [*ordered, *backfill] if read(row[name]) is not None), None)

    out["reason"] = first_told("prevent_jobs_reason")
    out["is_refusing"] = not claimed and out["reason"] is not None
    out["device"] = first_told("device")
    out["memory_mb"] = first_told("memory_mb", lambda value: value)
    why = listed(pool.masked, machine)
    out["masked"] = None if why is None else pool.masked[why]
    return out


def states(pool, rows):
    """(poll, machine, gpu) -> what it is in."""
    polls: dict[datetime, list[dict]] = {}
    for row in once(rows):
        polls.setdefault(row["poll_at"], []).append(row)
    out = {}
    for at, of_poll in polls.items():
        gpus: dict[tuple, list[dict]] = {}
        for row in of_poll:
            if text(row["machine"]) and text(row["gpu"]):
                gpus.setdefault((text(row["machine"]), text(row["gpu"])), []).append(row)
        for (machine, gpu), own in gpus.items():
            out[at, machine, gpu] = state_of_gpu(pool, own, of_poll)
    return out


def closes(pool, rows, month_end):
    """poll -> (until when what it saw holds, whether the next poll is missing)."""
    polls = sorted({row["poll_at"] for row in rows})
    step = timedelta(minutes=pool.poll_minutes)
    out = {}
    for number, at in enumerate(polls):
        after = polls[number + 1] if number + 1 < len(polls) else None
        missing = after is None or after - at > 1.5 * step
        out[at] = (min(at + step if missing else after, month_end), missing)
    return out


def stretches(found, ends):
    """Neighbouring polls with equal values as one: {(entity, poll): value} -> (entity, value, start, end, polls)."""
    polls = sorted(ends)
    number = {at: place for place, at in enumerate(polls)}
    out: list[list] = []
    for (entity, at), value in sorted(found.items(), key=lambda each: (repr(each[0][0]), each[0][1])):
        last = out[-1] if out else None
        if (
            last
            and last[0] == entity
            and last[1] == value
            and number[last[5]] + 1 == number[at]
            and not ends[last[5]][1]
        ):
            last[3], last[4], last[5] = ends[at][0], last[4] + 1, at
        else:
            out.append([entity, value, at, ends[at][0], 1, at])
    return [tuple(each[:5]) for each in out]


def runs(pool, rows, month_end):
    """Set of (machine, gpu, start, end, polls, state as sorted items)."""
    ends = closes(pool, rows, month_end)
    found = {
        ((machine, gpu), at): tuple(sorted(state.items())) for (at, machine, gpu), state in states(pool, rows).items()
    }
    return {(*entity, start, end, polls, state) for entity, state, start, end, polls in stretches(found, ends)}


def intervals(pool, rows, month_end, name_of):
    """Set of (metric, machine/gpu, start, end, node type, user)."""
    ends = closes(pool, rows, month_end)
    layers: dict[str, dict] = {}
    for (at, machine, gpu), state in states(pool, rows).items():
        if state["masked"] is not None:
            continue
        kind = "unknown" if state["device"] is None else name_of(state["device"])
        said = [("total", None)]
        for where in ("primary", "backfill"):
            if state[f"{where}_state"]:
                said.append(("available_" + state[f"{where}_class"], None))
            if state[f"{where}_state"] == "claimed":
                said.append(("allocated_" + state[f"{where}_class"], state[f"{where}_user"]))
        said += [("drained", None)] * state["is_drained"] + [("refusing", None)] * state["is_refusing"]
        for metric, user in said:
            layers.setdefault(metric, {})[f"{machine}/{gpu}", at] = (kind, user)
    return {
        (metric, entity, start, end, *value)
        for metric, found in layers.items()
        for entity, value, start, end, _ in stretches(found, ends)
    }


def performance(pool, rows):
    """(poll, machine, device, class) -> (GPUs, usage)."""
    out: dict[tuple, tuple[int, float]] = {}
    everything = once(rows)
    for (at, machine, gpu), state in states(pool, rows).items():
        kind = next((kind for kind in ("primary", "backfill") if state[f"{kind}_state"] == "claimed"), None)
        if kind is None or state["masked"] is not None:
            continue
        here = [row for row in everything if row["poll_at"] == at and text(row["machine"]) == machine]
        own = [row for row in here if text(row["gpu"]) == gpu and is_backfill(row) == (kind == "backfill")]
        unknown = [(row["average_usage"] is None, row["average_usage"] or 0.0) for row in own]
        best = min(zip(own, unknown, strict=True), key=lambda each: (in_order(each[0]), each[1]))[0]
        usage = best["average_usage"]
        if usage is None or not 0 <= usage <= 1e6:
            continue
        slot = {text(row["gpu"]) for row in here if row["slot"] == best["slot"] and row["state"] == "Claimed"}
        key = (at, machine, state["device"], state[f"{kind}_class"])
        gpus, before = out.get(key, (0, 0.0))
        out[key] = (gpus + 1, before + usage / len(slot - {None}))
    return out


def polls(pool, rows):
    """poll -> (rows, doubles, machines, GPUs, missed, whether its hour comes the second time)."""
    found = states(pool, rows)
    out = {}
    before = None
    step = timedelta(minutes=pool.poll_minutes)
    for at, group in groupby(sorted(rows, key=lambda row: row["poll_at"]), key=lambda row: row["poll_at"]):
        own = list(group)
        seen = {(machine, gpu) for (poll, machine, gpu), state in found.items() if poll == at and not state["masked"]}
        missed = 0
        if before is not None and at - before > 1.5 * step:
            missed = int((at - before) / step + 0.5) - 1
        local = at.replace(tzinfo=UTC).astimezone(ZoneInfo(pool.timezone))
        again = datetime.combine(local.date(), local.time()).replace(tzinfo=ZoneInfo(pool.timezone)) != local
        out[at] = (
            len(own),
            len(own) - len(once(own)),
            len({machine for machine, _ in seen}),
            len(seen),
            missed,
            again or local.fold == 1,
        )
        before = at
    return out


def rejects(pool, rows, month_end):
    """Reason -> (rows, hours of machines or GPUs)."""
    ends = closes(pool, rows, month_end)
    spans: dict[str, set] = {"masked": set(), "no_gpu": set(), "null_key": set()}
    counts = dict.fromkeys(spans, 0)
    for row in once(rows):
        machine, gpu = text(row["machine"]), text(row["gpu"])
        if machine is None:
            reason = "null_key"
        elif gpu is None:
            reason = "no_gpu"
        elif listed(pool.masked, machine):
            reason = "masked"
        else:
            continue
        counts[reason] += 1
        spans[reason].add((machine, gpu if machine else None, row["poll_at"]))
    hours = {
        reason: sum((ends[at][0] - at).total_seconds() for *_, at in found) / 3600 for reason, found in spans.items()
    }
    return {reason: (counts[reason], hours[reason]) for reason in spans}


def shares(instants, start, end, minutes):
    """poll of [start, end) -> the hours it stands for: the polls of a bucket share what of it lies inside."""
    width = timedelta(minutes=minutes)
    midnight = datetime(1970, 1, 1)
    buckets: dict[datetime, set[datetime]] = {}
    for at in instants:
        if start <= at < end:
            buckets.setdefault(midnight + (at - midnight) // width * width, set()).add(at)
    out = {}
    for bucket, inside in buckets.items():
        length = min(bucket + width, end) - max(bucket, start)
        for at in inside:
            out[at] = Fraction(length // timedelta(microseconds=1), 3_600_000_000 * len(inside))
    return out
