"""Checks of facts and timelines: one evaluation per month, shown beside that month in the UI."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby

import dagster as dg

from usage_assets.checks import facts as of_facts
from usage_assets.checks import usage as of_usage
from usage_assets.checks.readiness import contract, coverage, readiness_of
from usage_assets.checks.record import Evaluated
from usage_assets.core.clock import naive_utc_now
from usage_assets.core.months import Window
from usage_assets.core.notes import note
from usage_assets.orchestration.check_evaluation import done, evaluation, targets
from usage_assets.orchestration.finding_metadata import description, metadata
from usage_assets.orchestration.partitions import partition_key, run_window
from usage_assets.orchestration.ui_metadata import asset_key, readable_errors, site_of
from usage_assets.orchestration.verdict import RunCheck, now, told, verdict
from usage_assets.sites.base import Site
from usage_assets.specs.asset import FactAsset, TableAsset, TableCheck
from usage_assets.specs.finding import Finding
from usage_assets.specs.kind import Kind
from usage_assets.timelines.observed import ends
from usage_assets.warehouse import Reader, Warehouse
from usage_assets.warehouse.readiness import extracted_at

Findings = Mapping[date, Finding]
Evaluate = Callable[[Reader, Site, Window], Findings]


@dataclass(frozen=True)
class Check:
    """A check of one asset: what it asks, and whether its answer is an error or a remark."""

    asset: dg.AssetKey
    name: str
    description: str
    evaluate: Evaluate
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR
    per_run: str | None = None
    """Reported once per run; then this says what failing months are."""

    @property
    def named(self) -> tuple[str, str]:
        """Asset and check as bookkeeping tables name them."""
        return "/".join(self.asset.path), self.name


def monthly_checks(
    kind: Kind, sites: Mapping[str, Site], warehouse: Warehouse, partitions: dg.MultiPartitionsDefinition
) -> dg.AssetChecksDefinition:
    """All checks of facts and timelines of a kind, as one subsettable step after them."""
    checks = [*_fact_checks(kind), *_usage_checks(kind)]
    checks += [check for table in kind.tables for check in _table_checks(kind, table)]
    specs = {
        check: dg.AssetCheckSpec(
            check.name,
            asset=check.asset,
            description=check.description,
            blocking=False,
            partitions_def=None if check.per_run else partitions,
        )
        for check in checks
    }

    @dg.multi_asset_check(name=f"{kind.name}_checks", specs=list(specs.values()), can_subset=True)
    def evaluate(context: dg.AssetCheckExecutionContext) -> Iterator:
        window = run_window(context.op_execution_context)
        site = site_of(sites, window)
        window = window.since(site.first_month)
        chosen = {check: spec for check, spec in specs.items() if spec.key in context.selected_asset_check_keys}
        began = naive_utc_now()
        found: dict[Check, Findings] = {check: {} for check in chosen}
        with readable_errors(window, "checks"), warehouse.read() as reader:
            for asset, own in groupby(chosen if window.months else (), key=lambda check: check.asset):
                note(f"{window}: checks of {'/'.join(asset.path[1:])}")
                found |= {check: check.evaluate(reader, site, window) for check in own}
        evaluated = {check: Evaluated(*check.named, check.severity.value, found[check]) for check in chosen}
        keys = {month: str(partition_key(site.key, month)) for month in window.months}
        pointers = {
            asset: targets(context.instance, asset, keys.values())
            for asset in {check.asset for check in chosen if not check.per_run}
        }
        whole, run_id = _whole(checks, chosen) if window.months else set(), context.run.run_id
        with (
            readable_errors(window, "checks"),
            told(warehouse, sites, window, run_id, [*evaluated.values()], at=began, checked=whole) as standing,
        ):
            for check in chosen:
                if check.per_run:
                    warn = check.severity == dg.AssetCheckSeverity.WARN
                    one = RunCheck(check.asset, check.name, found[check], check.per_run, warn)
                    yield verdict(one, window, standing[check.named])
        for check, spec in chosen.items():
            if check.per_run:
                continue
            said = now(standing[check.named]) if standing[check.named] else ""
            # what fails comes last: the newest evaluation is the one that the UI shows of the check as a whole
            for month in sorted(keys, key=lambda month: (not found[check][month].passed, month)):
                finding = found[check][month]
                yield evaluation(
                    spec,
                    keys[month],
                    passed=finding.passed,
                    severity=check.severity,
                    target=pointers[check.asset].get(keys[month]),
                    description=description(site.key, month, finding, said),
                    metadata=metadata(site.key, month, finding),
                )
            yield done(spec)

    return evaluate


def _whole(checks: Sequence[Check], chosen: Collection[Check]) -> set[str]:
    """The assets whose checks of severity ERROR are all among the chosen ones."""
    left_out = {one.asset for one in checks if one.severity == dg.AssetCheckSeverity.ERROR and one not in chosen}
    return {"/".join(check.asset.path) for check in chosen if check.asset not in left_out}


def _fact_checks(kind: Kind) -> Iterator[Check]:
    for fact in kind.facts:
        asset, key = kind.asset("facts", fact.name), asset_key(kind.name, "facts", fact.name)
        yield Check(
            key,
            "contract",
            "Columns, key and rules hold; a month that breaks them keeps its old rows.",
            _contract(asset),
        )
        yield Check(key, "coverage", "The month was built from good inputs.", _coverage(asset))
        if fact.table is not None:
            continue
        yield Check(
            key,
            "conservation",
            "Rows in = kept + rejected + outside; hours in = kept + clipped + rejected; stored rows agree.",
            _conservation(kind, fact),
        )
        yield Check(
            key,
            "rejects_share",
            f"At most {of_facts.REJECTED_SHARE:.0%} of a month's rows are rejected.",
            _rejects_share(kind, fact),
            dg.AssetCheckSeverity.WARN,
            per_run="with many rows rejected",
        )
        yield from _declared(key, fact.checks)
    occupied = next((fact for fact in kind.facts if fact.name == "occupied"), None)
    if occupied is not None:
        yield Check(
            asset_key(kind.name, "facts", occupied.name),
            "overlaps",
            "Servers do not overlap on one bare-metal machine.",
            lambda reader, site, window: of_facts.overlaps(reader, occupied, window),  # noqa: ARG005 - one signature
            dg.AssetCheckSeverity.WARN,
            per_run="with servers that overlap",
        )


def _usage_checks(kind: Kind) -> Iterator[Check]:
    usage, steps = (asset_key(kind.name, "timelines", name) for name in ("usage", "usage_steps"))
    for key in (usage, steps):
        yield Check(key, "contract", "Columns, key and rules hold; else the month keeps its old rows.",
                    _contract("/".join(key.path)))  # fmt: skip
    yield Check(usage, "coverage", "Every bucket since the site's first month, up to the dump.", _buckets(kind))
    yield Check(steps, "coverage", "Every series has a value at the month's start.", _month_starts(kind))
    yield Check(
        usage,
        "conservation",
        "For each series of a month, the hours of its buckets are the resource-hours of its facts.",
        of_usage.conservation,
    )
    yield Check(
        usage,
        "base_not_negative",
        "Counted metrics are never below zero.",
        lambda reader, site, window: of_usage.base_not_negative(reader, window),  # noqa: ARG005 - one signature
    )
    yield Check(
        usage,
        "order",
        "Total >= reservable >= committed >= occupied_reservation, and no derived metric is negative.",
        lambda reader, site, window: of_usage.order(reader, window),  # noqa: ARG005 - one signature
        dg.AssetCheckSeverity.WARN,
    )


def _table_checks(kind: Kind, table: TableAsset) -> Iterator[Check]:
    asset, key = kind.asset(table.stage, table.name), asset_key(kind.name, table.stage, table.name)
    # of reports one result per run: an evaluation per month costs as much as the month itself
    per_run = table.stage == "reports"
    yield Check(
        key,
        "contract",
        "Columns, key and rules hold; a month that breaks them keeps its old rows.",
        _contract(asset),
        per_run="that broke the declaration" if per_run else None,
    )
    yield Check(
        key,
        "coverage",
        "The month was built from good inputs.",
        _coverage(asset),
        per_run="not covered" if per_run else None,
    )
    yield from _declared(key, table.checks)


def _declared(key: dg.AssetKey, checks: Iterable[TableCheck]) -> Iterator[Check]:
    """The checks that an asset declares as its own."""
    for check in checks:
        severity = dg.AssetCheckSeverity.WARN if check.warn else dg.AssetCheckSeverity.ERROR
        yield Check(key, check.name, check.description, check.evaluate, severity, per_run=check.per_run)


def _contract(asset: str) -> Evaluate:
    return lambda reader, site, window: contract(readiness_of(reader, window), asset, window)  # noqa: ARG005


def _coverage(asset: str) -> Evaluate:
    return lambda reader, site, window: coverage(readiness_of(reader, window), asset, site, window)


def _conservation(kind: Kind, fact: FactAsset) -> Evaluate:
    return lambda reader, site, window: of_facts.conservation(reader, kind, fact, window)  # noqa: ARG005


def _rejects_share(kind: Kind, fact: FactAsset) -> Evaluate:
    return lambda reader, site, window: of_facts.rejects_share(reader, kind, fact, window)  # noqa: ARG005


def _buckets(kind: Kind) -> Evaluate:
    covered = _coverage(kind.asset("timelines", "usage"))

    def evaluate(reader: Reader, site: Site, window: Window) -> Findings:
        observed = kind.observed(reader, site, window.months)
        extracted = ends(extracted_at(reader, site, window.months, kind.tables_of(site)), observed)
        return of_usage.buckets(reader, site, window, extracted, dict(covered(reader, site, window)))

    return evaluate


def _month_starts(kind: Kind) -> Evaluate:
    covered = _coverage(kind.asset("timelines", "usage_steps"))
    return lambda reader, site, window: of_usage.month_starts(reader, window, dict(covered(reader, site, window)))
