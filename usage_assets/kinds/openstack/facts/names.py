"""Names of machines: one identity per machine, however its name is spelt.

Names compare without case; the identity is the name in lower case. A short name (without a dot) and a full one are one
machine where exactly one full name of the month begins with it, and the full one is its identity; two hypervisors that
are there at the same time stay two. Machines are named by hypervisors, by Blazar's hosts and by the operator's
inventory; servers, events, services and the site's file only refer to them.
"""

import polars as pl

from usage_assets.intervals import close, intersect, is_empty, materialize
from usage_assets.kinds.openstack.site.rules import INVENTORY

MACHINE_NAMES = "machine_names"
"""The input that holds what names mean: month, name (in lower case, or the first label of a full one), identity."""
NAMED = {
    "nova_compute_nodes": "hypervisor_hostname",
    "blazar_computehosts": "hypervisor_hostname",
    INVENTORY: "hostname",
}
"""Inputs that name machines, and the column that does."""
REFERRING = {"nova_instances": "node", "nova_cell0_instances": "node"}
"""Inputs that refer to machines."""
_SCHEMA = pl.Schema({"month": pl.Date(), "name": pl.String(), "identity": pl.String()})
_NAME = ["month", "name"]


def lowered(name: str) -> pl.Expr:
    """A column of names in lower case."""
    return pl.col(name).str.to_lowercase()


def with_identities(frames: dict[str, pl.LazyFrame]) -> dict[str, pl.LazyFrame]:
    """The frames with identities in place of machines' names, and MACHINE_NAMES; services' names are in lower case."""
    out = dict(frames)
    for frame, column in (*NAMED.items(), ("nova_compute_nodes", "host"), ("nova_services", "host")):
        if frame in out:
            out[frame] = out[frame].with_columns(lowered(column))
    spelled = materialize(
        pl.concat(
            [
                pl.LazyFrame(schema={"month": pl.Date, "name": pl.String}),
                *(out[frame].select("month", name=column) for frame, column in NAMED.items() if frame in out),
            ]
        )
        .drop_nulls()
        .unique()
    )
    joined = _one_machine(spelled, out.get("nova_compute_nodes"))
    if not is_empty(joined):
        for frame, column in NAMED.items():
            if frame in out:
                out[frame] = _replaced(out[frame], column, joined)
    names = out[MACHINE_NAMES] = materialize(_meanings(spelled, joined))
    for frame, column in REFERRING.items():
        if frame in out:
            out[frame] = _resolved(out[frame], column, names)
    return out


def identities_of(references: pl.LazyFrame, names: pl.LazyFrame) -> pl.LazyFrame:
    """month, name, identity of names as they are written elsewhere; identity is null where no machine has the name.

    `references` has month and name, `names` is the input MACHINE_NAMES. A full name means a machine that is known by a
    short one where it is the only full name among the references that begins with it.
    """
    wanted = materialize(references.select(_NAME).drop_nulls().unique().with_columns(_lower=lowered("name")))
    direct = materialize(wanted.join(names.rename({"name": "_lower"}), on=["month", "_lower"], how="left"))
    known = direct.filter(pl.col("identity").is_not_null()).select(_SCHEMA.names())
    unmatched = materialize(
        direct.filter(pl.col("identity").is_null())
        .select(*_NAME, "_lower", _label=_label("_lower"))
        .filter(pl.col("_label").is_not_null())
    )
    if is_empty(unmatched):
        return direct.select(_SCHEMA.names())
    machines = names.select("month", "identity", _label=_label("identity")).unique()
    of_full = machines.drop_nulls("_label").select("month", "_label")
    short = machines.filter(pl.col("_label").is_null()).select("month", "identity", _label="identity")
    by_label = (
        unmatched.join(short.join(of_full, on=["month", "_label"], how="anti"), on=["month", "_label"], how="inner")
        .filter(pl.col("_lower").n_unique().over("month", "_label") == 1)
        .select(_SCHEMA.names())
    )
    found = materialize(pl.concat([known, by_label]))
    none = wanted.join(found, on=_NAME, how="anti").select(*_NAME, identity=pl.lit(None, dtype=pl.String))
    return pl.concat([found, none])


