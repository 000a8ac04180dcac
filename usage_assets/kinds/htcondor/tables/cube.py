"""A window of a pool reduced to the sums that all its tables are made of.

Runs are never spread over polls: the weight of a run is the difference of two sums of the weights of polls. Per kind
of run the weights are added up once; a table then groups some hundred thousand sums at most, mostly far fewer.
"""

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from usage_assets.kinds.htcondor.pool.columns import applied
from usage_assets.kinds.htcondor.pool.hosts import HostList
from usage_assets.kinds.htcondor.pool.rules import Pool
from usage_assets.kinds.htcondor.tables.facts import Facts
from usage_assets.kinds.htcondor.tables.levels import class_levels, held
from usage_assets.kinds.htcondor.tables.options import Metadata, Options
from usage_assets.kinds.htcondor.tables.poll_coverage import PollCoverage
from usage_assets.kinds.htcondor.tables.spells import BackfillSpells, backfill_spells
from usage_assets.kinds.htcondor.tables.window import Window

OFFERS: tuple[str, ...] = ("state", "class", "user")
"""What a GPU is, on one of the two sides: in its primary slots, or in its backfill slots."""
_CLASSED = ("class", "state", "user", "device", "is_filtered", "tier", "band", "is_drained", "is_refusing")


@dataclass(frozen=True)
class Cube:
    """Sums of one window of a pool, under some options.

    `kinds` has a row per kind of run seen in the window: `kind`, the columns of facts.gpu_runs that are no time and no
    job (`device` is the display name, `model` the name at the source), `is_filtered`, `tier`, `band`; its
    `weight` (poll_coverage.HOUR is that of an hour) and `first`, `last`, the places of its first and its last poll.
    Masked machines are there; `counted` leaves them out. `spans` has a row per run: kind, first, after.
    """

    observed: PollCoverage
    pool: Pool
    options: Options
    kinds: pl.DataFrame
    spans: pl.DataFrame
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, facts: Facts, pool: Pool, window: Window, options: Options | None = None) -> "Cube":
        """Reduce a window of a pool's facts."""
        asked = options or Options()
        observed = PollCoverage.of(facts.polls, window, pool.bucket_minutes)
        coded = facts.coded_in(window)
        wanted, notes = _chosen(coded.kinds, asked)
        runs = coded.runs
        if wanted.height < coded.kinds.height:
            runs = runs.join(wanted.select("kind"), on="kind", how="semi")
        spans = observed.spans(runs)
        weighed = (
            spans.lazy()
            .with_columns(observed.weights(spans))
            .group_by("kind")
            .agg(pl.col("weight").sum(), pl.col("first").min(), last=pl.col("after").max() - 1)
            .sort("kind")
            .collect()
        )
        kinds = _described(wanted.join(weighed, on="kind", how="inner"), pool)
        return cls(observed, pool, asked, kinds, spans, notes)

    @cached_property
    def counted(self) -> pl.DataFrame:
        """Kinds of machines that are not masked."""
        return self.kinds.filter(pl.col("masked").is_null())

    @cached_property
    def offers(self) -> pl.DataFrame:
        """A row per kind and side on which it is offered: side, class, state, user beside what `counted` has."""
        rest = [name for name in self.counted.columns if not name.startswith(("primary_", "backfill_"))]
        sides = [
            self.counted.lazy()
            .filter(pl.col(f"{side}_state").is_not_null())
            .select(pl.lit(side).alias("side"), *(pl.col(f"{side}_{name}").alias(name) for name in OFFERS), *rest)
            for side in ("primary", "backfill")
        ]
        return pl.concat(sides).collect()

    @cached_property
    def sums(self) -> pl.DataFrame:
        """`offers` added up over machines and GPUs: what most tables group."""
        return self.offers.lazy().group_by("side", *_CLASSED).agg(pl.col("weight").sum()).collect()

    @cached_property
    def once(self) -> pl.DataFrame:
        """Each GPU once, whatever slots it is in: `counted`, with state claimed where a job holds it in any slot."""
        return self.counted.with_columns(state=pl.when(held()).then(pl.lit("claimed")).otherwise(pl.lit("idle")))

    @cached_property
    def levels(self) -> pl.DataFrame:
        """How many GPUs of each class were offered and held at each poll: levels.class_levels."""
        return class_levels(self.counted, self.spans, self.observed, self.options.classes)

    @cached_property
    def backfill(self) -> BackfillSpells:
        """When backfill was offered the GPUs that its tables show, and held them."""
        return backfill_spells(self.shown(self.counted), self.spans, self.observed)

    def shown(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Without the filtered families, unless all devices are asked for."""
        return frame if self.options.all_devices else frame.filter(~pl.col("is_filtered"))

    def metadata(self, *, filtered: bool = False, notes: Iterable[str] = ()) -> Metadata:
        """Metadata of a table of this window; `filtered`: it leaves out the filtered families."""
        window, observed = self.observed.window, self.observed
        hides = filtered and not self.options.all_devices
        hidden = self.counted.filter("is_filtered")["device"].cast(pl.String()).unique().sort() if hides else ()
        masked = self.kinds.select("machine", "masked").drop_nulls("masked").unique().cast(pl.String()).sort("machine")
        return Metadata(
            start=window.start,
            end=window.end,
            local_start=window.local_start,
            local_end=window.local_end,
            timezone=window.timezone,
            hours=window.hours,
            hours_observed=observed.hours,
            polls=observed.count,
            first_poll=observed.first,
            last_poll=observed.last,
            bucket_minutes=observed.bucket_minutes,
            intervals=observed.intervals,
            expected=observed.expected,
            coverage=observed.coverage,
            runs=self.spans.height,
            masked_hosts=dict(masked.iter_rows()),
            filtered_families=self.pool.filtered if hides else (),
            filtered_devices=tuple(hidden),
            hosts=self.options.hosts,
            excluded_users=self.options.exclude_users,
            notes=(*self.notes, *notes),
        )


def _chosen(kinds: pl.DataFrame, options: Options) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """The kinds that options ask for, and remarks on options that match nothing."""
    notes: list[str] = []
    if options.hosts:
        machines = kinds["machine"].cast(pl.String()).unique().to_list()
        found = {asked: matching(machines, asked) for asked in options.hosts}
        notes += [f"no machine is called {asked}" for asked, names in found.items() if not names]
        names = sorted(set().union(*found.values()))
        kinds = kinds.filter(pl.col("machine").cast(pl.String()).is_in(names))
    if options.exclude_users:
        kinds = _without(kinds, options.exclude_users)
        notes.append("performance knows no users: it holds those excluded too")
    return kinds, tuple(notes)


def matching(machines: Iterable[str], asked: str) -> set[str]:
    """The machines that a name means, with or without domain, or a pattern matches; case does not matter."""
    if any(sign in asked for sign in "*?["):
        return {machine for machine in machines if fnmatch.fnmatchcase(machine.lower(), asked.lower())}
    listed = HostList([asked])
    return {machine for machine in machines if machine in listed}


def _without(kinds: pl.DataFrame, users: Iterable[str]) -> pl.DataFrame:
    """Kinds without the sides that these users hold, and without those of which nothing is left."""
    for side in ("primary", "backfill"):
        keeps = ~pl.col(f"{side}_user").cast(pl.String()).is_in(list(users)).fill_null(value=False)
        kinds = kinds.with_columns(pl.when(keeps).then(f"{side}_{name}") for name in OFFERS)
    return kinds.filter(pl.any_horizontal(pl.col("primary_state", "backfill_state").is_not_null()))


def _described(kinds: pl.DataFrame, pool: Pool) -> pl.DataFrame:
    """Kinds with what the pool's rules say of their device and memory."""
    device = pl.col("device").cast(pl.String())
    text, coded = pl.String(), pl.Categorical()
    return kinds.with_columns(
        model="device",
        device=applied(pool.display_name, device, text).cast(coded),
        is_filtered=applied(pool.is_filtered, device, pl.Boolean()),
        tier=applied(pool.tier, device, text).cast(coded),
        band=applied(pool.band, pl.col("memory_mb"), text).cast(coded),
    )