def machines_of_hosts(
    hosts: pl.LazyFrame, nodes: pl.LazyFrame, known: pl.LazyFrame, names: pl.LazyFrame
) -> pl.LazyFrame:
    """month, host, hostname: the machine of an event's host, one of the `known` (month, hostname).

    It is the machine of that name, else the only hypervisor (of `nodes`) that has the service of that name.
    """
    hosts = materialize(hosts.select("month", "host").drop_nulls().unique())
    machine = ["month", "hostname"]
    known = known.select(machine).unique()
    by_name = identities_of(hosts.select("month", name="host"), names).select("month", host="name", hostname="identity")
    serving = (
        nodes.select("month", "hypervisor_hostname", _lower="host")
        .drop_nulls()
        .unique()
        .filter(pl.len().over("month", "_lower") == 1)
    )
    by_service = (
        hosts.with_columns(_lower=lowered("host"))
        .join(serving, on=["month", "_lower"], how="inner")
        .select("month", "host", hostname="hypervisor_hostname")
    )
    found = materialize(by_name.join(known, on=machine, how="semi"))
    others = by_service.join(found, on=["month", "host"], how="anti").join(known, on=machine, how="semi")
    return pl.concat([found, others])


def _label(name: str) -> pl.Expr:
    """The first label of a full name; null of a short one."""
    return pl.col(name).str.extract(r"^([^.]+)\.")


def _one_machine(spelled: pl.LazyFrame, nodes: pl.LazyFrame | None) -> pl.LazyFrame:
    """month, name, identity of the short names that mean a machine known by a full one too."""
    labelled = materialize(spelled.with_columns(_label=_label("name")))
    pairs = materialize(
        labelled.filter(pl.col("_label").is_null())
        .drop("_label")
        .join(_only_full(labelled), left_on=_NAME, right_on=["month", "_label"], how="inner")
    )
    if nodes is None or is_empty(pairs):
        return pairs
    lives = close(
        nodes.select(
            "month",
            name="hypervisor_hostname",
            start_at=pl.coalesce("created_at", pl.min_horizontal("updated_at", "deleted_at")),
            end_at=pl.min_horizontal("deleted_at", "gone_at"),
        ).drop_nulls("start_at")
    )
    short = pairs.join(lives, on=_NAME, how="inner")
    full = lives.rename({"name": "identity"})
    at_once = intersect(short, full, on=["month", "identity"]).select(_NAME).unique()
    return materialize(pairs.join(at_once, on=_NAME, how="anti"))


def _only_full(labelled: pl.LazyFrame) -> pl.LazyFrame:
    """month, _label, identity of the full names that are the only ones with their first label."""
    return (
        labelled.drop_nulls("_label")
        .group_by("month", "_label")
        .agg(_several=pl.len(), identity=pl.col("name").first())
        .filter(pl.col("_several") == 1)
        .select("month", "_label", "identity")
    )


def _meanings(spelled: pl.LazyFrame, joined: pl.LazyFrame) -> pl.LazyFrame:
    """The identity of every name of a machine, and of every first label that only one full name has."""
    own = materialize(spelled.join(joined, on=_NAME, how="anti").with_columns(identity="name"))
    labels = _only_full(spelled.with_columns(_label=_label("name"))).select("month", "identity", name="_label")
    further = labels.join(spelled, on=_NAME, how="anti")
    return pl.concat(frame.select(_SCHEMA.names()) for frame in (own, joined, further))


def _replaced(frame: pl.LazyFrame, column: str, meaning: pl.LazyFrame) -> pl.LazyFrame:
    """The frame with identities in place of the names in `meaning`."""
    known = meaning.select("month", "identity", "name")
    joined = frame.join(known, left_on=["month", column], right_on=_NAME, how="left", maintain_order="left")
    return joined.with_columns(pl.coalesce("identity", column).alias(column)).drop("identity")


def _resolved(frame: pl.LazyFrame, column: str, names: pl.LazyFrame) -> pl.LazyFrame:
    """The frame with identities in a column that refers to machines; other names stay, in lower case."""
    used = frame.select("month", name=column).drop_nulls().unique()
    unknown = materialize(used.join(names.select("month", name="identity"), on=_NAME, how="anti"))
    if is_empty(unknown):
        return frame
    other = materialize(
        identities_of(unknown, names)
        .with_columns(pl.coalesce("identity", lowered("name")).alias("identity"))
        .filter(pl.col("identity") != pl.col("name"))
    )
    return frame if is_empty(other) else _replaced(frame, column, other)
